// SPDX-License-Identifier: GPL-2.0-or-later
/* The mmap domain: the ranges of each process, and the counters of the sites that mapped them. */
#include "trace/session_internal.h"

/* The kernel side leaves the counters of this domain's sites to us. */
static struct site *site_at(const struct session *session, uint32_t index)
{
	const struct tracer_tables *tables = tracer_tables(session->tracer);

	return index < tables->site_limit ? &tables->sites[index] : NULL;
}

static void count_freed(uint32_t index, uint64_t bytes, int whole, void *data)
{
	struct site *site = site_at(data, index);

	if (!site)
		return;
	site->freed_bytes += bytes;
	site->frees += (uint64_t)whole;
}

void follow_mapping(struct session *session, const struct event *event)
{
	struct owner *owner = owner_of(session, event->process);
	struct site *site;

	if (!owner || event->size > UINT64_MAX - event->start)
		return;
	if (event->type == EVENT_UNMAPPED) {
		ranges_unmap(&owner->ranges, event->start, event->size, count_freed, session);
		return;
	}
	site = site_at(session, event->site);
	if (!site || ranges_map(&owner->ranges, event->start, event->size, event->site, count_freed, session))
		return;
	site->allocated_bytes += event->size;
	site->allocations++;
}
