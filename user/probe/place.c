// SPDX-License-Identifier: GPL-2.0-or-later
/* Placing probes in the functions of an object, by whichever mechanism the tracer uses. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "probe/tracer_internal.h"
#include "heap.skel.h"
#include "probe/uprobe_multi.h"

/* What uprobes return for an instruction that they cannot handle; it has no name in user space. */
#define KERNEL_ENOTSUPP 524

/* Either kind of link: a descriptor of our own making, or libbpf's. */
struct probe_link {
	int fd;
	struct bpf_link *link;
};

struct probe_group {
	struct probe_link *items;
	size_t count, capacity;
	struct tracer *tracer;
	size_t refused;
};

/* Where probes go, and their cookies. */
struct places {
	uint64_t *offsets, *cookies;
	size_t count;
};

static int group_add(struct probe_group *group, int fd, struct bpf_link *link)
{
	struct probe_link *item = array_push(group);

	if (!item) {
		if (link)
			bpf_link__destroy(link);
		else
			close(fd);
		errno = ENOMEM;
		return -1;
	}
	item->fd = fd;
	item->link = link;
	return 0;
}

static int perf_links(struct probe_group *group, const struct bpf_program *program, const char *path,
	const struct places *places, pid_t pid, bool at_return)
{
	for (size_t i = 0; i < places->count; i++) {
		LIBBPF_OPTS(
			bpf_uprobe_opts, options, .retprobe = at_return, .bpf_cookie = places->cookies[i]);
		struct bpf_link *link = bpf_program__attach_uprobe_opts(
			program, pid ? pid : -1, path, places->offsets[i], &options);

		if (!link || group_add(group, -1, link))
			return -1;
	}
	return 0;
}

/* @return the descriptor of a link to `count` of the places, from the `first` one on, or -1 with errno */
static int multi_link(const struct bpf_program *program, const char *path, const struct places *places,
	size_t first, size_t count, pid_t pid, bool at_return)
{
	return uprobe_multi_link(bpf_program__fd(program),
		(int)bpf_program__get_expected_attach_type(program), path, places->offsets + first,
		places->cookies + first, count, pid, at_return);
}

static int place(struct tracer *tracer, struct probe_group *group, const struct bpf_program *program,
	const char *path, const struct places *places, pid_t pid, bool at_return)
{
	int fd;

	if (!places->count)
		return 0;
	if (tracer->mechanism == TRACER_PERF)
		return perf_links(group, program, path, places, pid, at_return);
	fd = multi_link(program, path, places, 0, places->count, pid, at_return);
	if (fd >= 0)
		return group_add(group, fd, NULL);
	/* One instruction that the kernel refuses to probe spoils all of a link: leave out just that. */
	if (errno != KERNEL_ENOTSUPP && errno != EOPNOTSUPP)
		return -1;
	for (size_t i = 0; i < places->count; i++) {
		fd = multi_link(program, path, places, i, 1, pid, at_return);
		if (fd < 0)
			group->refused++;
		else if (group_add(group, fd, NULL))
			return -1;
	}
	return 0;
}

static void add_place(struct places *places, const struct allocator_function *function)
{
	places->offsets[places->count] = function->offset + function->site.offset;
	places->cookies[places->count++] = function->kind;
}

/*
 * One link holds all probes of an object where there are sessions. Where entries and returns are apart,
 * returns come first, so that no entry waits in vain.
 */
static int place_functions(struct tracer *tracer, struct probe_group *group, const char *path,
	const struct allocator_functions *functions, struct places *all, struct places *returning, pid_t pid)
{
	struct heap_bpf *skeleton = tracer->skeleton;

	/* Frees first: no block may outlive its free because the kernel was still placing probes. */
	for (size_t i = 0; i < functions->count; i++) {
		if (functions->items[i].kind == ALLOCATOR_RELEASE)
			add_place(all, &functions->items[i]);
	}
	for (size_t i = 0; i < functions->count; i++) {
		const struct allocator_function *function = &functions->items[i];

		if (function->kind == ALLOCATOR_RELEASE || !tracer_can_probe(tracer, function->kind))
			continue;
		add_place(all, function);
		if (allocator_kind_returns(function->kind))
			add_place(returning, function);
	}
	if (tracer->mechanism == TRACER_SESSION)
		return place(tracer, group, skeleton->progs.call_session, path, all, pid, false);
	return place(tracer, group, skeleton->progs.call_returned, path, returning, pid, true) ||
			       place(tracer, group, skeleton->progs.call_entered, path, all, pid, false)
		       ? -1
		       : 0;
}

