// SPDX-License-Identifier: GPL-2.0-or-later
#include "probe/tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "probe/tracer_internal.h"
#include "heap.skel.h"
#include "probe/uprobe_multi.h"
#include "proc/process.h"

/* Three slots for two blocks: at two thirds full, hardly any block finds both of its buckets full. */
static uint32_t buckets_for(uint32_t blocks)
{
	uint64_t slots = (uint64_t)blocks * 3 / 2;

	return (uint32_t)(slots / BUCKET_BLOCKS + 1);
}

static uint32_t sites_for(uint32_t stacks)
{
	return stacks + MAX_PROCESSES * DOMAINS;
}

uint64_t tracer_memory(const struct tracer_options *options)
{
	return (uint64_t)buckets_for(options->max_blocks) * sizeof(struct bucket) +
	       (uint64_t)sites_for(options->max_stacks) * sizeof(struct site) +
	       (uint64_t)options->max_stacks * (sizeof(struct stack) + 64 /* site_of_id's element */) +
	       MAX_PROCESSES * sizeof(struct process) + MAX_MAPPINGS * (sizeof(struct mapping) + 64) +
	       MAX_FILES * (sizeof(struct mapped_file) + 64) +
	       (uint64_t)options->max_rows * sizeof(struct unwind_row) + MAX_RULES * sizeof(uint64_t) +
	       WALK_TABLES;
}

static const char *const mechanism_names[] = {[TRACER_BEST] = "best",
	[TRACER_SESSION] = "session",
	[TRACER_MULTI] = "multi",
	[TRACER_PERF] = "perf"};

bool tracer_mechanism_parse(const char *name, enum tracer_mechanism *mechanism)
{
	for (int i = TRACER_SESSION; i <= TRACER_PERF; i++) {
		if (strcmp(name, mechanism_names[i]) != 0)
			continue;
		*mechanism = (enum tracer_mechanism)i;
		return true;
	}
	return false;
}

/* libbpf's warnings are kept out of the user's sight: errors are reported in our own words. */
static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Load only the programs that a mechanism attaches, each for the way in which it does. */
static void choose_programs(struct tracer *tracer, enum tracer_mechanism mechanism)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct {
		struct bpf_program *program;
		bool wanted;
		int attach_type;
	} programs[] = {
		{skeleton->progs.call_session, mechanism == TRACER_SESSION, ATTACH_UPROBE_SESSION},
		{skeleton->progs.call_entered, mechanism != TRACER_SESSION, ATTACH_UPROBE_MULTI},
		{skeleton->progs.call_returned, mechanism != TRACER_SESSION, ATTACH_UPROBE_MULTI},
		{skeleton->progs.objects_changed, true, ATTACH_UPROBE_MULTI},
	};

	tracer->mechanism = mechanism;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		bpf_program__set_autoload(programs[i].program, programs[i].wanted);
		if (mechanism != TRACER_PERF)
			bpf_program__set_expected_attach_type(
				programs[i].program, (enum bpf_attach_type)programs[i].attach_type);
	}
}

static void size_maps(struct tracer *tracer, const struct tracer_options *options)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct tracer_tables *tables = &tracer->tables;
	struct timespec now;

	tables->bucket_count = buckets_for(options->max_blocks);
	tables->max_stacks = options->max_stacks;
	tables->max_rows = options->max_rows;
	tables->site_limit = sites_for(options->max_stacks);
	bpf_map__set_max_entries(skeleton->maps.blocks, tables->bucket_count);
	bpf_map__set_max_entries(skeleton->maps.sites, tables->site_limit);
	bpf_map__set_max_entries(skeleton->maps.stacks, options->max_stacks);
	bpf_map__set_max_entries(skeleton->maps.site_of_id, options->max_stacks);
	bpf_map__set_max_entries(skeleton->maps.free_sites, options->max_stacks);
	bpf_map__set_max_entries(skeleton->maps.rows, options->max_rows);
	skeleton->rodata->bucket_count = tables->bucket_count;
	skeleton->rodata->max_stacks = options->max_stacks;
	skeleton->rodata->min_size = options->min_size;
	skeleton->rodata->throwing_limit = proc_overcommit_is_strict() ? 0 : proc_machine_memory();
	clock_gettime(CLOCK_MONOTONIC, &now);
	tables->start_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	skeleton->rodata->start_ns = tables->start_ns;
}

