// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "trace/session_internal.h"

/* How often new processes of a name or a cgroup are looked for, in seconds. */
#define MATCH_INTERVAL 1.0

double session_clock(const struct session *session)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - session->start_monotonic.tv_sec) +
	       (double)(now.tv_nsec - session->start_monotonic.tv_nsec) / 1e9;
}

void session_warn(struct session *session, const char *format, ...)
{
	char *text = NULL, **item;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		return;
	for (size_t i = 0; i < session->warnings.count; i++) {
		if (!strcmp(session->warnings.items[i], text)) {
			free(text);
			return;
		}
	}
	item = array_push(&session->warnings);
	if (item)
		*item = text;
	else
		free(text);
}

bool session_can_probe(const struct session *session, enum allocator_kind kind)
{
	return !session->tracer || tracer_can_probe(session->tracer, kind);
}

/* Every probed file and every group of probes keeps a descriptor. */
static void raise_descriptor_limit(struct session *session)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &session->descriptor_limit))
		return;
	limit = session->descriptor_limit;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int add_extra_objects(struct session *session, struct error *err)
{
	const char *const *paths = session->options.objects;

	for (; paths && *paths; paths++) {
		const struct object *object = object_of_path(&session->objects, *paths, err);

		if (!object)
			return -1;
		if (!object->elf) {
			*err = object->problem;
			return -1;
		}
		if (!object->functions.count)
			return error_set(err, ERROR_UNSUPPORTED,
				"cannot trace %s: it defines no allocator function (it may be stripped)",
				*paths);
	}
	return 0;
}

struct session *session_start(const struct session_options *options, struct error *err)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		error_set_errno(err, ENOMEM, "cannot start a session");
		return NULL;
	}
	session->options = *options;
	raise_descriptor_limit(session);
	if (add_extra_objects(session, err))
		goto failed;
	session->sites = calloc(options->tracer.max_stacks, sizeof(*session->sites));
	if (!session->sites) {
		error_set_errno(err, ENOMEM, "cannot start a session");
		goto failed;
	}
	if (options->command && launch_begin(session, err))
		goto failed;
	if (!options->dry_run) {
		session->tracer = tracer_load(&options->tracer, err);
		if (!session->tracer)
			goto failed;
		unwind_vdso(session);
	}
	if (options->command && launch_files_found(session, err))
		goto failed;
	clock_gettime(CLOCK_MONOTONIC, &session->start_monotonic);
	clock_gettime(CLOCK_REALTIME, &session->start_realtime);
	return session;
failed:
	session_free(session);
	return NULL;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	follow_free(session);
	tracer_free(session->tracer);
	launch_free(session);
	object_cache_free(&session->objects);
	for (size_t i = 0; i < session->warnings.count; i++)
		free(session->warnings.items[i]);
	array_free(&session->warnings);
	array_free(&session->targets);
	free(session->sites);
	free(session);
}

static int add_target(struct session *session, pid_t pid, struct error *err)
{
	pid_t *target = array_push(&session->targets);

	if (!target)
		return error_set_errno(err, ENOMEM, "cannot trace process %d", pid);
	*target = pid;
	return 0;
}

/* The files named by --object are probed before they are mapped: nothing of them is missed then. */
static int place_extra_objects(struct session *session, pid_t pid, struct error *err)
{
	const char *const *paths = session->options.objects;

	for (; paths && *paths; paths++) {
		const struct object *object = object_of_path(&session->objects, *paths, err);

		if (!object || place_object(session, object, pid, true, err))
			return -1;
	}
	return 0;
}

/* A process that allocates by functions that we cannot find would look as if it held nothing. */
static int check_allocators(struct session *session, pid_t pid, struct error *err)
{
	char name[PROC_COMM_SIZE];

	if (session->options.all)
		return 0;
	for (size_t i = 0; i < session->placements.count; i++) {
		const struct placement *placement = &session->placements.items[i];

		if ((!placement->pid || placement->pid == pid) && placement->object->functions.count)
			return 0;
	}
	proc_comm(pid, name);
	return error_set(err, ERROR_UNSUPPORTED,
		"cannot trace process %d (%s): no allocator found in its files (is it a static executable "
		"without symbols? "
		"keep its symbols, install its debug file, or name the allocator's file with --object)",
		pid,
		session->command ? session->command[0] : name); /* it still waits to become the command */
}

