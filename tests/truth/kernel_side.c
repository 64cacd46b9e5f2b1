// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "probe/object.h"
#include "probe/tracer_internal.h"
#include "proc/maps.h"
#include "report/stack.h"
#include "tests/truth/truth.h"
#include "trace/session_internal.h"

#include "heap.skel.h"
#include "truth.skel.h"

/* More than enough. */
#define MAX_ROWS	  (4U << 20)
#define FIRST_CODE_NUMBER (1U << 20)

struct kernel_side {
	pid_t pid;
	bool recorded; /* in the table of processes */
	struct truth_bpf *skeleton;
	struct ring_buffer *ring;
	/* Only to hold the tables and the objects: nothing is traced. */
	struct session *session;
	size_t probed; /* of the session's objects, those that have their probes */
	struct {
		struct bpf_link **items;
		size_t count, capacity;
	} links;
	/* Of threads that are about to stop, or have. */
	struct {
		struct truth_sample *items;
		size_t count, capacity;
	} pending;
	struct truth_sample taken;
};

/* The tables that walks are made with, which leaktop's own code fills. */
static const char *const shared_maps[] = {
	"process_of_tgid", "processes", "files", "file_of_inode", "rows", "rules"};

static int on_sample(void *context, void *data, size_t size)
{
	struct kernel_side *side = context;
	struct truth_sample *sample = array_push(&side->pending);

	if (!sample || size < sizeof(*sample))
		return -ENOMEM;
	memcpy(sample, data, sizeof(*sample));
	return 0;
}

static int share_maps(struct kernel_side *side)
{
	for (size_t i = 0; i < sizeof(shared_maps) / sizeof(shared_maps[0]); i++) {
		struct bpf_map *ours = bpf_object__find_map_by_name(side->skeleton->obj, shared_maps[i]);
		struct bpf_map *theirs =
			bpf_object__find_map_by_name(side->session->tracer->skeleton->obj, shared_maps[i]);

		if (!ours || !theirs || bpf_map__reuse_fd(ours, bpf_map__fd(theirs)))
			return -1;
	}
	return 0;
}

static struct session *load_tables(struct error *err)
{
	const struct tracer_options options = {.max_blocks = 1, .max_stacks = 1, .max_rows = MAX_ROWS};
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		error_set_errno(err, ENOMEM, "cannot load");
		return NULL;
	}
	session->tracer = tracer_load(&options, err);
	if (!session->tracer) {
		free(session);
		return NULL;
	}
	unwind_vdso(session);
	return session;
}

struct kernel_side *kernel_side_load(pid_t pid, unsigned int every, struct error *err)
{
	struct kernel_side *side = calloc(1, sizeof(*side));

	if (!side) {
		error_set_errno(err, ENOMEM, "cannot load");
		return NULL;
	}
	side->pid = pid;
	side->session = load_tables(err);
	if (!side->session) {
		free(side);
		return NULL;
	}
	side->skeleton = truth_bpf__open();
	if (!side->skeleton)
		goto failed;
	side->skeleton->rodata->every = every;
	/* Files are put into the table by their tracer alone, which counts them. */
	side->skeleton->bss->file_count = MAX_FILES;
	/* The tracer has given out some. */
	side->skeleton->bss->code_numbers = FIRST_CODE_NUMBER;
	if (share_maps(side) || truth_bpf__load(side->skeleton))
		goto failed;
	side->ring = ring_buffer__new(bpf_map__fd(side->skeleton->maps.samples), on_sample, side, NULL);
	if (!side->ring)
		goto failed;
	return side;
failed:
	error_set_errno(err, errno, "cannot load the programs into the kernel");
	kernel_side_free(side);
	return NULL;
}

void kernel_side_free(struct kernel_side *side)
{
	if (!side)
		return;
	for (size_t i = 0; i < side->links.count; i++)
		bpf_link__destroy(side->links.items[i]);
	array_free(&side->links);
	array_free(&side->pending);
	ring_buffer__free(side->ring);
	truth_bpf__destroy(side->skeleton);
	tracer_free(side->session->tracer);
	object_cache_free(&side->session->objects);
	free(side->session);
	free(side);
}

static int place(struct kernel_side *side, const struct bpf_program *program, const struct object *object,
	uint64_t offset, struct error *err)
{
	struct bpf_link **link = array_push(&side->links);
	char path[64];

	if (!link)
		return error_set_errno(err, ENOMEM, "cannot place a probe");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", object->fd);
	*link = bpf_program__attach_uprobe(program, false, side->pid, path, offset);
	if (*link)
		return 0;
	side->links.count--;
	return error_set_errno(err, errno, "cannot place a probe in %s at %#lx", object->path, offset);
}

static int place_all(struct kernel_side *side, const struct object *object, struct error *err)
{
	if (object->hook && place(side, side->skeleton->progs.objects_changed, object, object->hook, err))
		return -1;
	for (size_t i = 0; i < object->functions.count; i++) {
		if (place(side, side->skeleton->progs.allocator_entered, object,
			    object->functions.items[i].offset, err))
			return -1;
	}
	return 0;
}

int kernel_side_update(struct kernel_side *side, struct error *err)
{
	struct object_cache *objects = &side->session->objects;
	struct proc_maps maps = {0};
	int result = proc_maps_read(side->pid, &maps, err);

	for (size_t i = 0; i < maps.count; i++) {
		struct object *object;

		if (!maps.items[i].executable || !maps.items[i].inode)
			continue;
		/* What cannot be opened or read is none of our objects. */
		object = object_of_mapping(objects, side->pid, &maps.items[i], NULL);
		if (object)
			unwind_object(side->session, object);
	}
	proc_maps_free(&maps);
	if (!result && !side->recorded)
		result = tracer_add_process(side->session->tracer, side->pid, true, err) < 0 ? -1 : 0;
	side->recorded = true;
	while (!result && side->probed < objects->count)
		result = place_all(side, objects->items[side->probed++], err);
	return result;
}

const struct truth_sample *kernel_side_take(struct kernel_side *side, pid_t tid)
{
	ring_buffer__consume(side->ring);
	for (size_t i = 0; i < side->pending.count; i++) {
		if (side->pending.items[i].tid != (__u32)tid)
			continue;
		side->taken = side->pending.items[i];
		side->pending.items[i] = side->pending.items[--side->pending.count];
		return &side->taken;
	}
	return NULL;
}

void kernel_side_finish(struct kernel_side *side)
{
	side->skeleton->bss->finished = true;
}

struct truth_counts kernel_side_counts(const struct kernel_side *side)
{
	return side->skeleton->bss->counts;
}

const char *kernel_side_end(const struct truth_sample *sample)
{
	const char *name = stack_end_name((enum stack_end)sample->end);

	return name ? name : "complete";
}