/* Load for one mechanism and try it. @return 0, or -errno of what failed */
static int load_for(
	struct tracer *tracer, const struct tracer_options *options, enum tracer_mechanism mechanism)
{
	int status;

	tracer->skeleton = heap_bpf__open();
	if (!tracer->skeleton)
		return -errno;
	choose_programs(tracer, mechanism);
	bpf_program__set_autoload(tracer->skeleton->progs.syscall_entered, options->mmap_domain);
	bpf_program__set_autoload(tracer->skeleton->progs.syscall_left, options->mmap_domain);
	size_maps(tracer, options);
	status = heap_bpf__load(tracer->skeleton);
	if (!status && !probe_mechanism_works(tracer))
		status = -EOPNOTSUPP;
	if (status) {
		heap_bpf__destroy(tracer->skeleton);
		tracer->skeleton = NULL;
	}
	return status;
}

static int load(struct tracer *tracer, const struct tracer_options *options, struct error *err)
{
	int status = -EOPNOTSUPP;

	for (int mechanism = TRACER_SESSION; mechanism <= TRACER_PERF; mechanism++) {
		if (options->mechanism != TRACER_BEST && (int)options->mechanism != mechanism)
			continue;
		status = load_for(tracer, options, (enum tracer_mechanism)mechanism);
		if (!status)
			return 0;
		if (status == -EPERM || status == -ENOMEM)
			break;
	}
	if (status == -EPERM || status == -EACCES)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot load BPF programs: %s (run as root, or with CAP_BPF, CAP_PERFMON and "
			"CAP_SYS_PTRACE)",
			strerror(-status));
	if (status == -ENOMEM)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot make the tables: %s (ask for less: --max-blocks, --max-stacks)",
			strerror(-status));
	if (options->mechanism != TRACER_BEST && status == -EOPNOTSUPP)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot place probes by the mechanism \"%s\": this kernel does not have it (leave "
			"out "
			"--mechanism)",
			mechanism_names[options->mechanism]);
	return error_set(err, ERROR_UNSUPPORTED,
		"cannot load BPF programs: %s (this needs Linux 5.15 or later with BTF and uprobes)",
		strerror(-status));
}

static void *map_memory(const struct bpf_map *map, struct error *err)
{
	size_t size = (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (memory == MAP_FAILED) {
		error_set_errno(err, errno, "cannot map the table %s", bpf_map__name(map));
		return NULL;
	}
	return memory;
}

static int map_tables(struct tracer *tracer, struct error *err)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct tracer_tables *tables = &tracer->tables;

	tables->sites = map_memory(skeleton->maps.sites, err);
	tables->stacks = map_memory(skeleton->maps.stacks, err);
	tables->processes = map_memory(skeleton->maps.processes, err);
	tables->mappings = map_memory(skeleton->maps.mappings, err);
	tables->files = map_memory(skeleton->maps.files, err);
	return tables->sites && tables->stacks && tables->processes && tables->mappings && tables->files ? 0
													 : -1;
}

static void unmap_memory(const struct bpf_map *map, void *memory)
{
	if (memory)
		munmap(memory, (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map));
}

static void unmap_tables(struct tracer *tracer)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct tracer_tables *tables = &tracer->tables;

	unmap_memory(skeleton->maps.blocks, tracer->buckets);
	unmap_memory(skeleton->maps.sites, tables->sites);
	unmap_memory(skeleton->maps.stacks, tables->stacks);
	unmap_memory(skeleton->maps.processes, tables->processes);
	unmap_memory(skeleton->maps.mappings, tables->mappings);
	unmap_memory(skeleton->maps.files, tables->files);
}

static int attach_tracepoints(struct tracer *tracer, bool mmap_domain, struct error *err)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct {
		struct bpf_program *program;
		struct bpf_link **link;
		bool wanted;
	} tracepoints[] = {
		{skeleton->progs.process_forked, &skeleton->links.process_forked, true},
		{skeleton->progs.process_execed, &skeleton->links.process_execed, true},
		{skeleton->progs.process_exited, &skeleton->links.process_exited, true},
		{skeleton->progs.syscall_entered, &skeleton->links.syscall_entered, mmap_domain},
		{skeleton->progs.syscall_left, &skeleton->links.syscall_left, mmap_domain},
	};

	for (size_t i = 0; i < sizeof(tracepoints) / sizeof(tracepoints[0]); i++) {
		if (!tracepoints[i].wanted)
			continue;
		*tracepoints[i].link = bpf_program__attach(tracepoints[i].program);
		if (!*tracepoints[i].link)
			return error_set_errno(err, errno, "cannot attach to the tracepoint of %s",
				bpf_program__name(tracepoints[i].program));
	}
	return 0;
}

