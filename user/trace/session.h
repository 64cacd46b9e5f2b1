/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tracing session: which processes are watched, their probes, and the series of their sites; from its start
 * until a profile is taken.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "probe/tracer.h"
#include "trace/profile.h"

struct session_options {
	struct tracer_options tracer;
	double interval;	    /* seconds between samples */
	double min_age;		    /* seconds; younger blocks are left out of the profile's sites */
	const char *const *objects; /* further files with allocators, NULL-terminated; or NULL */
	/*
	 * Place probes in the files themselves, for every process on the machine that maps them, rather than
	 * in the watched processes only: nothing of a new process is missed, and the others pay for a trap
	 * each call.
	 */
	bool machine_wide;
	const char *comm;   /* also watch processes of this name, new ones too; or NULL */
	const char *cgroup; /* also watch the processes of this cgroup, new ones too; or NULL */
	bool all;	    /* watch every process */
	char **command; /* what session_launch() is to start, a NULL-terminated argument vector; or NULL */
	bool dry_run;	/* find the probes, but load and place nothing: only session_probes() makes sense then
			 */
};

struct session_progress {
	double elapsed; /* seconds */
	uint64_t calls; /* allocations and frees seen */
	uint64_t live_bytes;
	size_t sites;
	uint64_t lost; /* everything that could not be recorded */
};

struct session;

/**
 * Start a session: load the kernel side, and find the command.
 *
 * @param options  copied; what its pointers refer to must outlive the session
 * @return the session, to be freed with session_free(), or NULL
 */
struct session *session_start(const struct session_options *options, struct error *err);

/** End a session: all probes are removed. NULL is allowed. */
void session_free(struct session *session);

/** Watch a running process, and the children that it has from now on. @return 0 or -1 */
int session_watch(struct session *session, pid_t pid, struct error *err);

/** The same, and those of its descendants that run already. @return 0, or -1 when it cannot be watched itself
 */
int session_watch_family(struct session *session, pid_t pid, struct error *err);

/** @return whether any process has been watched at all */
bool session_watched_any(const struct session *session);

/** Watch the processes that the options name by comm, cgroup or all. @return 0 or -1 */
int session_watch_matching(struct session *session, struct error *err);

/** Start the options' command and watch it and its children from the first allocation on. @return 0 or -1 */
int session_launch(struct session *session, struct error *err);

/** @return the process of the command started by session_launch(), 0 once it has ended or when there is none
 */
pid_t session_command_pid(const struct session *session);

/** @return how the command ended, as waitpid() gives it; 0 while it runs or when there is none */
int session_command_status(const struct session *session);

/**
 * Work until it is time to stop: samples every interval and follows what happens to the processes.
 *
 * @param duration  seconds, 0: no limit
 * @param stop_fd   a descriptor; the session stops when it becomes readable
 * @param progress  called at the beginning, with nothing counted yet, and after each sample; or NULL
 * @return 0 when the time is over, the descriptor became readable, or all that was watched has ended; -1 on
 * an error
 */
int session_run(struct session *session, double duration, int stop_fd,
	void (*progress)(const struct session_progress *progress, void *data), void *data, struct error *err);

/**
 * Take the profile of the session so far, complete with symbols.
 *
 * @param profile  an empty one; the caller frees it with profile_free()
 * @return 0 or -1
 */
int session_profile(struct session *session, struct profile *profile, struct error *err);

/**
 * Tell which probes are, or in a dry run would be, in place.
 *
 * @param profile  an empty one, filled but for sites and counts; the caller frees it with profile_free()
 * @return 0 or -1
 */
int session_probes(struct session *session, struct profile *profile, struct error *err);
