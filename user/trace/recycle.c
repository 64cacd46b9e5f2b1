// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making room. Ended processes keep their sites, with stacks, for the report, as long as the table has room;
 * when it runs full, those that have ended make way for those that run.
 */
#include <string.h>

#include "base/array.h"
#include "trace/session_internal.h"

/* How many ended processes may gather before the block table is swept for them: a sweep reads all of it. */
#define RECYCLE_AT 16

/* The share of the site table, in percent, that may be in use before ended processes make way, and that is
 * aimed at. */
#define SITES_FULL 90
#define SITES_AIM  70

/* Keep what the tables say of an owner before its index goes to another. */
static void owner_detach(struct session *session, uint32_t index)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	struct owner *owner = session->owner_of_index[index];

	session->owner_of_index[index] = NULL;
	if (!owner)
		return;
	owner->last = tables->processes[index];
	memcpy(owner->without_stack, &tables->sites[tables->max_stacks + index * DOMAINS],
		sizeof(owner->without_stack));
	ranges_free(&owner->ranges);
	owner->recycled = true;
}

static void recycle_processes(struct session *session)
{
	sample_sites(session, NULL);
	if (session->options.min_age > 0)
		sample_old_blocks(session);
	for (size_t i = 0; i < session->ended.count; i++)
		owner_detach(session, session->ended.items[i]);
	tracer_recycle(session->tracer, session->ended.items, session->ended.count);
	session->ended.count = 0;
}

static uint32_t sites_in_use(const struct session *session)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	uint32_t count = tracer_site_count(session->tracer), used = 0;

	for (uint32_t i = 0; i < count; i++)
		used += tables->sites[i].id != 0;
	return used;
}

static bool holds_nothing(const struct site *site, const struct owner *owner)
{
	return owner->end == PROCESS_EXECED || site->allocations == site->frees;
}

/* Move what a site counted to its owner: into its sum when nothing is left there, else to its site without a
 * stack. */
static void fold_site(struct session *session, uint32_t index)
{
	const struct site *site = &tracer_tables(session->tracer)->sites[index];
	struct site_record *record = &session->sites[index];
	struct owner *owner = record->owner;
	struct site *rest = &owner->without_stack[site->domain];

	if (holds_nothing(site, owner)) {
		owner->folded.allocations += site->allocations;
		owner->folded.allocated_bytes += site->allocated_bytes;
		owner->folded.frees += site->frees;
	} else {
		if (!rest->id)
			*rest = (struct site){
				.id = site->id, .domain = site->domain, .birth_ns = site->birth_ns};
		rest->allocations += site->allocations;
		rest->allocated_bytes += site->allocated_bytes;
		rest->frees += site->frees;
		rest->freed_bytes += site->freed_bytes;
		session->folded_allocations += site->allocations;
	}
	memset(record, 0, sizeof(*record));
	tracer_free_site(session->tracer, index);
}

/* Fold sites of recycled owners until few enough are in use: first those that hold nothing, then the others.
 */
static void recycle_sites(struct session *session)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	uint32_t count = tracer_site_count(session->tracer), used = sites_in_use(session);
	uint32_t aim = (uint32_t)((uint64_t)tables->max_stacks * SITES_AIM / 100);

	if (used <= (uint64_t)tables->max_stacks * SITES_FULL / 100)
		return;
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < count && used > aim; i++) {
			const struct owner *owner = session->sites[i].owner;

			if (!tables->sites[i].id || !owner || !owner->recycled)
				continue;
			if (pass == 0 && !holds_nothing(&tables->sites[i], owner))
				continue;
			fold_site(session, i);
			used--;
		}
	}
}

void recycle_ended(struct session *session)
{
	if (session->ended.count < RECYCLE_AT)
		return;
	recycle_processes(session);
	recycle_sites(session);
}