/* How many events are delivered at once: a producer faster than we are must not keep us from the clock. */
#define EVENTS_AT_ONCE 4096

static int queue_event(void *tracer_data, void *event, size_t size)
{
	struct tracer *tracer = tracer_data;

	if (size >= sizeof(struct event))
		tracer->callback(event, tracer->callback_data);
	return --tracer->event_budget > 0 ? 0 : -EAGAIN;
}

struct tracer *tracer_load(const struct tracer_options *options, struct error *err)
{
	struct tracer *tracer = calloc(1, sizeof(*tracer));

	if (!tracer) {
		error_set_errno(err, ENOMEM, "cannot load BPF programs");
		return NULL;
	}
	libbpf_set_print(print_nothing);
	pthread_mutex_init(&tracer->removals_lock, NULL);
	pthread_cond_init(&tracer->removal_done, NULL);
	if (load(tracer, options, err) || !tracer->skeleton || map_tables(tracer, err) ||
		attach_tracepoints(tracer, options->mmap_domain, err))
		goto failed;
	tracer->ring =
		ring_buffer__new(bpf_map__fd(tracer->skeleton->maps.events), queue_event, tracer, NULL);
	if (!tracer->ring) {
		error_set_errno(err, errno, "cannot read the event buffer");
		goto failed;
	}
	return tracer;
failed:
	tracer_free(tracer);
	return NULL;
}

void tracer_free(struct tracer *tracer)
{
	if (!tracer)
		return;
	probe_removals_wait(tracer);
	pthread_cond_destroy(&tracer->removal_done);
	pthread_mutex_destroy(&tracer->removals_lock);
	ring_buffer__free(tracer->ring);
	tracer_rows_free(tracer);
	if (tracer->skeleton) {
		unmap_tables(tracer);
		heap_bpf__destroy(tracer->skeleton);
	}
	free(tracer);
}

enum tracer_mechanism tracer_mechanism(const struct tracer *tracer)
{
	return tracer->mechanism;
}

const struct tracer_tables *tracer_tables(const struct tracer *tracer)
{
	return &tracer->tables;
}

uint32_t tracer_site_count(const struct tracer *tracer)
{
	uint32_t count = __atomic_load_n(&tracer->skeleton->bss->site_count, __ATOMIC_ACQUIRE);

	return count < tracer->tables.max_stacks ? count : tracer->tables.max_stacks;
}

struct bucket *tracer_blocks(struct tracer *tracer, struct error *err)
{
	if (!tracer->buckets)
		tracer->buckets = map_memory(tracer->skeleton->maps.blocks, err);
	return tracer->buckets;
}

/* Runs that the kernel skipped because a program was running on that CPU already. */
static uint64_t skipped_runs(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_program__fd(program);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return 0;
	return info.recursion_misses;
}

struct lost tracer_lost(const struct tracer *tracer)
{
	struct lost lost = tracer->skeleton->bss->lost;

	if (tracer->mechanism == TRACER_SESSION) {
		lost.returns += skipped_runs(tracer->skeleton->progs.call_session);
	} else {
		lost.returns += skipped_runs(tracer->skeleton->progs.call_entered);
		lost.returns += skipped_runs(tracer->skeleton->progs.call_returned);
	}
	return lost;
}

bool tracer_can_probe(const struct tracer *tracer, enum allocator_kind kind)
{
	return kind != ALLOCATOR_THROWING || tracer->mechanism == TRACER_SESSION;
}

static void raise_epoch(struct tracer *tracer)
{
	__atomic_add_fetch(&tracer->skeleton->bss->process_epoch, 1, __ATOMIC_SEQ_CST);
}

