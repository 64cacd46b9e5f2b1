// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static void free_site(struct profile_site *site)
{
	for (size_t i = 0; i < site->frame_count; i++) {
		free(site->frames[i].module);
		free(site->frames[i].function);
		free(site->frames[i].file);
	}
	free(site->frames);
	free(site->points);
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	for (char **argument = profile->command; argument && *argument; argument++)
		free(*argument);
	free(profile->command);
	for (size_t i = 0; i < profile->probes.count; i++)
		free(profile->probes.items[i].object);
	for (size_t i = 0; i < profile->sites.count; i++)
		free_site(&profile->sites.items[i]);
	for (size_t i = 0; i < profile->warnings.count; i++)
		free(profile->warnings.items[i]);
	for (size_t i = 0; i < profile->stacks.left_out.count; i++)
		free(profile->stacks.left_out.items[i].path);
	array_free(&profile->stacks.left_out);
	array_free(&profile->pids);
	array_free(&profile->probes);
	array_free(&profile->sites);
	array_free(&profile->warnings);
	*profile = (struct profile){0};
}

/* Larger first. A value that is not a number counts as none, so that the order is total. */
static int compare_leaks(double a, double b)
{
	a = isnan(a) ? 0 : a;
	b = isnan(b) ? 0 : b;
	return (a < b) - (a > b);
}

static int compare_sites(const void *left, const void *right)
{
	const struct profile_site *a = left, *b = right;
	int order = compare_leaks(a->factor.leak, b->factor.leak);

	if (order)
		return order;
	if (a->counts.live_bytes != b->counts.live_bytes)
		return a->counts.live_bytes < b->counts.live_bytes ? 1 : -1;
	return (a->id > b->id) - (a->id < b->id);
}

void profile_sort(struct profile *profile)
{
	if (profile->sites.count > 1)
		qsort(profile->sites.items, profile->sites.count, sizeof(*profile->sites.items),
			compare_sites);
}

uint64_t profile_lost_total(const struct profile_lost *lost)
{
	return lost->blocks + lost->stacks + lost->returns + lost->missed_frees + lost->processes +
	       lost->events;
}