static bool probes_operators(const struct session *session, pid_t pid)
{
	for (size_t i = 0; i < session->placements.count; i++) {
		const struct placement *placement = &session->placements.items[i];
		const struct allocator_functions *functions = &placement->object->functions;

		if ((placement->pid && placement->pid != pid) || placement->in_advance)
			continue;
		for (size_t j = 0; j < functions->count; j++) {
			if (functions->items[j].kind == ALLOCATOR_THROWING)
				return true;
		}
	}
	return false;
}

static void warn_if_limited(struct session *session, pid_t pid)
{
	if (probes_operators(session, pid) && proc_memory_is_limited(pid))
		session_warn(session,
			"process %d has a limit on its memory: operator new of jemalloc, tcmalloc and "
			"mimalloc is not traced in "
			"it (when it fails, its exception could not pass a probe)",
			pid);
}

int session_watch(struct session *session, pid_t pid, struct error *err)
{
	if (pid == getpid())
		return error_set(err, ERROR_USAGE, "cannot trace process %d: that is this very command", pid);
	if (is_followed(session, pid))
		return 0;
	if (proc_check_traceable(pid, err) || place_extra_objects(session, pid, err) ||
		follow_process(session, pid, false, err) || check_allocators(session, pid, err))
		return -1;
	warn_if_limited(session, pid);
	return add_target(session, pid, err);
}

int session_watch_family(struct session *session, pid_t pid, struct error *err)
{
	struct pid_list children = {0};

	if (session_watch(session, pid, err))
		return -1;
	/* Those that cannot be traced, or have ended by now, are no reason not to trace the others. */
	if (proc_descendants(pid, &children))
		return error_set_errno(err, ENOMEM, "cannot list the children of process %d", pid);
	for (size_t i = 0; i < children.count; i++) {
		if (session->tracer)
			session_watch(session, children.items[i], NULL);
	}
	array_free(&children);
	return 0;
}

int session_watch_matching(struct session *session, struct error *err)
{
	const struct session_options *options = &session->options;
	struct pid_list pids = {0};
	struct error ignored = {0};

	if (!options->comm && !options->cgroup && !options->all)
		return 0;
	if (proc_list(options->comm, options->cgroup, &pids, err))
		return -1;
	for (size_t i = 0; i < pids.count; i++) {
		/* One that cannot be traced, or has ended by now, is no reason not to trace the others. */
		if (session_watch(session, pids.items[i], &ignored) && ignored.code != ERROR_GONE)
			session_warn(session, "%s", ignored.message);
	}
	array_free(&pids);
	return 0;
}

/* Read what the child says of its exec: nothing when it went well. */
static int check_exec(const char *command, int error_fd, struct error *err)
{
	int failure = 0;

	if (read(error_fd, &failure, sizeof(failure)) != sizeof(failure))
		return 0;
	return error_set(err, ERROR_USAGE, "cannot run %s: %s", command, strerror(failure));
}

int session_launch(struct session *session, struct error *err)
{
	const char *name = session->options.command[0];
	_cleanup_close_ int release_fd = -1;
	_cleanup_close_ int error_fd = -1;
	pid_t child;

	if (place_extra_objects(session, 0, err) || launch_place(session, err))
		return -1;
	if (!session->tracer)
		return 0;
	child = launch_wait(session, &release_fd, &error_fd, err);
	if (child < 0)
		return -1;
	session->command = session->options.command;
	session->command_pid = child;
	if (tracer_add_process(session->tracer, child, true, err) < 0 || add_target(session, child, err) ||
		check_allocators(session, child, err))
		return -1; /* the child sees the pipe close and leaves */
	warn_if_limited(session, child);
	/* The clock starts with the command. */
	clock_gettime(CLOCK_MONOTONIC, &session->start_monotonic);
	clock_gettime(CLOCK_REALTIME, &session->start_realtime);
	if (write(release_fd, "", 1) != 1)
		return error_set_errno(err, errno, "cannot run %s", name);
	return check_exec(name, error_fd, err);
}