/* The same as the kernel side's process_take(). */
static bool take_index(struct tracer *tracer, uint32_t *index)
{
	uint32_t *count = &tracer->skeleton->bss->process_count;

	if (__atomic_load_n(count, __ATOMIC_RELAXED) < MAX_PROCESSES) {
		*index = __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
		if (*index < MAX_PROCESSES)
			return true;
		__atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
	}
	return !bpf_map_lookup_and_delete_elem(
		bpf_map__fd(tracer->skeleton->maps.free_processes), NULL, index);
}

int tracer_add_process(struct tracer *tracer, pid_t pid, bool from_birth, struct error *err)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct {
		uint32_t process, borrowed;
	} ref = {0};
	uint32_t tgid = (uint32_t)pid;
	struct process *process;

	if (!take_index(tracer, &ref.process))
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot trace process %d: the process table is full (%d)", pid, MAX_PROCESSES);
	process = &tracer->tables.processes[ref.process];
	memset(process, 0, sizeof(*process));
	process->tgid = tgid;
	process->parent = NO_PROCESS;
	process->from_birth = from_birth;
	process->code = __atomic_add_fetch(&skeleton->bss->code_numbers, 1, __ATOMIC_SEQ_CST);
	proc_comm(pid, process->comm);
	if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.process_of_tgid), &tgid, &ref, BPF_NOEXIST)) {
		int failure = errno;
		uint32_t unused = ref.process;

		bpf_map_update_elem(bpf_map__fd(skeleton->maps.free_processes), NULL, &unused, 0);
		/* As a child of another it is recorded already. */
		if (failure == EEXIST &&
			!bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.process_of_tgid), &tgid, &ref))
			return (int)ref.process;
		return error_set_errno(err, failure, "cannot trace process %d", pid);
	}
	raise_epoch(tracer);
	return (int)ref.process;
}

void tracer_remove_process(struct tracer *tracer, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;

	bpf_map_delete_elem(bpf_map__fd(tracer->skeleton->maps.process_of_tgid), &tgid);
	raise_epoch(tracer);
}

static void sweep_bucket(struct bucket *bucket, const bool *ended)
{
	for (int i = 0; i < BUCKET_BLOCKS; i++) {
		uint64_t key = bucket->keys[i];

		if (key && key >> 48 < MAX_PROCESSES && ended[key >> 48])
			__atomic_compare_exchange_n(
				&bucket->keys[i], &key, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

/* The next owner of an index must not meet its predecessor's sites under the same hash. */
static void forget_sites(struct tracer *tracer, const bool *ended)
{
	int ids = bpf_map__fd(tracer->skeleton->maps.site_of_id);
	uint32_t count = tracer_site_count(tracer);

	for (uint32_t i = 0; i < count; i++) {
		const struct site *site = &tracer->tables.sites[i];

		if (site->id && ended[site->process])
			bpf_map_delete_elem(ids, &site->id);
	}
}

void tracer_recycle(struct tracer *tracer, const uint32_t *processes, size_t count)
{
	int queue = bpf_map__fd(tracer->skeleton->maps.free_processes);
	struct bucket *buckets = tracer_blocks(tracer, NULL);
	bool ended[MAX_PROCESSES] = {false};

	if (!buckets)
		return;
	for (size_t i = 0; i < count; i++)
		ended[processes[i]] = true;
	for (uint32_t i = 0; i < tracer->tables.bucket_count; i++)
		sweep_bucket(&buckets[i], ended);
	forget_sites(tracer, ended);
	for (size_t i = 0; i < count; i++) {
		struct site *without_stack =
			&tracer->tables.sites[tracer->tables.max_stacks + processes[i] * DOMAINS];

		memset(without_stack, 0, DOMAINS * sizeof(*without_stack));
		bpf_map_update_elem(queue, NULL, &processes[i], 0);
	}
}

void tracer_free_site(struct tracer *tracer, uint32_t index)
{
	memset(&tracer->tables.sites[index], 0, sizeof(*tracer->tables.sites));
	bpf_map_update_elem(bpf_map__fd(tracer->skeleton->maps.free_sites), NULL, &index, 0);
}

int tracer_event_fd(const struct tracer *tracer)
{
	return ring_buffer__epoll_fd(tracer->ring);
}

void tracer_events(struct tracer *tracer, void (*callback)(const struct event *event, void *data), void *data)
{
	tracer->callback = callback;
	tracer->callback_data = data;
	tracer->event_budget = EVENTS_AT_ONCE;
	ring_buffer__consume(tracer->ring);
}
