/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of leaktop that runs in the kernel, loaded: its maps, mapped into this process, and placing its
 * probes.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "bpf/types.h"
#include "elf/unwind_rows.h"
#include "probe/allocator.h"

/* How probes are placed. */
enum tracer_mechanism {
	TRACER_BEST,	/* the first of the following that this kernel has */
	TRACER_SESSION, /* uprobe_multi with sessions, Linux 6.13 */
	TRACER_MULTI,	/* uprobe_multi, Linux 6.6 */
	TRACER_PERF,	/* a perf event for each probe */
};

struct tracer_options {
	uint32_t max_blocks; /* live blocks that can be told apart */
	uint32_t max_stacks; /* sites with a stack */
	uint32_t max_rows;   /* unwind rows of all files together */
	uint64_t min_size;   /* bytes; smaller allocations are not recorded */
	enum tracer_mechanism mechanism;
	bool mmap_domain; /* also follow what processes map by themselves */
};

/* The kernel side's tables, shared with it. The blocks are apart: tracer_blocks(). */
struct tracer_tables {
	struct site *sites;
	struct stack *stacks;
	struct process *processes;
	struct mapping *mappings;
	struct mapped_file *files;
	uint32_t bucket_count;
	uint32_t site_limit; /* of `sites`, those without a stack at the end included */
	uint32_t max_stacks;
	uint32_t max_rows;
	uint64_t start_ns; /* CLOCK_MONOTONIC; births of blocks count from here */
};

struct tracer;

/** @return the bytes of kernel memory that the tables of these options take */
uint64_t tracer_memory(const struct tracer_options *options);

/**
 * Load the programs and make the maps.
 *
 * @return the tracer, to be freed with tracer_free(); NULL with ERROR_UNSUPPORTED when this kernel or the
 * caller's privileges do not allow it
 */
struct tracer *tracer_load(const struct tracer_options *options, struct error *err);

/** Remove all probes and maps. NULL is allowed. */
void tracer_free(struct tracer *tracer);

enum tracer_mechanism tracer_mechanism(const struct tracer *tracer);
const struct tracer_tables *tracer_tables(const struct tracer *tracer);

/**
 * The table of blocks. It is by far the largest and seldom read, so it is mapped when it is first asked for.
 *
 * @return `bucket_count` buckets, or NULL
 */
struct bucket *tracer_blocks(struct tracer *tracer, struct error *err);

/** @return what the kernel side has lost so far, runs that the kernel itself skipped counted as missed
 * returns */
struct lost tracer_lost(const struct tracer *tracer);

/** @return how many sites with a stack exist so far; `tables.sites` is in use up to here */
uint32_t tracer_site_count(const struct tracer *tracer);

/** @return whether functions of this kind can be probed safely by the tracer's mechanism */
bool tracer_can_probe(const struct tracer *tracer, enum allocator_kind kind);

/* Probes that were placed together; removed together. */
struct probe_group;

/**
 * Place probes on allocator functions of an object. Those on frees come first, so that no block outlives its
 * free.
 *
 * @param fd         an open descriptor of the object; not needed any more afterwards
 * @param functions  those that tracer_can_probe() are placed
 * @param hook       file offset of the dynamic linker's hook for debuggers, or 0
 * @param pid        only in this process; 0: in every process that maps the object
 * @return the probes, to be removed with probe_group_free(), or NULL
 */
struct probe_group *tracer_place(struct tracer *tracer, int fd, const struct allocator_functions *functions,
	uint64_t hook, pid_t pid, struct error *err);

/** @return how many instructions the kernel refused to probe */
size_t probe_group_refused(const struct probe_group *group);

/**
 * Remove probes. The kernel waits for a grace period with each, so this happens in the background;
 * tracer_free() waits for the last. NULL is allowed.
 */
void probe_group_free(struct probe_group *group);

/**
 * Begin to record a process. Its probes should be in place.
 *
 * @param from_birth  it has not allocated yet
 * @return its index in `tables.processes`, or -1 when the process table is full
 */
int tracer_add_process(struct tracer *tracer, pid_t pid, bool from_birth, struct error *err);

/** Stop recording a process; what it has so far stays in the tables, and its probes do nothing any more. */
void tracer_remove_process(struct tracer *tracer, pid_t pid);

/**
 * Give the indices of ended processes back: their blocks are swept out of the table and their sites keep
 * their counters but are not found again, so that a new process can have the index. Without memory for that
 * they stay taken.
 *
 * @param processes  indices, `count` of them; each has ended
 */
void tracer_recycle(struct tracer *tracer, const uint32_t *processes, size_t count);

/**
 * Give the index of a site back to be used anew. Nothing may refer to it any more: its process has been
 * recycled.
 */
void tracer_free_site(struct tracer *tracer, uint32_t index);

/** @return a descriptor that polls readable when tracer_events() has something to deliver */
int tracer_event_fd(const struct tracer *tracer);

/** Deliver the events that have arrived, a few thousand at the most. */
void tracer_events(
	struct tracer *tracer, void (*callback)(const struct event *event, void *data), void *data);

/**
 * Copy the rows of a file into the kernel side's table. There they stay until the end.
 *
 * @param first  filled with the index of the first one
 * @return 0, or -1 when there is no room for them
 */
int tracer_place_rows(struct tracer *tracer, const struct unwind_rows *rows, uint32_t *first);

/** @return how many rows are in the table */
uint32_t tracer_rows_used(const struct tracer *tracer);

/**
 * Find a file in `tables.files`, or put it there.
 *
 * @param inode, device  as stat() gives them; VDSO_INODE for the vdso
 * @return its index; MAX_FILES when the table is full
 */
uint32_t tracer_file(struct tracer *tracer, uint64_t inode, dev_t device);

/** @return whether code of further files is taken for code that nothing is known of */
bool tracer_files_full(const struct tracer *tracer);

/** Let the kernel side know where a file's rows are, or that it has to do without. Other files may share
 * them. */
void tracer_give_rows(
	struct tracer *tracer, uint32_t file, enum rows_state state, uint32_t first, uint32_t count);

/** Read the name of a mechanism: "session", "multi" or "perf". @return whether there is such a mechanism */
bool tracer_mechanism_parse(const char *name, enum tracer_mechanism *mechanism);
