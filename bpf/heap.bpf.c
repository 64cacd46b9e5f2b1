// SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note
/*
 * The heap of processes. The cookie of a probe says what kind of function it sits on; the rules:
 *
 *   - a block is born when the outermost allocator returns success, and dies when free is entered;
 *   - realloc takes the old block out of the table at its entry, while it is still this thread's, and puts it
 * back if it fails: between its freeing the old address and its return, another thread may already have got
 * that address;
 *   - frees need no care for nesting: the inner one finds nothing to remove.
 *
 * Where the kernel has sessions on uprobes (6.13), one program sees a call's entry and return, and the entry
 * decides whether the return traps at all: frees, nested calls and untraced processes do without. Elsewhere
 * `call_entered` and `call_returned` stand apart.
 */
#include "bpf/kernel.h"
#include "bpf/types.h"

#include "bpf/process.h"
#include "bpf/lifecycle.h"
#include "bpf/block.h"
#include "bpf/site.h"
#include "bpf/mmap.h"

char LICENSE[] SEC("license") = "GPL";

/* Smaller allocations are not recorded. */
const volatile __u64 min_size = 0;
/* An operator new that asks for more cannot succeed: it will throw, and must be able to (see may_succeed). */
const volatile __u64 throwing_limit = 0;
const volatile __u64 start_ns = 0;

/* How a call in flight gives its result. */
enum allocator_call { CALL_NONE, CALL_ALLOCATE, CALL_RESIZE, CALL_OUT };

/* Does a later call at this stack pointer run inside the one in flight? It has at most this much stack above
 * it. */
#define NESTED_REACH (256ULL << 10)
/* No allocator calls others this often to serve one call: the one in flight was left before its slot was
 * looked at. */
#define NESTED_MAX   100
#define UNKNOWN_SIZE (~0ULL)

/* What calloc(count, size) asks for; UNKNOWN_SIZE for 2^48 bytes and more, which no address space has. */
static __always_inline __u64 product(__u64 count, __u64 size)
{
	__u64 small = count < size ? count : size, large = count < size ? size : count;

	if (small >> 32 || (small * (large >> 32)) >> 16)
		return UNKNOWN_SIZE;
	return count * size;
}

/* Milliseconds since the session's start, to within a tick of the kernel (1 to 10 ms). Ticks can be read for
 * nothing, but how long they are is not known here; reading the clock can take as long as all else at a
 * birth. */
static __always_inline __u32 now_ms(struct thread *thread)
{
	__u64 tick = bpf_jiffies64();

	if (thread->tick != tick) {
		thread->tick = tick;
		thread->tick_ms = (bpf_ktime_get_ns() - start_ns) / 1000000;
	}
	return thread->tick_ms;
}

static __always_inline void block_lost(__u32 process_index, __u64 size)
{
	struct process *process = process_at(process_index);

	count(&lost.blocks);
	if (!process)
		return;
	__sync_fetch_and_add(&process->lost_blocks, 1);
	__sync_fetch_and_add(&process->lost_bytes, size);
}

/* The end of a block that is not in the table: born before tracing, too small to be recorded, or lost. */
static __always_inline void unknown_freed(struct thread *thread)
{
	struct process *process = process_at(thread->process);

	if (process)
		__sync_fetch_and_add(&process->unknown_frees, 1);
}

/* A block that was alive until another was born at its address: its free was missed. */
static __always_inline void block_overwritten(const struct block *old)
{
	count(&lost.missed_frees);
	site_died(old->site, old->size);
}

static __always_inline void born(struct pt_regs *ctx, struct thread *thread, __u64 address, __u64 size)
{
	struct block block, old;
	__u64 key;

	if (size < min_size)
		return;
	if (address >> 48) {
		block_lost(thread->process, size);
		return;
	}
	key = block_key(thread->process, address);
	if (block_remove(key, &old))
		block_overwritten(&old);
	block.size = size;
	block.site = site_get(thread, DOMAIN_HEAP, ctx);
	block.birth_ms = now_ms(thread);
	if (!block_insert(key, &block)) {
		block_lost(thread->process, size);
		return;
	}
	site_born(block.site, size);
}

