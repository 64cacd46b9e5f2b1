// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From addresses to functions. Which file an address belonged to was noted by the kernel side when its stack
 * was first seen; each instruction of a file is resolved once, however many stacks pass it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "elf/perf_map.h"
#include "elf/symbolize.h"
#include "trace/session_internal.h"

/* An instruction of a file, and what it resolves to. */
struct resolved {
	const struct object *object;
	uint64_t offset;
	struct source_frames frames;
};

/* The names of a process's just-in-time compiled code. */
struct jit_names {
	const struct owner *owner;
	struct perf_map *map; /* NULL when it has none */
};

struct resolver {
	struct session *session;
	struct {
		struct resolved **items;
		size_t count, capacity;
	} resolved;
	void *instructions; /* the same as a tree, by tsearch() */
	struct {
		struct jit_names *items;
		size_t count, capacity;
	} jit;
	bool file_tried[MAX_FILES]; /* whether the object of a file has been looked for */
};

struct resolver *resolver_new(struct session *session)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (resolver)
		resolver->session = session;
	return resolver;
}

static void keep(void *item)
{
	(void)item; /* the array frees it */
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	tdestroy(resolver->instructions, keep);
	for (size_t i = 0; i < resolver->resolved.count; i++) {
		source_frames_free(&resolver->resolved.items[i]->frames);
		free(resolver->resolved.items[i]);
	}
	array_free(&resolver->resolved);
	for (size_t i = 0; i < resolver->jit.count; i++)
		perf_map_free(resolver->jit.items[i].map);
	array_free(&resolver->jit);
	free(resolver);
}

static int resolved_compare(const void *left, const void *right)
{
	const struct resolved *a = left, *b = right;

	if (a->object != b->object)
		return a->object < b->object ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Put a path together from its components, which the kernel side noted last one first. */
static void mapped_file_path(const struct mapped_file *file, char *path, size_t size)
{
	uint32_t length = file->path_length < sizeof(file->path) ? file->path_length : sizeof(file->path);
	size_t used = 0;
	uint32_t end = length;

	path[0] = '\0';
	while (end > 0 && used < size) {
		uint32_t start = end - 1; /* at the component's terminating 0 */

		while (start > 0 && file->path[start - 1])
			start--;
		used += (size_t)snprintf(
			path + used, size - used, "/%.*s", (int)(end - start), file->path + start);
		end = start;
	}
}

static dev_t user_device(uint32_t kernel_device)
{
	return makedev(kernel_device >> 20, kernel_device & 0xfffff);
}

struct object *session_file_object(struct session *session, uint32_t index, pid_t pid)
{
	const struct mapped_file *file = &tracer_tables(session->tracer)->files[index];
	struct object *object = object_find(&session->objects, user_device(file->device), file->inode);
	char path[PATH_MAX], below_root[PATH_MAX + 64];
	struct stat status;

	if (object)
		return object;
	mapped_file_path(file, path, sizeof(path));
	/* The process's own view first: the path may lead elsewhere for us. */
	snprintf(below_root, sizeof(below_root), "/proc/%d/root%s", pid, path);
	if (!stat(below_root, &status) && status.st_ino == file->inode)
		return object_of_path(&session->objects, below_root, NULL);
	if (!stat(path, &status) && status.st_ino == file->inode)
		return object_of_path(&session->objects, path, NULL);
	return NULL;
}

static const struct object *object_of_file(struct resolver *resolver, uint32_t index, pid_t pid)
{
	struct session *session = resolver->session;

	if (!session->file_objects[index] && !resolver->file_tried[index]) {
		resolver->file_tried[index] = true;
		session->file_objects[index] = session_file_object(session, index, pid);
	}
	return session->file_objects[index];
}

static struct resolved *resolved_new(struct resolver *resolver, const struct object *object, uint64_t offset)
{
	struct resolved *resolved = calloc(1, sizeof(*resolved)), **item;

	item = resolved ? array_push(&resolver->resolved) : NULL;
	if (!item) {
		free(resolved);
		return NULL;
	}
	resolved->object = object;
	resolved->offset = offset;
	*item = resolved;
	return resolved;
}

static const struct source_frames *resolve_instruction(
	struct resolver *resolver, const struct object *object, uint64_t offset)
{
	const struct resolved wanted = {.object = object, .offset = offset};
	void *node = tfind(&wanted, &resolver->instructions, resolved_compare);
	struct resolved *resolved;
	uint64_t address;

	if (node)
		return &(*(struct resolved **)node)->frames;
	resolved = resolved_new(resolver, object, offset);
	if (!resolved || !tsearch(resolved, &resolver->instructions, resolved_compare))
		return NULL;
	if (object->elf && elf_file_offset_to_address(object->elf, offset, &address))
		symbolize(object->elf, address, &resolved->frames);
	return &resolved->frames;
}

static struct perf_map *read_perf_map(const struct owner *owner)
{
	char path[128];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/root/tmp/perf-%d.map", owner->pid, owner->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/tmp/perf-%d.map", owner->pid);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	return fd < 0 ? NULL : perf_map_read(fd);
}

static const char *jit_name(struct resolver *resolver, const struct owner *owner, uint64_t address)
{
	struct jit_names *names = NULL;

	for (size_t i = 0; i < resolver->jit.count && !names; i++) {
		if (resolver->jit.items[i].owner == owner)
			names = &resolver->jit.items[i];
	}
	if (!names) {
		names = array_push(&resolver->jit);
		if (!names)
			return NULL;
		names->owner = owner;
		names->map = read_perf_map(owner);
	}
	return names->map ? perf_map_lookup(names->map, address) : NULL;
}