static int places_allocate(struct places *places, size_t count)
{
	places->offsets = calloc(count + 1, sizeof(*places->offsets));
	places->cookies = calloc(count + 1, sizeof(*places->cookies));
	if (places->offsets && places->cookies)
		return 0;
	errno = ENOMEM;
	return -1;
}

static void places_free(struct places *places)
{
	free(places->offsets);
	free(places->cookies);
}

static int place_all(struct tracer *tracer, struct probe_group *group, const char *path,
	const struct allocator_functions *functions, uint64_t hook, pid_t pid)
{
	uint64_t no_cookie = 0;
	struct places hooks = {&hook, &no_cookie, hook ? 1 : 0}, all = {0}, returning = {0};
	int status;

	status = place(tracer, group, tracer->skeleton->progs.objects_changed, path, &hooks, pid, false);
	if (!status)
		status = places_allocate(&all, functions->count) ||
			 places_allocate(&returning, functions->count);
	if (!status)
		status = place_functions(tracer, group, path, functions, &all, &returning, pid);
	places_free(&all);
	places_free(&returning);
	return status;
}

struct probe_group *tracer_place(struct tracer *tracer, int fd, const struct allocator_functions *functions,
	uint64_t hook, pid_t pid, struct error *err)
{
	struct probe_group *group = calloc(1, sizeof(*group));
	char path[64];

	/* The kernel follows this link to the very inode, whatever its path names by now. */
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	if (!group) {
		error_set_errno(err, ENOMEM, "cannot place probes");
		return NULL;
	}
	group->tracer = tracer;
	if (place_all(tracer, group, path, functions, hook, pid)) {
		error_set_errno(err, errno, "cannot place probes in process %d", pid);
		probe_group_free(group);
		return NULL;
	}
	return group;
}

size_t probe_group_refused(const struct probe_group *group)
{
	return group->refused;
}

static void group_remove(struct probe_group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		if (group->items[i].link)
			bpf_link__destroy(group->items[i].link);
		else
			close(group->items[i].fd);
	}
	array_free(group);
	free(group);
}

static void *remove_in_thread(void *data)
{
	struct probe_group *group = data;
	struct tracer *tracer = group->tracer;

	group_remove(group);
	pthread_mutex_lock(&tracer->removals_lock);
	tracer->removals--;
	pthread_cond_signal(&tracer->removal_done);
	pthread_mutex_unlock(&tracer->removals_lock);
	return NULL;
}

/* Threads that wait for the same grace period are let go together; more of them than this gain nothing. */
#define MAX_REMOVALS 32

void probe_group_free(struct probe_group *group)
{
	struct tracer *tracer;
	pthread_t thread;

	if (!group)
		return;
	tracer = group->tracer;
	pthread_mutex_lock(&tracer->removals_lock);
	while (tracer->removals >= MAX_REMOVALS)
		pthread_cond_wait(&tracer->removal_done, &tracer->removals_lock);
	tracer->removals++;
	pthread_mutex_unlock(&tracer->removals_lock);
	if (pthread_create(&thread, NULL, remove_in_thread, group))
		remove_in_thread(group);
	else
		pthread_detach(thread);
}

void probe_removals_wait(struct tracer *tracer)
{
	pthread_mutex_lock(&tracer->removals_lock);
	while (tracer->removals)
		pthread_cond_wait(&tracer->removal_done, &tracer->removals_lock);
	pthread_mutex_unlock(&tracer->removals_lock);
}

bool probe_mechanism_works(struct tracer *tracer)
{
	const struct bpf_program *program = tracer->mechanism == TRACER_SESSION
						    ? tracer->skeleton->progs.call_session
						    : tracer->skeleton->progs.call_entered;
	uint64_t offset = 0;

	if (tracer->mechanism == TRACER_PERF)
		return true;
	/*
	 * A directory cannot be probed: kernels that know this kind of link get so far as to say so, others
	 * find the request itself invalid. To place a real probe, and remove it, takes two grace periods.
	 */
	return uprobe_multi_link(bpf_program__fd(program),
		       (int)bpf_program__get_expected_attach_type(program), "/", &offset, NULL, 1, 0,
		       false) < 0 &&
	       errno == EBADF;
}
