// SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note
/*
 * Walks the stack at some of the target's allocator calls with leaktop's own code, and has the thread stopped
 * on its way back to user space, where another unwinder can look at the same stack.
 */
#include "bpf/kernel.h"
#include "bpf/types.h"

#include "bpf/stack.h"
#include "tests/truth/sample.h"

char LICENSE[] SEC("license") = "GPL";

#define SIGSTOP 19

const volatile __u32 target = 0; /* thread group */
const volatile __u32 every = 1;	 /* on average, of how many calls one is sampled */
const volatile bool never = false;

__s32 countdown = 1; /* calls until the next sample */
__u32 random_state = 1;
__u64 calls;   /* seen so far */
__u64 no_room; /* samples that were given up */
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

/* The one place that knows how a stack is walked: from the registers of the allocator's caller. @return why
 * it ended */
static __always_inline __u32 walk(struct thread *thread, __u64 ip, __u64 sp, __u64 bp, __u64 bx)
{
	stack_walk(thread, ip, sp, bp, 0);
	return 0;
}

/* Is this call one of the sample? The gaps vary, so that they do not keep step with the target's loops. */
static __always_inline bool chosen(void)
{
	count(&calls);
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
		count(&no_room);
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
	struct truth_sample *sample;
	struct thread *thread;
	__u64 caller;
	__u32 i;

	if (never)
		bpf_tail_call(ctx, &nowhere, 0);
	if (bpf_get_current_pid_tgid() >> 32 != target || !chosen())
		return 0;
	thread = bpf_task_storage_get(
		&threads, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread || bpf_probe_read_user(&caller, sizeof(caller), (void *)ctx->sp))
		return 0;
	sample = sample_reserve();
	if (!sample)
		return 0;
	sample->function = ctx->ip;
	sample->sp = ctx->sp + sizeof(caller);
	sample->bp = ctx->bp;
	sample->bx = ctx->bx;
	sample->end = walk(thread, caller, sample->sp, sample->bp, sample->bx);
	sample->frame_count = thread->frame_count;
	for (i = 0; i < MAX_FRAMES && i < thread->frame_count; i++)
		sample->frames[i] = thread->frames[i];
	sample_submit_and_stop(sample);
	return 0;
}

/* The dynamic linker's hook for debuggers. */
SEC("uprobe")
int objects_changed(struct pt_regs *ctx)
{
	struct truth_sample *sample;

	if (bpf_get_current_pid_tgid() >> 32 != target)
		return 0;
	sample = sample_reserve();
	if (!sample)
		return 0;
	sample->objects_changed = 1;
	sample_submit_and_stop(sample);
	return 0;
}
