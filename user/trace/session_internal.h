/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files that make up a session share; nobody else includes it. */
#pragma once

#include <sys/resource.h>
#include <time.h>

#include "model/series.h"
#include "probe/object.h"
#include "proc/maps.h"
#include "proc/process.h"
#include "trace/ranges.h"
#include "trace/session.h"

/* One program image in one process: what an index of the kernel side's process table stood for, for a while.
 */
struct owner {
	uint32_t index;
	size_t serial; /* owners before it */
	pid_t pid;
	char comm[PROC_COMM_SIZE];
	enum process_end end;
	bool stopped;	     /* not recorded any more, though it runs */
	bool recycled;	     /* the index may mean another owner by now; `last` is what it held */
	bool look_now;	     /* its objects have changed */
	int looks_left;	     /* samples at which its objects are looked at again */
	bool end_sampled;    /* its series are complete */
	double end_time;     /* seconds since the session's start */
	struct process last; /* counters at the end */
	struct site without_stack[DOMAINS]; /* likewise */
	struct series without_stack_series[DOMAINS];
	struct profile_counts folded; /* of sites whose index went to others; nothing was left in them */
	struct proc_maps maps;	      /* as read last */
	struct ranges ranges;	      /* of the mmap domain */
};

/* What user space knows of a site; its counters are in the kernel side's table at the same index. */
struct site_record {
	struct owner *owner; /* NULL until it is first sampled */
	struct series series;
	uint64_t old_bytes, old_blocks; /* of blocks older than min_age, when that was last looked at */
};

/* Probes in one object, in one process or (pid 0) in all. Kept for the report when its process has ended. */
#define PLACEMENT_ENDED (-1)

struct placement {
	const struct object *object;
	pid_t pid;
	bool in_advance; /* nothing is known to map the object yet */
	struct probe_group *probes;
};

struct session {
	struct session_options options;
	struct tracer *tracer;
	struct object_cache objects;
	struct timespec start_monotonic, start_realtime;
	struct rlimit descriptor_limit; /* as it was: a command must get its own */

	struct {
		struct owner **items;
		size_t count, capacity;
	} owners;
	struct owner *owner_of_index[MAX_PROCESSES];
	struct {
		uint32_t *items;
		size_t count, capacity;
	} ended; /* indices that are not recycled yet */

	struct {
		struct placement *items;
		size_t count, capacity;
	} placements;
	const struct object *file_objects[MAX_FILES]; /* of the kernel side's `files`, where known */
	struct site_record *sites; /* max_stacks of them; memory is taken as they are used */

	struct pid_list targets; /* what the user named */
	struct launch *launch;	 /* of options.command */
	char **command;		 /* once it was started */
	pid_t command_pid;
	int command_status;	     /* as waitpid() gives it, once it has ended */
	uint64_t folded_allocations; /* of sites that lost their stacks to make room */
	size_t late_starts;	     /* processes and images that were picked up after they had begun */
	struct {
		char **items;
		size_t count, capacity;
	} warnings;
};

/** @return seconds since the session's start */
double session_clock(const struct session *session);

/** Note something that the report should say once. The same text is kept once. */
void session_warn(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** @return whether functions of this kind are probed by this session */
bool session_can_probe(const struct session *session, enum allocator_kind kind);

/* --- follow.c: owners, and what happens to processes --- */

/** Begin to record a process and place its probes. @return 0 or -1 */
int follow_process(struct session *session, pid_t pid, bool from_birth, struct error *err);

/** Place probes in a process's objects where there are none yet. @return 0, or -1 when it is gone */
int follow_objects(struct session *session, pid_t pid, struct error *err);

/**
 * Place probes in one object, in a process or (pid 0) in all. Does nothing where they already are.
 *
 * @param in_advance  the object is not known to be mapped; it is left out of lists of probes until it is
 * @return 0 or -1
 */
int place_object(
	struct session *session, const struct object *object, pid_t pid, bool in_advance, struct error *err);

/** Look again for objects of processes that have begun lately. */
void follow_new_images(struct session *session);

/** Take in the events that the kernel side has sent. */
void follow_events(struct session *session);

/** @return the owner that an index of the process table stands for */
struct owner *owner_of(struct session *session, uint32_t index);

/** @return whether a process is being recorded */
bool is_followed(const struct session *session, pid_t pid);

/** Make up for ends that were not heard of: end owners whose processes have ended. */
void follow_missed_ends(struct session *session);

/** @return whether any process is still being followed */
bool follows_any(const struct session *session);

/** Stop recording, and remove all probes; what was recorded stays. */
void follow_stop(struct session *session);

/** Free owners and placements. */
void follow_free(struct session *session);

/* --- recycle.c --- */

/** Make room in the tables when enough processes have ended: sweep their blocks, give back their indices and
 * sites. */
void recycle_ended(struct session *session);

/* --- mapped.c: the mmap domain --- */

/** Take in an EVENT_MAPPED or EVENT_UNMAPPED. */
void follow_mapping(struct session *session, const struct event *event);

/* --- unwind.c --- */

/** Have the rows of an object's file in the kernel side's table, if there is room. */
void unwind_object(struct session *session, struct object *object);

/** The same for the code that the kernel maps into every process. */
void unwind_vdso(struct session *session);

/** Take in an EVENT_ROWS. */
void follow_wanted_rows(struct session *session, const struct event *event);

/* --- sample.c --- */

/** Add a point to every site's series. @param progress filled with the sums; or NULL */
void sample_sites(struct session *session, struct session_progress *progress);

/** Add up the blocks older than options.min_age by site, into the records' old_bytes and old_blocks. */
void sample_old_blocks(struct session *session);

/** @return the site of an owner and domain that takes what has no stack; not in use when its id is 0 */
const struct site *site_without_stack(const struct session *session, const struct owner *owner, int domain);

/** @return the bytes alive in a site, 0 when its program image was replaced by exec */
uint64_t site_live_bytes(const struct site *site, const struct owner *owner);

/* --- launch.c --- */

/**
 * Begin to find and examine the files that options.command will map at its start: itself, its interpreters,
 * its libraries. A thread does it, to which the session's objects and warnings belong until
 * launch_files_found().
 *
 * @return 0, or -1 when there is no such command
 */
int launch_begin(struct session *session, struct error *err);

/** Wait for that. @return 0, or -1 when the command is no program */
int launch_files_found(struct session *session, struct error *err);

/** Place probes in those files. @return 0 or -1 */
int launch_place(struct session *session, struct error *err);

/** Fork a child that waits, with the descriptor limit that this process was started with. @param release_fd
 * write a byte to it to let it run the command. @return its pid or -1 */
pid_t launch_wait(const struct session *session, int *release_fd, int *error_fd, struct error *err);

/** Free what launch_begin() made, if anything. */
void launch_free(struct session *session);

/* --- resolve.c --- */

struct resolver;

/**
 * Find the object of a file that the kernel side has met: among those known, or by its path if that still
 * names it.
 *
 * @param index  into the table of files
 * @param pid    of a process that maps it, or did
 * @return the object, owned by the session's cache, or NULL
 */
struct object *session_file_object(struct session *session, uint32_t index, pid_t pid);

/** @return a resolver for the session's frames, to be freed with resolver_free(), or NULL when memory ran out
 */
struct resolver *resolver_new(struct session *session);

/**
 * Resolve the stack of a site into frames of a profile, inlined calls included.
 *
 * @param index  of the site, which has a stack
 * @return 0, or -1 when memory ran out
 */
int resolver_stack(struct resolver *resolver, uint32_t index, struct profile_site *out);

void resolver_free(struct resolver *resolver);