pid_t session_command_pid(const struct session *session)
{
	return session->command_pid;
}

static int open_timer(double interval, struct error *err)
{
	struct itimerspec when = {0};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	when.it_interval.tv_sec = when.it_value.tv_sec = (time_t)interval;
	when.it_interval.tv_nsec = when.it_value.tv_nsec =
		(long)((interval - (double)(time_t)interval) * 1e9);
	if (fd < 0 || timerfd_settime(fd, 0, &when, NULL)) {
		error_set_errno(err, errno, "cannot set a timer");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static void sample(struct session *session,
	void (*callback)(const struct session_progress *progress, void *data), void *data)
{
	struct session_progress progress = {0};
	struct lost lost = tracer_lost(session->tracer);

	follow_missed_ends(session);
	follow_new_images(session);
	sample_sites(session, &progress);
	progress.elapsed = session_clock(session);
	progress.lost = lost.blocks + lost.stacks + lost.returns + lost.missed_frees + lost.processes +
			lost.threads + lost.events;
	if (callback)
		callback(&progress, data);
}

/* @return a descriptor that polls readable once the command has ended: its exit event comes before it can be
 * reaped; -1 when there is none */
static int open_command(const struct session *session)
{
	return session->command_pid ? (int)syscall(SYS_pidfd_open, session->command_pid, 0) : -1;
}

/* Reap the command once it has ended. */
static void reap_command(struct session *session)
{
	if (session->command_pid &&
		waitpid(session->command_pid, &session->command_status, WNOHANG) == session->command_pid)
		session->command_pid = 0;
}

/* @return whether all that was watched has ended, children included */
static bool all_ended(struct session *session)
{
	const struct session_options *options = &session->options;

	reap_command(session);
	return !session->command_pid && !follows_any(session) && !options->comm && !options->cgroup &&
	       !options->all;
}

int session_run(struct session *session, double duration, int stop_fd,
	void (*progress)(const struct session_progress *progress, void *data), void *data, struct error *err)
{
	_cleanup_close_ int timer = open_timer(session->options.interval, err);
	_cleanup_close_ int command = open_command(session);
	struct pollfd fds[] = {
		{.fd = tracer_event_fd(session->tracer), .events = POLLIN},
		{.fd = timer, .events = POLLIN},
		{.fd = stop_fd, .events = POLLIN},
		{.fd = command, .events = POLLIN},
	};
	const struct session_progress begun = {.elapsed = session_clock(session)};
	double matched = 0;
	uint64_t ticks;

	if (timer < 0)
		return -1;
	/* Who waits for tracing to begin need not wait for a sample. */
	if (progress)
		progress(&begun, data);
	while (!all_ended(session)) {
		double now = session_clock(session);
		double left = duration > 0 ? duration - now : 1;

		if (left <= 0)
			break;
		if (left > MATCH_INTERVAL)
			left = MATCH_INTERVAL;
		if (!session->command_pid)
			fds[3].fd = -1; /* it would be readable for ever */
		if (poll(fds, 4, (int)(left * 1000) + 1) < 0 && errno != EINTR)
			return error_set_errno(err, errno, "cannot wait for events");
		if (fds[0].revents)
			follow_events(session);
		if (fds[1].revents && read(timer, &ticks, sizeof(ticks)) == sizeof(ticks))
			sample(session, progress, data);
		if (fds[2].revents)
			break;
		if (now - matched >= MATCH_INTERVAL) {
			matched = now;
			if (session_watch_matching(session, err))
				return -1;
		}
	}
	follow_events(session);
	/* Nobody is to pay for probes while the report is made. */
	follow_stop(session);
	sample(session, progress, data);
	return 0;
}

int session_command_status(const struct session *session)
{
	return session->command_status;
}

bool session_watched_any(const struct session *session)
{
	return session->owners.count > 0;
}
