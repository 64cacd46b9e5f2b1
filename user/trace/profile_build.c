// SPDX-License-Identifier: GPL-2.0-or-later
/* Making a profile of what a session has gathered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/array.h"
#include "trace/session_internal.h"

static const char *const domain_names[DOMAINS] = {[DOMAIN_HEAP] = "heap", [DOMAIN_MMAP] = "mmap"};

/* What a site holds: nothing once its program image was replaced, and what it held at the end after an exit.
 */
static struct profile_counts site_counts(const struct site *site, const struct owner *owner)
{
	struct profile_counts counts = {
		.live_bytes = site_live_bytes(site, owner),
		.live_blocks = owner->end == PROCESS_EXECED ? 0 : site->allocations - site->frees,
		.allocated_bytes = site->allocated_bytes,
		.allocations = site->allocations,
		.frees = site->frees,
	};

	return counts;
}

static void add_counts(struct profile_counts *sum, const struct profile_counts *counts)
{
	sum->live_bytes += counts->live_bytes;
	sum->live_blocks += counts->live_blocks;
	sum->allocated_bytes += counts->allocated_bytes;
	sum->allocations += counts->allocations;
	sum->frees += counts->frees;
}

static int fill_points(struct profile_site *out, const struct series *series)
{
	out->points = calloc(SERIES_POINTS_MAX, sizeof(*out->points));
	if (!out->points)
		return -1;
	out->point_count = series_points(series, out->points, SERIES_POINTS_MAX);
	return 0;
}

static double seconds_since_start(const struct session *session, uint64_t monotonic_ns)
{
	double start =
		(double)session->start_monotonic.tv_sec + (double)session->start_monotonic.tv_nsec / 1e9;
	double seconds = (double)monotonic_ns / 1e9 - start;

	return seconds > 0 ? seconds : 0;
}

static struct profile_site *add_site(struct session *session, struct profile *profile,
	const struct site *site, const struct owner *owner, const struct series *series)
{
	struct profile_site *out = array_push(&profile->sites);

	if (!out)
		return NULL;
	/* Indices of processes are used again, and with them the kernel side's ids. */
	out->id = site->id ^ (uint64_t)owner->serial * 0x9e3779b97f4a7c15ULL;
	out->pid = owner->pid;
	memcpy(out->comm, owner->comm, sizeof(out->comm));
	out->domain = domain_names[site->domain < DOMAINS ? site->domain : DOMAIN_HEAP];
	out->exited = owner->end == PROCESS_EXITED;
	out->first_seen = seconds_since_start(session, site->birth_ns);
	out->counts = site_counts(site, owner);
	leak_factor_fit(series, &out->factor);
	out->verdict = verdict_from_growth(series, &out->factor);
	return fill_points(out, series) ? NULL : out;
}

/* Leave out what is younger than was asked for. @return whether anything is left to report */
static bool apply_min_age(
	const struct session *session, const struct site_record *record, struct profile_site *out)
{
	/* The ages of mappings are not kept. */
	if (session->options.min_age <= 0 || strcmp(out->domain, domain_names[DOMAIN_HEAP]) != 0)
		return true;
	out->counts.live_bytes = record->old_bytes;
	out->counts.live_blocks = record->old_blocks;
	return record->old_blocks > 0;
}

static void add_stack(struct profile_stacks *stacks, const struct site *site)
{
	if (site->stack_end < STACK_ENDS)
		stacks->ends[site->stack_end] += site->allocations;
	if (site->frame_pointers)
		stacks->frame_pointers += site->allocations;
}

static int add_sites_with_stack(struct session *session, struct profile *profile, struct resolver *resolver)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	uint32_t count = tracer_site_count(session->tracer);

	for (uint32_t i = 0; i < count; i++) {
		const struct site_record *record = &session->sites[i];
		const struct site *site = &tables->sites[i];
		struct profile_counts counts;
		struct profile_site *out;

		if (!site->id || !record->owner)
			continue;
		counts = site_counts(site, record->owner);
		add_counts(&profile->totals, &counts);
		add_stack(&profile->stacks, site);
		if (record->owner->end == PROCESS_EXECED)
			continue; /* nothing of it is left */
		out = add_site(session, profile, site, record->owner, &record->series);
		if (!out)
			return -1;
		if (!apply_min_age(session, record, out)) {
			free(out->points);
			profile->sites.count--;
			continue;
		}
		out->stack_end = site->stack_end < STACK_ENDS ? site->stack_end : STACK_BROKEN;
		out->frame_pointers = site->frame_pointers;
		if (resolver_stack(resolver, i, out))
			return -1;
	}
	return 0;
}

static int add_sites_without_stack(
	struct session *session, struct profile *profile, const struct owner *owner)
{
	for (int domain = 0; domain < DOMAINS; domain++) {
		const struct site *site = site_without_stack(session, owner, domain);
		struct profile_counts counts;
		struct profile_site *out;

		if (!site->id)
			continue;
		counts = site_counts(site, owner);
		add_counts(&profile->totals, &counts);
		if (owner->end == PROCESS_EXECED)
			continue;
		out = add_site(session, profile, site, owner, &owner->without_stack_series[domain]);
		if (!out)
			return -1;
		out->no_stack = true;
	}
	return 0;
}

/*
 * Births that found no room are in no site but they did happen; and where everything was seen from the first
 * allocation on, a free of an unknown block can only be one of theirs.
 */
