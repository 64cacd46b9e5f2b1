// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "probe/object.h"
#include "proc/maps.h"
#include "tests/truth/truth.h"
#include "truth.skel.h"

struct kernel_side {
	pid_t pid;
	struct truth_bpf *skeleton;
	struct ring_buffer *ring;
	struct object_cache objects;
	size_t probed; /* of `objects`, those that have their probes */
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

static const char *const end_names[] = {"end of the frame pointers"};

static int on_sample(void *context, void *data, size_t size)
{
	struct kernel_side *side = context;
	struct truth_sample *sample = array_push(&side->pending);

	if (!sample || size < sizeof(*sample))
		return -ENOMEM;
	memcpy(sample, data, sizeof(*sample));
	return 0;
}

struct kernel_side *kernel_side_load(pid_t pid, unsigned int every, struct error *err)
{
	struct kernel_side *side = calloc(1, sizeof(*side));

	if (!side) {
		error_set_errno(err, ENOMEM, "cannot load");
		return NULL;
	}
	side->pid = pid;
	side->skeleton = truth_bpf__open();
	if (!side->skeleton)
		goto failed;
	side->skeleton->rodata->target = (__u32)pid;
	side->skeleton->rodata->every = every;
	if (truth_bpf__load(side->skeleton))
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
	object_cache_free(&side->objects);
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

/* The one place that knows what tables a walk needs: none, as long as it follows frame pointers. */
static int load_tables(struct kernel_side *side, const struct proc_maps *maps, struct error *err)
{
	(void)side;
	(void)maps;
	(void)err;
	return 0;
}

int kernel_side_update(struct kernel_side *side, struct error *err)
{
	struct proc_maps maps = {0};
	int result = proc_maps_read(side->pid, &maps, err);

	for (size_t i = 0; i < maps.count; i++) {
		/* What cannot be opened or read is none of our objects. */
		if (maps.items[i].executable && maps.items[i].inode)
			object_of_mapping(&side->objects, side->pid, &maps.items[i], NULL);
	}
	while (!result && side->probed < side->objects.count)
		result = place_all(side, side->objects.items[side->probed++], err);
	if (!result)
		result = load_tables(side, &maps, err);
	proc_maps_free(&maps);
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

uint64_t kernel_side_calls(const struct kernel_side *side, uint64_t *no_room)
{
	*no_room = side->skeleton->bss->no_room;
	return side->skeleton->bss->calls;
}

const char *kernel_side_end(const struct truth_sample *sample)
{
	return sample->end < sizeof(end_names) / sizeof(end_names[0]) ? end_names[sample->end] : "?";
}