static char *copy(const char *string)
{
	return string ? strdup(string) : NULL;
}

struct frame_list {
	struct profile_frame *items;
	size_t count, capacity;
};

/* Where an address lies. */
struct place {
	const struct object *object; /* NULL: in no file that can be read any more */
	const char *name;	     /* of the mapping, when there is no object; or NULL */
	char path[PATH_MAX];	     /* what `name` may point to */
	uint64_t offset;	     /* in the object's file */
	bool is_code_of_no_file;     /* just-in-time compiled, or the vdso */
};

static void place_by_maps(
	struct resolver *resolver, const struct owner *owner, uint64_t address, struct place *place)
{
	const struct proc_map *map = proc_maps_find(&owner->maps, address);

	if (!map)
		return;
	place->name = map->path[0] ? map->path : NULL;
	place->offset = address - map->start + map->offset;
	place->is_code_of_no_file = !map->inode;
	for (size_t i = 0; map->inode && i < resolver->session->objects.count; i++) {
		const struct object *object = resolver->session->objects.items[i];

		if (object->inode == map->inode &&
			(object->device == map->device || !strcmp(object->path, map->path)))
			place->object = object;
	}
}

static void find_place(struct resolver *resolver, const struct owner *owner, uint32_t mapping_number,
	uint64_t address, struct place *place)
{
	const struct tracer_tables *tables = tracer_tables(resolver->session->tracer);
	const struct mapping *mapping;

	if (!mapping_number || mapping_number > MAX_MAPPINGS) {
		place_by_maps(resolver, owner, address, place);
		return;
	}
	mapping = &tables->mappings[mapping_number - 1];
	if (!mapping->file || mapping->file > MAX_FILES ||
		tables->files[mapping->file - 1].inode == VDSO_INODE) {
		place_by_maps(resolver, owner, address, place);
		place->is_code_of_no_file = true;
		return;
	}
	place->object = object_of_file(resolver, mapping->file - 1, owner->pid);
	place->offset = address - mapping->start + mapping->file_offset;
	if (!place->object) {
		mapped_file_path(&tables->files[mapping->file - 1], place->path, sizeof(place->path));
		place->name = place->path;
	}
}

static void fill_module(struct profile_frame *frame, const struct place *place)
{
	const uint8_t *build_id;
	size_t size = 0;

	frame->offset = place->offset;
	if (!place->object) {
		frame->module = copy(place->is_code_of_no_file && !place->name ? "[jit]" : place->name);
		return;
	}
	frame->module = copy(place->object->path);
	build_id = place->object->elf ? elf_file_build_id(place->object->elf, &size) : NULL;
	if (build_id && size <= sizeof(frame->build_id)) {
		memcpy(frame->build_id, build_id, size);
		frame->build_id_size = size;
	}
}

static struct profile_frame *push_frame(struct frame_list *list, uint64_t address, const struct place *place)
{
	struct profile_frame *frame = array_push(list);

	if (!frame)
		return NULL;
	frame->address = address;
	fill_module(frame, place);
	return frame;
}

/* The byte of code that a frame of a stack stands for. */
static uint64_t instruction_of(const struct stack *stack, uint32_t frame, uint32_t count)
{
	uint64_t address = stack->frames[frame];

	if (address & FRAME_INTERRUPTED)
		return address & ~FRAME_INTERRUPTED;
	/* A signal handler returns to the first byte of code that nothing has called: before it is other
	 * code. */
	if (frame + 1 < count && stack->frames[frame + 1] & FRAME_INTERRUPTED)
		return address;
	/* A call is before the address that it returns to, perhaps in another line or function. */
	return address - 1;
}

/* Append one return address, with the calls inlined at it. */
static int append_address(struct resolver *resolver, const struct owner *owner, uint64_t address,
	uint64_t instruction, uint32_t mapping_number, struct frame_list *list)
{
	const struct source_frames *frames = NULL;
	struct profile_frame *frame;
	struct place place = {0};

	find_place(resolver, owner, mapping_number, instruction, &place);
	if (place.object)
		frames = resolve_instruction(resolver, place.object, place.offset);
	for (size_t i = 0; frames && i < frames->count; i++) {
		frame = push_frame(list, address, &place);
		if (!frame)
			return -1;
		frame->function = copy(frames->items[i].function);
		frame->file = copy(frames->items[i].file);
		frame->line = frames->items[i].line;
		frame->inlined = frames->items[i].inlined;
	}
	if (frames && frames->count)
		return 0;
	frame = push_frame(list, address, &place);
	if (!frame)
		return -1;
	if (place.is_code_of_no_file)
		frame->function = copy(jit_name(resolver, owner, instruction));
	return 0;
}

int resolver_stack(struct resolver *resolver, uint32_t index, struct profile_site *out)
{
	const struct tracer_tables *tables = tracer_tables(resolver->session->tracer);
	const struct owner *owner = resolver->session->sites[index].owner;
	const struct stack *stack = &tables->stacks[index];
	uint32_t count = tables->sites[index].frame_count;
	struct frame_list list = {0};
	int status = 0;

	if (count > MAX_FRAMES)
		count = MAX_FRAMES;
	for (uint32_t i = 0; i < count && !status; i++)
		status = append_address(resolver, owner, stack->frames[i] & ~FRAME_INTERRUPTED,
			instruction_of(stack, i, count), stack->mappings[i], &list);
	out->frames = list.items;
	out->frame_count = list.count;
	return status;
}
