// SPDX-License-Identifier: GPL-2.0-or-later
/* Following processes: placing probes in their objects, and keeping up with fork, exec, exit and dlopen. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "trace/session_internal.h"

/* How many samples after its exec a process's objects are looked at again. */
#define LOOKS_AT_NEW_IMAGE 2

static bool is_running(const struct owner *owner)
{
	return owner->end == PROCESS_RUNS && !owner->stopped;
}

static struct owner *running_owner(const struct session *session, pid_t pid)
{
	for (size_t i = session->owners.count; i-- > 0;) {
		if (session->owners.items[i]->pid == pid && is_running(session->owners.items[i]))
			return session->owners.items[i];
	}
	return NULL;
}

bool is_followed(const struct session *session, pid_t pid)
{
	return running_owner(session, pid) != NULL;
}

struct owner *owner_of(struct session *session, uint32_t index)
{
	const struct process *process;
	struct owner *owner, **item;

	if (index >= MAX_PROCESSES)
		return NULL;
	if (session->owner_of_index[index])
		return session->owner_of_index[index];
	owner = calloc(1, sizeof(*owner));
	item = owner ? array_push(&session->owners) : NULL;
	if (!item) {
		free(owner);
		return NULL;
	}
	process = &tracer_tables(session->tracer)->processes[index];
	owner->index = index;
	owner->serial = session->owners.count - 1;
	owner->pid = (pid_t)process->tgid;
	memcpy(owner->comm, process->comm, sizeof(owner->comm));
	owner->comm[sizeof(owner->comm) - 1] = '\0';
	*item = owner;
	session->owner_of_index[index] = owner;
	return owner;
}

static struct placement *find_placement(const struct session *session, const struct object *object, pid_t pid)
{
	for (size_t i = 0; i < session->placements.count; i++) {
		struct placement *placement = &session->placements.items[i];

		if (placement->object == object && (placement->pid == pid || !placement->pid))
			return placement;
	}
	return NULL;
}

/* Say which functions of an object are left alone, and why. */
static void warn_unplaced(struct session *session, const struct object *object)
{
	for (size_t i = 0; i < object->functions.count; i++) {
		if (session_can_probe(session, object->functions.items[i].kind))
			continue;
		session_warn(session,
			"operator new of %s is not traced: an exception could not pass a probe on this "
			"kernel (6.13 and later "
			"can)",
			object->path);
		return;
	}
}

int place_object(
	struct session *session, const struct object *object, pid_t pid, bool in_advance, struct error *err)
{
	struct probe_group *probes = NULL;
	struct placement *placement;

	if (session->options.machine_wide)
		pid = 0;
	if (!object->functions.count && !object->hook)
		return 0;
	placement = find_placement(session, object, pid);
	if (placement) {
		if (placement->in_advance && !in_advance) {
			placement->in_advance = false;
			warn_unplaced(session, object);
		}
		return 0;
	}
	if (session->tracer) {
		probes =
			tracer_place(session->tracer, object->fd, &object->functions, object->hook, pid, err);
		if (!probes)
			return -1;
		if (probe_group_refused(probes))
			session_warn(session,
				"%zu functions of %s are not traced: the kernel refuses to probe their "
				"instructions",
				probe_group_refused(probes), object->path);
	}
	placement = array_push(&session->placements);
	if (!placement) {
		probe_group_free(probes);
		return error_set_errno(err, ENOMEM, "cannot place probes");
	}
	placement->object = object;
	placement->pid = pid;
	placement->in_advance = in_advance;
	placement->probes = probes;
	if (!in_advance)
		warn_unplaced(session, object);
	return 0;
}

static bool is_file(const struct proc_map *map)
{
	return map->executable && map->inode && map->path[0] == '/';
}