/* A call that resized a block has failed or was never seen to return: the old block stays. */
static __always_inline void resize_undo(struct thread *thread)
{
	if (thread->old.site == NO_SITE)
		return;
	if (!block_insert(block_key(thread->process, thread->argument), &thread->old)) {
		site_died(thread->old.site, thread->old.size);
		block_lost(thread->process, thread->old.size);
	}
}

/*
 * Does a call at this place run inside the one in flight, or was that one left by a jump? As long as it is in
 * flight its return address, which the kernel has replaced, stays what it is.
 */
static __always_inline bool nested(struct thread *thread, struct pt_regs *ctx)
{
	__u64 slot;

	/* At the same place another function is a tail call, the same one a new call. */
	if (ctx->sp == thread->sp && ctx->ip == thread->ip)
		return false;
	if (ctx->sp > thread->sp || thread->sp - ctx->sp >= NESTED_REACH)
		return false;
	if (bpf_probe_read_user(&slot, sizeof(slot), (void *)thread->sp))
		return false;
	if (!thread->return_slot)
		thread->return_slot = slot;
	return slot == thread->return_slot && ++thread->nested_calls < NESTED_MAX;
}

/*
 * A call that asks for `size` bytes begins.
 *
 * @param argument  the block to resize, or where the result goes
 * @return whether its return is wanted
 */
static __always_inline bool entered(
	struct pt_regs *ctx, struct thread *thread, enum allocator_call call, __u64 size, __u64 argument)
{
	if (thread->call) {
		if (nested(thread, ctx))
			return false;
		count(&lost.returns);
		if (thread->call == CALL_RESIZE)
			resize_undo(thread);
	}
	thread->call = call;
	thread->sp = ctx->sp;
	thread->ip = ctx->ip;
	thread->size = size;
	thread->argument = argument;
	thread->return_slot = 0;
	thread->nested_calls = 0;
	if (call == CALL_RESIZE &&
		(!argument || !block_remove(block_key(thread->process, argument), &thread->old)))
		thread->old.site = NO_SITE;
	return true;
}

/* A call that resizes a block returns. @return whether it gave a new block */
static __always_inline bool resized(struct thread *thread, __u64 address)
{
	if (!address && thread->size) {
		resize_undo(thread);
		return false;
	}
	if (thread->old.site != NO_SITE)
		site_died(thread->old.site, thread->old.size);
	else if (thread->argument)
		unknown_freed(thread);
	return address;
}

/* The return of a call whose entry was wanted. */
static __noinline int leave(struct pt_regs *ctx)
{
	struct thread *thread = thread_get();
	__u64 address = ctx->ax;
	__u32 call;

	/* The return address has been popped. Anything else is the return of a nested call. */
	if (!thread || !thread->call || ctx->sp != thread->sp + 8)
		return 0;
	call = thread->call;
	thread->call = CALL_NONE;
	if (call == CALL_OUT &&
		((__u32)address || bpf_probe_read_user(&address, sizeof(address), (void *)thread->argument)))
		return 0;
	if (call == CALL_RESIZE ? resized(thread, address) : address)
		born(ctx, thread, address, thread->size);
	return 0;
}

static __always_inline void freed(struct thread *thread, __u64 address)
{
	struct block block;

	if (!address)
		return;
	if (block_remove(block_key(thread->process, address), &block)) {
		site_died(block.site, block.size);
		return;
	}
	/* Nested calls free blocks that were never counted. */
	if (!thread->call)
		unknown_freed(thread);
}

/* Resources whose limits can make an allocation fail; RLIM_INFINITY is all ones. */
enum { LIMIT_DATA = 2, LIMIT_ADDRESS_SPACE = 9 };

/*
 * operator new throws when it fails, and an exception cannot pass a return address that the kernel has
 * replaced: the unwinder would end the program. So the return of a call is waited for only when it cannot
 * fail: within the machine's memory, and without a limit. Without sessions, which alone can skip a return,
 * these functions are not probed.
 */
