/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The mmap domain: what processes map by themselves, from system calls. What an allocator maps while it
 * serves a call is its own business and in the heap domain already.
 *
 * Unmapping can cut a mapping anywhere, which needs ordered ranges; those are kept by user space, to which
 * each call is told by one event. Memory goes away when munmap and mremap are entered and comes when a call
 * has succeeded, so that events of threads that hand addresses to each other are in their true order.
 */
#pragma once

#include "bpf/process.h"
#include "bpf/site.h"

/* x86-64's numbers of the system calls. */
enum { SYSCALL_MMAP = 9, SYSCALL_MUNMAP = 11, SYSCALL_BRK = 12, SYSCALL_MREMAP = 25 };

#define PAGE_MASK 4095ULL
#define SPACE_END (1ULL << 47) /* of user addresses */

/* A flag of thread_info.status: the system call in progress is one of 32-bit programs, with numbers of their
 * own. */
#define STATUS_COMPAT 2

static __always_inline bool is_compat(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->thread_info.status & STATUS_COMPAT;
}

static __always_inline __u64 whole_pages(__u64 size)
{
	return (size + PAGE_MASK) & ~PAGE_MASK;
}

static __always_inline void range_event(
	enum event_type type, struct thread *thread, __u64 start, __u64 size, __u32 site)
{
	struct event *event;

	if (!size)
		return;
	event = event_reserve(type, bpf_get_current_pid_tgid() >> 32, thread->process);
	if (!event)
		return;
	event->start = start;
	event->size = size;
	event->site = site;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void range_mapped(struct thread *thread, struct pt_regs *regs, __u64 start, __u64 size)
{
	__u32 site = site_get(thread, DOMAIN_MMAP, regs);

	range_event(EVENT_MAPPED, thread, start, size, site);
}

static __always_inline bool is_error(long result)
{
	return (unsigned long)result >= (unsigned long)-4095;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_entered, struct pt_regs *regs, long number)
{
	struct task_struct *task;
	struct thread *thread;

	if (number != SYSCALL_MUNMAP && number != SYSCALL_BRK && number != SYSCALL_MREMAP)
		return 0;
	thread = thread_get();
	if (!thread || thread->call || is_compat())
		return 0;
	thread->range_start = thread->range_size = 0;
	if (number == SYSCALL_BRK) {
		task = bpf_get_current_task_btf();
		thread->range_start = BPF_CORE_READ(task, mm, brk);
		return 0;
	}
	if (regs->di & PAGE_MASK || regs->di >= SPACE_END || regs->si > SPACE_END - regs->di)
		return 0; /* it will fail */
	thread->range_start = regs->di;
	thread->range_size = whole_pages(regs->si);
	range_event(EVENT_UNMAPPED, thread, thread->range_start, thread->range_size, NO_SITE);
	return 0;
}

/* A brk returns: tell what has gone. @return the bytes that have come, at the old end */
static __always_inline __u64 brk_left(struct thread *thread, __u64 result)
{
	__u64 old = whole_pages(thread->range_start), new = whole_pages(result);

	if (!old)
		return 0; /* its entry was not seen */
	if (new > old)
		return new - old;
	range_event(EVENT_UNMAPPED, thread, new, old - new, NO_SITE);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_left, struct pt_regs *regs, long result)
{
	long number = regs->orig_ax;
	struct thread *thread;
	__u64 start, size = 0;

	if (number != SYSCALL_MMAP && number != SYSCALL_MUNMAP && number != SYSCALL_BRK &&
		number != SYSCALL_MREMAP)
		return 0;
	thread = thread_get();
	if (!thread || thread->call || is_compat())
		return 0;
	start = result;
	if (number == SYSCALL_BRK) {
		size = brk_left(thread, result);
		start = whole_pages(thread->range_start);
	} else if (!is_error(result)) {
		if (number == SYSCALL_MMAP)
			size = whole_pages(regs->si);
		else if (number == SYSCALL_MREMAP)
			size = whole_pages(regs->dx);
	} else if (number != SYSCALL_MMAP) {
		start = thread->range_start; /* it is still there */
		size = thread->range_size;
	}
	if (size)
		range_mapped(thread, regs, start, size);
	return 0;
}