int follow_objects(struct session *session, pid_t pid, struct error *err)
{
	struct owner *owner = running_owner(session, pid);
	struct proc_maps maps = {0};
	bool late = false; /* an allocator was mapped before it was probed */
	int status = 0;

	if (proc_maps_read(pid, &maps, err))
		return -1;
	for (size_t i = 0; i < maps.count && !status; i++) {
		struct object *object;

		if (!is_file(&maps.items[i]))
			continue;
		object = object_of_mapping(&session->objects, pid, &maps.items[i], NULL);
		if (!object)
			continue;
		if (owner && object->functions.count && !find_placement(session, object, pid))
			late = true;
		unwind_object(session, object);
		status = place_object(session, object, pid, false, err);
	}
	if (late)
		session->late_starts++;
	if (owner && maps.count) {
		proc_maps_free(&owner->maps);
		owner->maps = maps;
	} else {
		proc_maps_free(&maps);
	}
	return status;
}

/* A new process inherits its parent's breakpoints but not our programs: place them before looking what else
 * it maps. */
static void place_as_in(struct session *session, pid_t parent, pid_t pid)
{
	size_t count = session->placements.count;

	for (size_t i = 0; i < count; i++) {
		if (session->placements.items[i].pid == parent)
			place_object(session, session->placements.items[i].object, pid,
				session->placements.items[i].in_advance, NULL);
	}
}

static void remove_placements(struct session *session, pid_t pid)
{
	for (size_t i = 0; i < session->placements.count; i++) {
		struct placement *placement = &session->placements.items[i];

		if (placement->pid != pid)
			continue;
		probe_group_free(placement->probes);
		placement->probes = NULL;
		placement->pid = PLACEMENT_ENDED;
	}
}

int follow_process(struct session *session, pid_t pid, bool from_birth, struct error *err)
{
	struct owner *owner;
	int index;

	if (follow_objects(session, pid, err))
		return -1;
	if (!session->tracer)
		return 0;
	index = tracer_add_process(session->tracer, pid, from_birth, err);
	if (index < 0)
		return -1;
	owner = owner_of(session, (uint32_t)index);
	if (!owner)
		return error_set_errno(err, ENOMEM, "cannot trace process %d", pid);
	/* Once more: it may have loaded something in between; and now there is an owner to keep the mappings.
	 */
	return follow_objects(session, pid, err);
}

static void owner_ended(struct session *session, uint32_t index, enum process_end end)
{
	struct owner *owner = owner_of(session, index);
	uint32_t *item;

	if (!owner || owner->end != PROCESS_RUNS)
		return;
	owner->end = end;
	owner->end_time = session_clock(session);
	item = array_push(&session->ended);
	if (item)
		*item = index;
}

/* The kernel ties probes to the thread that led the process when they were placed: place them again for its
 * successor. */
static void renew_placements(struct session *session, pid_t pid)
{
	size_t count = session->placements.count;

	session->late_starts++;
	for (size_t i = 0; i < count; i++) {
		struct placement old = session->placements.items[i];

		if (old.pid != pid)
			continue;
		session->placements.items[i].pid = PLACEMENT_ENDED;
		session->placements.items[i].probes = NULL;
		place_object(session, old.object, pid, old.in_advance, NULL);
		probe_group_free(old.probes);
	}
}

/* A process has begun anew; the dynamic linker may still be at work, so look again later. */
static void follow_new_image(struct session *session, const struct event *event)
{
	struct owner *owner = owner_of(session, event->process);

	if (!owner)
		return;
	owner->looks_left = LOOKS_AT_NEW_IMAGE;
	follow_objects(session, (pid_t)event->tgid, NULL);
}

void follow_new_images(struct session *session)
{
	for (size_t i = 0; i < session->owners.count; i++) {
		struct owner *owner = session->owners.items[i];

		if (!is_running(owner) || !owner->looks_left)
			continue;
		owner->looks_left--;
		follow_objects(session, owner->pid, NULL);
	}
}

static void forked(struct session *session, const struct event *event)
{
	struct owner *parent = owner_of(session, event->old_process);

	if (event->process == event->old_process)
		return; /* on its parent's memory until it execs */
	if (!owner_of(session, event->process) || session->options.machine_wide)
		return;
	session->late_starts++;
	if (parent)
		place_as_in(session, parent->pid, (pid_t)event->tgid);
	follow_new_image(session, event);
}

