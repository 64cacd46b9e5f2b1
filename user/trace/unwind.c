// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Giving the kernel side the rows that it walks stacks with: in advance for the files that a watched process
 * maps, later for those that it asks for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/array.h"
#include "elf/unwind_cache.h"
#include "trace/session_internal.h"

/* In advance, no more than this part of the table is filled: the rest is for files that stacks are seen in.
 */
#define IN_ADVANCE_PERCENT 75

/* Read the rows of an object's file and find a place for them. */
static void place_rows(struct session *session, struct object *object, bool in_advance)
{
	uint64_t limit = (uint64_t)tracer_tables(session->tracer)->max_rows * IN_ADVANCE_PERCENT / 100;
	struct unwind_rows rows = {0};
	struct error problem = {0};

	/* A file with unusable information is walked along frame pointers: no rows. */
	if (!object->elf) {
		object->rows_state = ROWS_LOADED;
	} else if (unwind_rows_get(object->elf, &rows, &problem)) {
		object->rows_state = ROWS_LOADED;
		session_warn(session, "%s: its code is walked along frame pointers", problem.message);
	} else if (in_advance && tracer_rows_used(session->tracer) + rows.rows.count > limit) {
		object->rows_wait = true;
	} else if (tracer_place_rows(session->tracer, &rows, &object->row_first)) {
		object->rows_state = ROWS_LEFT_OUT;
	} else {
		object->row_count = (uint32_t)rows.rows.count;
		object->rows_state = ROWS_LOADED;
	}
	unwind_rows_free(&rows);
}

static void give_rows(struct session *session, const struct object *object, uint32_t file)
{
	if (file >= MAX_FILES)
		return;
	session->file_objects[file] = object;
	tracer_give_rows(session->tracer, file, object->rows_state, object->row_first, object->row_count);
}

void unwind_object(struct session *session, struct object *object)
{
	if (!session->tracer || object->rows_state != ROWS_UNKNOWN || object->rows_wait)
		return;
	place_rows(session, object, true);
	if (object->rows_state != ROWS_UNKNOWN)
		give_rows(session, object, tracer_file(session->tracer, object->inode, object->device));
}

void unwind_vdso(struct session *session)
{
	uint64_t image = getauxval(AT_SYSINFO_EHDR);
	struct unwind_rows rows = {0};
	struct proc_maps maps = {0};
	const struct proc_map *map;
	uint32_t first;

	/* That of this very process: every process has the same. */
	if (proc_maps_read(getpid(), &maps, NULL))
		return;
	map = proc_maps_find(&maps, image);
	if (map && map->start == image &&
		!unwind_rows_build_image((const void *)image, map->end - map->start, &rows, NULL) &&
		!tracer_place_rows(session->tracer, &rows, &first))
		tracer_give_rows(session->tracer, tracer_file(session->tracer, VDSO_INODE, 0), ROWS_LOADED,
			first, (uint32_t)rows.rows.count);
	unwind_rows_free(&rows);
	proc_maps_free(&maps);
}

/* Is it this file that is mapped there? Some file systems show the kernel side another inode than us. */
static bool is_mapped(const struct mapped_file *file, const struct proc_map *map)
{
	const char *name = strrchr(map->path, '/');

	return map->inode == file->inode || (name && file->path_length && !strcmp(name + 1, file->path));
}

/*
 * The object of a file that was met at an address of a process, or NULL.
 *
 * @param mapped  set to whether it is still mapped there
 */
static struct object *object_at(
	struct session *session, const struct mapped_file *file, pid_t pid, uint64_t address, bool *mapped)
{
	struct object *object = NULL;
	struct proc_maps maps = {0};
	const struct proc_map *map;

	*mapped = false;
	if (proc_maps_read(pid, &maps, NULL))
		return NULL;
	map = proc_maps_find(&maps, address);
	*mapped = map && map->inode && is_mapped(file, map);
	if (*mapped)
		object = object_of_mapping(&session->objects, pid, map, NULL);
	proc_maps_free(&maps);
	return object;
}

void follow_wanted_rows(struct session *session, const struct event *event)
{
	pid_t pid = (pid_t)event->tgid;
	const struct mapped_file *file;
	struct object *object;
	bool mapped;

	if (event->file >= MAX_FILES)
		return;
	file = &tracer_tables(session->tracer)->files[event->file];
	object = object_at(session, file, pid, event->start, &mapped);
	if (!object)
		object = session_file_object(session, event->file, pid);
	if (!object) {
		/* What cannot be read has none; what is gone by now is asked for again where it is met next.
		 */
		tracer_give_rows(session->tracer, event->file, mapped ? ROWS_LOADED : ROWS_UNKNOWN, 0, 0);
		return;
	}
	if (object->rows_state == ROWS_UNKNOWN)
		place_rows(session, object, false);
	give_rows(session, object, event->file);
}
