/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc says of one process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/array.h"
#include "base/error.h"

#define PROC_COMM_SIZE 16

struct pid_list {
	pid_t *items;
	size_t count, capacity;
};

/** Copy a process's name. @return 0, or -1 when it is gone (comm is then empty) */
int proc_comm(pid_t pid, char comm[PROC_COMM_SIZE]);

/**
 * Can this process be traced? It must exist, be the leader of a thread group, have memory of its own (kernel
 * threads have none, zombies no more) and run a 64-bit program.
 *
 * @return 0, or -1 with the reason
 */
int proc_check_traceable(pid_t pid, struct error *err);

/** @return whether a process has ended, with all of its threads: it is gone, or a zombie */
bool proc_has_ended(pid_t pid);

/**
 * Where a process sees the root of the file system.
 *
 * @param root  filled with "" when it is this process's own, else with "/proc/PID/root"
 */
void proc_root(pid_t pid, char *root, size_t size);

/** @return whether a limit on memory (RLIMIT_AS, RLIMIT_DATA or strict overcommit) can make its allocations
 * fail */
bool proc_memory_is_limited(pid_t pid);

/** @return whether the machine refuses allocations that it could not back (vm.overcommit_memory = 2) */
bool proc_overcommit_is_strict(void);

/** @return the number of bytes of memory and swap that this machine has: no allocation larger than that
 * succeeds */
uint64_t proc_machine_memory(void);

/**
 * List the descendants of a process: its children, theirs, and so on.
 *
 * @param pids  appended to, parents before their children; freed by the caller with array_free()
 * @return 0, or -1 when memory ran out
 */
int proc_descendants(pid_t pid, struct pid_list *pids);

/**
 * List the processes of a name, or of a cgroup and those below it.
 *
 * @param comm    exact name, or NULL for any
 * @param cgroup  path as in /proc/PID/cgroup (cgroup v2) or below /sys/fs/cgroup, or NULL for any
 * @param pids    appended to; freed by the caller with array_free()
 * @return 0, or -1
 */
int proc_list(const char *comm, const char *cgroup, struct pid_list *pids, struct error *err);
