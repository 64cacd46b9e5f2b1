/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Owners and threads. `process_of_tgid` says which thread groups are traced and by which index; each of their
 * threads carries its state in task storage, so that a probe finds it without hashing and without leaving
 * anything behind.
 */
#pragma once

#include "bpf/kernel.h"
#include "bpf/types.h"

/* Words of a stack that can be read at once, a power of two; and how many are when it is not known how many
 * will be needed. */
#define WINDOW_WORDS 512
#define WINDOW_USUAL 128

/* Words of a stack that a walk was decided by. */
#define USED_WORDS 128 /* a power of two */

struct used_words {
	__u64 words[USED_WORDS];
	__u16 places[USED_WORDS]; /* in words above the stack pointer that the walk began with */
};

/* A stack being walked: the frame at hand and what has been found so far. */
struct walk {
	__u64 ip, sp, bp, bx;
	__u64 hash, check;
	__u32 count; /* of frames */
	__u8 end;    /* enum stack_end */
	__u8 frame_pointers;
	__u8 interrupted; /* `ip` is not a return address */
	__u8 needs_bx;	  /* some rule is about rbx: restore it from frame to frame */
	__u8 needs_bp;	  /* rbp as it was at the beginning has mattered */
	__u8 memorable;	  /* nothing has mattered but the first registers and what is in `used` */
	__u32 used_count;
	__u64 first_ip, first_sp, first_bp;
	__u64 bp_place;			 /* where bp was read from; BP_FIRST or BP_NOTED */
	__u64 word;			 /* what stack_read_far() has read */
	__u64 window_start, window_size; /* bytes */
	__u64 read_end;			 /* nothing will be needed from here on; 0: not known */
	__u64 window[WINDOW_WORDS];
	struct used_words used;
};

/* A call into an allocator that has not returned, and scratch room: programs on uprobes can be preempted by
 * others of their kind on the same CPU, so nothing per-CPU is safe for longer than one instruction. */
struct thread {
	__u32 process; /* index, or NO_PROCESS */
	__u32 epoch;   /* of process_of_tgid when `process` was looked up */
	__u32 call;    /* enum allocator_call in flight, CALL_NONE (0) if none */
	__u32 last_site;
	__u64 last_site_id;
	__u64 tick;	   /* the kernel's count of them when the clock was last read */
	__u32 tick_ms;	   /* what it said: milliseconds since the session's start */
	__u64 sp, ip;	   /* at the entry of the call in flight */
	__u64 return_slot; /* what stands at `sp` while it is in flight; 0: not looked at yet */
	__u64 size;	   /* bytes it asks for */
	__u64 argument;	   /* the block to resize, or where the result goes */
	struct block old;  /* the block being resized; its site is NO_SITE when it is not known */
	__u64 range_start,
		range_size; /* that a system call in flight takes away; `start` is the old end for brk */
	__u32 last_site_check;
	__u32 nested_calls; /* inside the call in flight */
	__u32 code;	    /* of the process */
	struct walk walk;   /* of the stack of the call that returns */
	__u64 frames[MAX_FRAMES + 1];
};

struct process_ref {
	__u32 process;
	__u32 borrowed; /* a vfork child: runs on its parent's memory until it execs or exits */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * MAX_PROCESSES);
	__type(key, __u32);
	__type(value, struct process_ref);
} process_of_tgid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

__u32 process_count; /* indices of `processes` given out so far, used up in their order */

/* Indices below that are not in use any more; user space puts back those whose blocks it has swept away. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_PROCESSES);
	__type(value, __u32);
} free_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Raised at every change of process_of_tgid that can make a thread's cached process wrong. */
__u32 process_epoch;
__u32 code_numbers; /* given out to processes, one whenever their code changes */
struct lost lost;

static __always_inline void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline struct process *process_at(__u32 index)
{
	return bpf_map_lookup_elem(&processes, &index);
}

/* The code of a process has changed: what is remembered of it by address is not valid any more. */
static __always_inline void code_changed(struct process *process)
{
	process->code = __sync_fetch_and_add(&code_numbers, 1) + 1;
}

static __noinline struct thread *thread_refresh(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 epoch = process_epoch;
	struct process_ref *ref;
	struct process *process;
	struct thread *thread;

	ref = bpf_map_lookup_elem(&process_of_tgid, &tgid);
	if (!ref)
		return NULL;
	thread = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread) {
		count(&lost.threads);
		return NULL;
	}
	/* A new image or owner: whatever call was in flight, or site it came to, belongs to the old one. */
	if (thread->process != ref->process) {
		thread->call = 0;
		thread->last_site_id = 0;
	}
	thread->process = ref->process;
	process = process_at(ref->process);
	thread->code = process ? process->code : 0;
	thread->epoch = epoch;
	return thread;
}

/* The current thread's state, or NULL when its process is not traced. */
static __always_inline struct thread *thread_get(void)
{
	struct thread *thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, 0);

	if (thread && thread->epoch == process_epoch)
		return thread;
	return thread_refresh();
}

static __always_inline struct event *event_reserve(enum event_type type, __u32 tgid, __u32 process)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(&lost.events);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->type = type;
	event->tgid = tgid;
	event->process = process;
	return event;
}

static __always_inline void event_send(enum event_type type, __u32 tgid, __u32 process, __u32 old_process)
{
	struct event *event = event_reserve(type, tgid, process);

	if (!event)
		return;
	event->old_process = old_process;
	bpf_ringbuf_submit(event, 0);
}
