// SPDX-License-Identifier: GPL-2.0-or-later
/* Sampling: one pass over the kernel side's counters an interval. */
#include "trace/session_internal.h"

/* Samples that a series has when its last one, taken after the process's end, can be done without. */
#define SERIES_LONG 8

uint64_t site_live_bytes(const struct site *site, const struct owner *owner)
{
	/* In this order: what is freed in between must not make the difference negative. */
	uint64_t freed = __atomic_load_n(&site->freed_bytes, __ATOMIC_ACQUIRE);
	uint64_t allocated = __atomic_load_n(&site->allocated_bytes, __ATOMIC_ACQUIRE);

	if (owner->end == PROCESS_EXECED || freed > allocated)
		return 0;
	return allocated - freed;
}

const struct site *site_without_stack(const struct session *session, const struct owner *owner, int domain)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);

	return owner->recycled
		       ? &owner->without_stack[domain]
		       : &tables->sites[tables->max_stacks + owner->index * DOMAINS + (uint32_t)domain];
}

static void add_up(struct session_progress *progress, const struct site *site, uint64_t live)
{
	progress->calls += site->allocations + site->frees;
	progress->live_bytes += live;
	progress->sites++;
}

static void sample_site(struct session *session, const struct site *site, struct owner *owner,
	struct series *series, double now, struct session_progress *progress)
{
	uint64_t live = site_live_bytes(site, owner);

	if (owner->end != PROCESS_RUNS)
		now = owner->end_time; /* nothing has changed since */
	/* What a process lets go of on its way out says nothing of how it grew. */
	if (!owner->end_sampled && !(owner->end == PROCESS_EXITED && series_count(series) >= SERIES_LONG)) {
		/* Before its first allocation a site held nothing, and that belongs to its growth. */
		if (!series_count(series))
			series_add(series,
				now - session->options.interval > 0 ? now - session->options.interval : 0, 0);
		series_add(series, now, live);
	}
	if (progress)
		add_up(progress, site, live);
}

static void sample_without_stack(
	struct session *session, struct owner *owner, double now, struct session_progress *progress)
{
	for (int domain = 0; domain < DOMAINS; domain++) {
		const struct site *site = site_without_stack(session, owner, domain);

		if (site->id)
			sample_site(
				session, site, owner, &owner->without_stack_series[domain], now, progress);
	}
}

void sample_sites(struct session *session, struct session_progress *progress)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	uint32_t count = tracer_site_count(session->tracer);
	double now = session_clock(session);

	for (uint32_t i = 0; i < count; i++) {
		struct site_record *record = &session->sites[i];
		const struct site *site = &tables->sites[i];

		if (!site->id)
			continue;
		if (!record->owner)
			record->owner = owner_of(session, site->process);
		if (record->owner)
			sample_site(session, site, record->owner, &record->series, now, progress);
	}
	for (size_t i = 0; i < session->owners.count; i++) {
		struct owner *owner = session->owners.items[i];

		sample_without_stack(session, owner, now, progress);
		owner->end_sampled = owner->end != PROCESS_RUNS;
	}
}

void sample_old_blocks(struct session *session)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);
	struct error err = {0};
	const struct bucket *buckets = tracer_blocks(session->tracer, &err);
	/* Births are counted from the tracer's start, which was before the session's. */
	int64_t session_ns =
		session->start_monotonic.tv_sec * INT64_C(1000000000) + session->start_monotonic.tv_nsec;
	double ahead = (double)(session_ns - (int64_t)tables->start_ns) / 1e9;
	double now = session_clock(session);

	if (!buckets) {
		session_warn(session, "%s: the ages of blocks are not known", err.message);
		return;
	}
	for (uint32_t i = 0; i < tracer_site_count(session->tracer); i++) {
		/* The blocks of a recycled owner have been swept away: what was found before stands. */
		if (session->sites[i].owner && session->sites[i].owner->recycled)
			continue;
		session->sites[i].old_bytes = session->sites[i].old_blocks = 0;
	}
	for (uint32_t i = 0; i < tables->bucket_count; i++) {
		for (int slot = 0; slot < BUCKET_BLOCKS; slot++) {
			const struct bucket *bucket = &buckets[i];
			uint32_t site = bucket->blocks[slot].site;
			const struct owner *owner;
			double until = now;

			if (!bucket->keys[slot] || site >= tables->max_stacks)
				continue;
			owner = session->sites[site].owner;
			if (owner && owner->end != PROCESS_RUNS)
				until = owner->end_time;
			if (until + ahead - bucket->blocks[slot].birth_ms / 1000.0 < session->options.min_age)
				continue;
			session->sites[site].old_bytes += bucket->blocks[slot].size;
			session->sites[site].old_blocks++;
		}
	}
}
