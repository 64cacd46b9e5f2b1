/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* Births and deaths of owners: fork gives a child an index of its own, exec a new one, exit ends it. */
#pragma once

#include "bpf/process.h"

static __always_inline void process_init(
	__u32 index, const struct task_struct *task, __u32 parent, bool from_birth)
{
	struct process *process = process_at(index);

	if (!process)
		return;
	__builtin_memset(process, 0, sizeof(*process));
	process->tgid = task->tgid;
	process->parent = parent;
	process->from_birth = from_birth;
	code_changed(process);
	bpf_probe_read_kernel_str(process->comm, sizeof(process->comm), task->comm);
}

static __always_inline void process_end(__u32 index, enum process_end end)
{
	struct process *process = process_at(index);

	if (process)
		process->end = end;
}

/* Take an unused index. @return false when there is none: the process will not be followed. */
static __always_inline bool process_take(__u32 *index)
{
	if (process_count < MAX_PROCESSES) {
		*index = __sync_fetch_and_add(&process_count, 1);
		if (*index < MAX_PROCESSES)
			return true;
		__sync_fetch_and_add(&process_count, -1);
	}
	if (!bpf_map_pop_elem(&free_processes, index))
		return true;
	count(&lost.processes);
	return false;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_forked, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_tgid = parent->tgid, tgid = child->tgid;
	struct process_ref *owner, ref = {0};

	if (tgid == parent_tgid)
		return 0; /* a thread */
	owner = bpf_map_lookup_elem(&process_of_tgid, &parent_tgid);
	if (!owner)
		return 0;
	if (child->mm == parent->mm) {
		/* vfork, posix_spawn: what the child allocates is in its parent's memory. */
		ref.process = owner->process;
		ref.borrowed = 1;
		bpf_map_update_elem(&process_of_tgid, &tgid, &ref, BPF_ANY);
	} else if (process_take(&ref.process)) {
		process_init(ref.process, child, owner->process, false);
		if (bpf_map_update_elem(&process_of_tgid, &tgid, &ref, BPF_ANY)) {
			bpf_map_push_elem(&free_processes, &ref.process, 0);
			count(&lost.processes);
			return 0;
		}
	} else {
		return 0;
	}
	event_send(EVENT_FORK, tgid, ref.process, owner->process);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_execed, struct task_struct *task, int old_pid)
{
	__u32 tgid = task->tgid, old;
	struct process_ref *owner, ref = {0};
	struct event *event;

	owner = bpf_map_lookup_elem(&process_of_tgid, &tgid);
	if (!owner)
		return 0;
	old = owner->process;
	if (!owner->borrowed)
		process_end(old, PROCESS_EXECED);
	if (!process_take(&ref.process)) {
		__sync_fetch_and_add(&process_epoch, 1);
		bpf_map_delete_elem(&process_of_tgid, &tgid);
		event_send(EVENT_EXIT, tgid, NO_PROCESS, old);
		return 0;
	}
	process_init(ref.process, task, old, true);
	bpf_map_update_elem(&process_of_tgid, &tgid, &ref, BPF_ANY);
	__sync_fetch_and_add(&process_epoch, 1);
	event = event_reserve(EVENT_EXEC, tgid, ref.process);
	if (event) {
		event->old_process = old;
		event->leader_changed = (__u32)old_pid != tgid;
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exited, struct task_struct *task)
{
	__u32 tgid = task->tgid, process;
	struct process_ref *owner, ref;

	owner = bpf_map_lookup_elem(&process_of_tgid, &tgid);
	if (!owner || task->signal->live.counter > 0)
		return 0; /* not the last thread */
	ref = *owner;
	/* Two last threads may both find themselves to be it. */
	if (bpf_map_delete_elem(&process_of_tgid, &tgid))
		return 0;
	process = ref.borrowed ? NO_PROCESS : ref.process;
	if (!ref.borrowed)
		process_end(process, PROCESS_EXITED);
	event_send(EVENT_EXIT, tgid, process, NO_PROCESS);
	return 0;
}