static void execed(struct session *session, const struct event *event)
{
	struct owner *old = owner_of(session, event->old_process);

	/* A vfork child leaves its parent's owner as it is. */
	if (old && old->pid == (pid_t)event->tgid)
		owner_ended(session, event->old_process, PROCESS_EXECED);
	else if (old && !session->options.machine_wide)
		place_as_in(session, old->pid, (pid_t)event->tgid);
	if (event->leader_changed)
		renew_placements(session, (pid_t)event->tgid);
	follow_new_image(session, event);
}

static void exited(struct session *session, const struct event *event)
{
	if (event->process != NO_PROCESS)
		owner_ended(session, event->process, PROCESS_EXITED);
	remove_placements(session, (pid_t)event->tgid);
}

static void take_event(const struct event *event, void *data)
{
	struct session *session = data;
	struct owner *owner;

	switch (event->type) {
	case EVENT_FORK:
		forked(session, event);
		break;
	case EVENT_EXEC:
		execed(session, event);
		break;
	case EVENT_EXIT:
		exited(session, event);
		break;
	case EVENT_OBJECTS:
		/* One look for all the changes that came together. */
		owner = owner_of(session, event->process);
		if (owner)
			owner->look_now = true;
		break;
	case EVENT_ROWS:
		follow_wanted_rows(session, event);
		break;
	case EVENT_MAPPED:
	case EVENT_UNMAPPED:
		follow_mapping(session, event);
		break;
	default:
		break;
	}
}

static void follow_changed_objects(struct session *session)
{
	for (size_t i = 0; i < session->owners.count; i++) {
		struct owner *owner = session->owners.items[i];

		if (!owner->look_now)
			continue;
		owner->look_now = false;
		if (is_running(owner))
			follow_objects(session, owner->pid, NULL);
	}
}

void follow_events(struct session *session)
{
	tracer_events(session->tracer, take_event, session);
	follow_changed_objects(session);
	recycle_ended(session);
}

void follow_missed_ends(struct session *session)
{
	const struct process *processes = tracer_tables(session->tracer)->processes;

	for (size_t i = 0; i < session->owners.count; i++) {
		struct owner *owner = session->owners.items[i];
		enum process_end end = (enum process_end)processes[owner->index].end;
		pid_t pid = owner->pid;

		if (!is_running(owner) || owner->recycled)
			continue;
		if (end == PROCESS_RUNS) {
			/* Its end came before it was on the kernel side's record, or was missed there. */
			if (!proc_has_ended(pid))
				continue;
			tracer_remove_process(session->tracer, pid);
			end = PROCESS_EXITED;
		}
		owner_ended(session, owner->index, end);
		if (end != PROCESS_EXITED)
			continue;
		remove_placements(session, pid);
	}
}

bool follows_any(const struct session *session)
{
	for (size_t i = 0; i < session->owners.count; i++) {
		if (is_running(session->owners.items[i]))
			return true;
	}
	return false;
}

void follow_stop(struct session *session)
{
	for (size_t i = 0; i < session->owners.count; i++) {
		struct owner *owner = session->owners.items[i];

		if (!is_running(owner))
			continue;
		tracer_remove_process(session->tracer, owner->pid);
		owner->stopped = true;
	}
	for (size_t i = 0; i < session->placements.count; i++) {
		probe_group_free(session->placements.items[i].probes);
		session->placements.items[i].probes = NULL;
	}
}

void follow_free(struct session *session)
{
	for (size_t i = 0; i < session->placements.count; i++)
		probe_group_free(session->placements.items[i].probes);
	array_free(&session->placements);
	for (size_t i = 0; i < session->owners.count; i++) {
		proc_maps_free(&session->owners.items[i]->maps);
		ranges_free(&session->owners.items[i]->ranges);
		free(session->owners.items[i]);
	}
	array_free(&session->owners);
	array_free(&session->ended);
}