static void add_what_is_in_no_site(const struct session *session, struct profile *profile)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);

	for (size_t i = 0; i < session->owners.count; i++) {
		const struct owner *owner = session->owners.items[i];
		const struct process *process =
			owner->recycled ? &owner->last : &tables->processes[owner->index];

		add_counts(&profile->totals, &owner->folded);
		profile->totals.allocations += process->lost_blocks;
		profile->totals.allocated_bytes += process->lost_bytes;
		/* An unknown free may also be of a block too small to be recorded. */
		if (process->from_birth && !session->options.tracer.min_size)
			profile->totals.frees += process->unknown_frees < process->lost_blocks
							 ? process->unknown_frees
							 : process->lost_blocks;
	}
}

static int add_probe(struct profile *profile, const struct object *object,
	const struct allocator_function *function, const char *mechanism)
{
	struct profile_probe *probe = array_push(&profile->probes);

	if (!probe)
		return -1;
	probe->object = strdup(object->path);
	memcpy(probe->function, function->name, sizeof(probe->function));
	memcpy(probe->instruction, function->site.instruction, sizeof(probe->instruction));
	probe->offset = function->offset + function->site.offset;
	probe->emulated = function->site.emulated;
	probe->mechanism = mechanism;
	return probe->object ? 0 : -1;
}

static int add_probes(const struct session *session, struct profile *profile)
{
	for (size_t i = 0; i < session->objects.count; i++) {
		const struct object *object = session->objects.items[i];
		bool placed = false;

		for (size_t j = 0; j < session->placements.count; j++)
			placed = placed || (session->placements.items[j].object == object &&
						   !session->placements.items[j].in_advance);
		for (size_t j = 0; placed && j < object->functions.count; j++) {
			const struct allocator_function *function = &object->functions.items[j];

			if (!session_can_probe(session, function->kind))
				continue;
			if (add_probe(profile, object, function, "uprobe"))
				return -1;
			if (allocator_kind_returns(function->kind) &&
				add_probe(profile, object, function, "uretprobe"))
				return -1;
		}
	}
	return 0;
}

static char **copy_command(char **command)
{
	size_t count = 0;
	char **copy;

	while (command[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++)
		copy[i] = strdup(command[i]);
	return copy;
}

static int add_header(const struct session *session, struct profile *profile)
{
	struct utsname system;

	profile->start = session->start_realtime;
	profile->duration = session_clock(session);
	profile->interval = session->options.interval;
	if (session->command && !(profile->command = copy_command(session->command)))
		return -1;
	if (!uname(&system)) {
		snprintf(profile->kernel, sizeof(profile->kernel), "%s", system.release);
		snprintf(profile->arch, sizeof(profile->arch), "%s", system.machine);
	}
	for (size_t i = 0; i < session->targets.count; i++) {
		pid_t *pid = array_push(&profile->pids);

		if (!pid)
			return -1;
		*pid = session->targets.items[i];
	}
	return 0;
}

static int add_warnings(struct session *session, struct profile *profile)
{
	if (session->late_starts)
		session_warn(session,
			"%zu new processes were picked up after they had begun: what they allocated until "
			"then is missing",
			session->late_starts);
	if (session->tracer && tracer_files_full(session->tracer))
		session_warn(session,
			"stacks were met in more than %d files: further ones are walked along frame pointers",
			MAX_FILES);
	for (size_t i = 0; i < session->warnings.count; i++) {
		char **warning = array_push(&profile->warnings);

		if (!warning || !(*warning = strdup(session->warnings.items[i])))
			return -1;
	}
	return 0;
}

static void add_lost(const struct session *session, struct profile *profile)
{
	struct lost lost = tracer_lost(session->tracer);

	profile->lost.blocks = lost.blocks;
	profile->lost.stacks = lost.stacks + session->folded_allocations;
	profile->lost.returns = lost.returns;
	profile->lost.missed_frees = lost.missed_frees;
	profile->lost.processes = lost.processes + lost.threads;
	profile->lost.events = lost.events;
}

static int add_left_out(struct profile_stacks *stacks, const char *path, uint64_t frames)
{
	struct profile_unwalked *file = array_push(&stacks->left_out);

	if (!file)
		return -1;
	file->path = strdup(path);
	file->frames = frames;
	return file->path ? 0 : -1;
}

/* What walking took, and where it had to do without rows. */
static int add_walks(const struct session *session, struct profile *profile)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	struct profile_stacks *stacks = &profile->stacks;

	stacks->rows = tracer_rows_used(session->tracer);
	stacks->max_rows = tables->max_rows;
	stacks->collisions = tracer_lost(session->tracer).collisions;
	for (uint32_t i = 0; i < MAX_FILES; i++) {
		const struct mapped_file *file = &tables->files[i];
		const struct object *object = session->file_objects[i];

		if (file->rows_state != ROWS_LEFT_OUT)
			stacks->early_frames += file->misses;
		else if (object && file->misses && add_left_out(stacks, object->path, file->misses))
			return -1;
	}
	return 0;
}

int session_probes(struct session *session, struct profile *profile, struct error *err)
{
	if (add_header(session, profile) || add_probes(session, profile) || add_warnings(session, profile))
		return error_set_errno(err, ENOMEM, "cannot list the probes");
	return 0;
}

int session_profile(struct session *session, struct profile *profile, struct error *err)
{
	struct resolver *resolver = resolver_new(session);
	int status = resolver ? 0 : -1;

	if (session->options.min_age > 0)
		sample_old_blocks(session);
	if (!status)
		status = add_header(session, profile) || add_probes(session, profile) ||
			 add_sites_with_stack(session, profile, resolver) || add_walks(session, profile) ||
			 add_warnings(session, profile);
	for (size_t i = 0; i < session->owners.count && !status; i++)
		status = add_sites_without_stack(session, profile, session->owners.items[i]);
	add_what_is_in_no_site(session, profile);
	add_lost(session, profile);
	resolver_free(resolver);
	profile_sort(profile);
	if (status)
		return error_set_errno(err, ENOMEM, "cannot make the report");
	return 0;
}