static __always_inline bool may_succeed(__u64 size)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (size >> 47)
		return false; /* there is no such address space */
	if (size <= throwing_limit && BPF_CORE_READ(task, signal, rlim[LIMIT_DATA].rlim_cur) == ~0UL &&
		BPF_CORE_READ(task, signal, rlim[LIMIT_ADDRESS_SPACE].rlim_cur) == ~0UL)
		return true;
	count(&lost.returns);
	return false;
}

/* The entry of any function. @return whether its return is wanted */
static __always_inline bool enter(struct pt_regs *ctx)
{
	struct thread *thread = thread_get();
	enum allocator_call call = CALL_ALLOCATE;
	__u64 size, argument = 0;

	if (!thread)
		return false;
	switch (bpf_get_attach_cookie(ctx)) {
	case ALLOCATOR_SIZE_1:
		size = ctx->di;
		break;
	case ALLOCATOR_RELEASE:
		freed(thread, ctx->di);
		return false;
	case ALLOCATOR_SIZE_2:
		size = ctx->si;
		break;
	case ALLOCATOR_PRODUCT:
		size = product(ctx->di, ctx->si);
		break;
	case ALLOCATOR_OUT:
		call = CALL_OUT;
		argument = ctx->di;
		size = ctx->dx;
		break;
	case ALLOCATOR_RESIZE:
		call = CALL_RESIZE;
		argument = ctx->di;
		size = ctx->si;
		break;
	case ALLOCATOR_RESIZE_PRODUCT:
		call = CALL_RESIZE;
		argument = ctx->di;
		size = product(ctx->si, ctx->dx);
		break;
	case ALLOCATOR_THROWING:
		if (!may_succeed(ctx->di))
			return false;
		size = ctx->di;
		break;
	default:
		return false;
	}
	return entered(ctx, thread, call, size, argument);
}

/*
 * Kernels from 6.13 on give a program like these one stack for each CPU, as if nothing could preempt it. But
 * programs on uprobes are preempted, by others of their kind too, and then find that one's data in their own
 * stack. A tail call, even one that is never made, keeps a program on the stack of its thread.
 * Only for programs that are attached in the same way: the map insists on that.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} nowhere SEC(".maps");

const volatile bool never = false;

static __always_inline void use_stack_of_thread(struct pt_regs *ctx)
{
	if (never)
		bpf_tail_call(ctx, &nowhere, 0);
}

/*
 * In a session, the address the helper gives is that of the breakpoint, at the entry and at the return alike;
 * the instruction pointer is the same only at the entry. The kernel's own bpf_session_is_return() says it
 * too, but its prototype changed after 6.18, and libbpf refuses to load against another one than was
 * declared.
 */
static __always_inline bool session_returns(struct pt_regs *ctx)
{
	return bpf_get_func_ip(ctx) != ctx->ip;
}

SEC("uprobe")
int call_session(struct pt_regs *ctx)
{
	use_stack_of_thread(ctx);
	if (session_returns(ctx))
		return leave(ctx);
	return enter(ctx) ? 0 : 1; /* 1: the return need not trap */
}

/* Without sessions this must return 0: some kernels take a 1 from a uprobe for "remove this breakpoint". */
SEC("uprobe")
int call_entered(struct pt_regs *ctx)
{
	use_stack_of_thread(ctx);
	enter(ctx);
	return 0;
}

SEC("uprobe")
int call_returned(struct pt_regs *ctx)
{
	use_stack_of_thread(ctx);
	return leave(ctx);
}

/* The dynamic linker has loaded or unloaded objects: it calls this hook, made for debuggers, after each
 * change. */
SEC("uprobe")
int objects_changed(struct pt_regs *ctx)
{
	struct thread *thread = thread_get();
	struct process *process;

	if (!thread)
		return 0;
	process = process_at(thread->process);
	if (process)
		code_changed(process);
	__sync_fetch_and_add(&process_epoch, 1);
	event_send(EVENT_OBJECTS, bpf_get_current_pid_tgid() >> 32, thread->process, NO_PROCESS);
	return 0;
}
