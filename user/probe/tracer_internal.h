/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tracer.c (loading, tables) and place.c (probes) share; nobody else includes it. */
#pragma once

#include <bpf/libbpf.h>
#include <pthread.h>

#include "probe/tracer.h"

struct heap_bpf;
struct ring_buffer;

/* The kernel side's table of rules, and a hash table over it: index plus 1. */
struct rule_tables {
	uint64_t *items;
	uint32_t *slots;
	uint32_t count;
};

struct tracer {
	struct heap_bpf *skeleton;
	enum tracer_mechanism mechanism;
	struct tracer_tables tables;
	struct bucket *buckets; /* once tracer_blocks() was called */
	struct ring_buffer *ring;
	void (*callback)(const struct event *event, void *data);
	void *callback_data;
	int event_budget;
	struct rule_tables rules;
	uint32_t rows_used;

	/* Groups of probes that are being removed, each by a thread of its own. */
	pthread_mutex_t removals_lock;
	pthread_cond_t removal_done;
	int removals;
};

/** Free what placing rows took. */
void tracer_rows_free(struct tracer *tracer);

/** Wait until all groups that were given to probe_group_free() are gone. */
void probe_removals_wait(struct tracer *tracer);

/** @return whether the kernel has the loaded tracer's mechanism */
bool probe_mechanism_works(struct tracer *tracer);
