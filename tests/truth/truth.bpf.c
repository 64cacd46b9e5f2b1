// SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note
/*
 * Walks the stack at some of the target's allocator calls with leaktop's own code, and has the thread stopped
 * on its way back to user space, where another unwinder can look at the same stack.
 */
#include "bpf/kernel.h"
#include "bpf/types.h"

#include "bpf/memo.h"
#include "bpf/stack.h"
#include "tests/truth/sample.h"

char LICENSE[] SEC("license") = "GPL";

#define SIGSTOP 19

const volatile __u32 every = 1; /* on average, of how many calls one is sampled */
const volatile bool never = false;

__s32 countdown = 1; /* calls until the next sample */
__u32 random_state = 1;
struct truth_counts counts;
bool finished; /* enough samples */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} samples SEC(".maps");

/* As in heap.bpf.c: a tail call keeps programs that can be preempted on the stack of their thread. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} nowhere SEC(".maps");

/*
 * The one place that knows how a stack is walked: from the registers that the allocator's caller will have.
 * At every call, since that is also the test of recognizing stacks: what is recalled must be what the walk
 * finds.
 */
static __always_inline void walk(struct thread *thread, const struct pt_regs *regs)
{
	__u32 recalled, site;

	stack_begin(thread, regs);
	recalled = memo_recall(thread, DOMAIN_HEAP);
	stack_walk(thread, regs, 0);
	site = thread->walk.hash >> 33; /* in place of an index: it tells stacks apart as well */
	if (recalled == NO_SITE) {
		if (memo_worthwhile(thread))
			memo_keep(thread, DOMAIN_HEAP, site);
		return;
	}
	count(&counts.recalled);
	if (recalled != site)
		count(&counts.recalled_wrongly);
}

static __always_inline void fill(const struct thread *thread, struct truth_sample *sample)
{
	__u32 i;

	sample->end = thread->walk.end;
	sample->frame_pointers = thread->walk.frame_pointers;
	sample->frame_count = thread->walk.count;
	for (i = 0; i < MAX_FRAMES && i < thread->walk.count; i++)
		sample->frames[i] = thread->frames[i] & ~FRAME_INTERRUPTED;
}

/* Is this call one of the sample? The gaps vary, so that they do not keep step with the target's loops. */
static __always_inline bool chosen(void)
{
	count(&counts.calls);
	if (finished || __sync_fetch_and_add(&countdown, -1) != 1)
		return false;
	random_state = random_state * 1664525 + 1013904223;
	countdown = 1 + (random_state >> 8) % (2 * every - 1);
	return true;
}

static __always_inline struct truth_sample *sample_reserve(void)
{
	struct truth_sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);

	if (!sample) {
		count(&counts.no_room);
		return NULL;
	}
	sample->tid = (__u32)bpf_get_current_pid_tgid();
	sample->objects_changed = 0;
	return sample;
}

static __always_inline void sample_submit_and_stop(struct truth_sample *sample)
{
	bpf_ringbuf_submit(sample, 0);
	bpf_send_signal_thread(SIGSTOP);
}

SEC("uprobe")
int allocator_entered(struct pt_regs *ctx)
{
	struct pt_regs regs = {.sp = ctx->sp + 8, .bp = ctx->bp, .bx = ctx->bx};
	struct thread *thread = thread_get();
	struct truth_sample *sample;

	if (never)
		bpf_tail_call(ctx, &nowhere, 0);
	if (!thread || bpf_probe_read_user(&regs.ip, sizeof(regs.ip), (void *)ctx->sp))
		return 0;
	walk(thread, &regs);
	if (!chosen())
		return 0;
	sample = sample_reserve();
	if (!sample)
		return 0;
	sample->function = ctx->ip;
	sample->sp = regs.sp;
	sample->bp = regs.bp;
	sample->bx = regs.bx;
	fill(thread, sample);
	sample_submit_and_stop(sample);
	return 0;
}

/* The dynamic linker's hook for debuggers. */
SEC("uprobe")
int objects_changed(struct pt_regs *ctx)
{
	struct thread *thread = thread_get();
	struct truth_sample *sample;
	struct process *process;

	if (!thread)
		return 0;
	process = process_at(thread->process);
	if (process)
		code_changed(process);
	__sync_fetch_and_add(&process_epoch, 1);
	sample = sample_reserve();
	if (!sample)
		return 0;
	sample->objects_changed = 1;
	sample_submit_and_stop(sample);
	return 0;
}
