// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "tests/truth/truth.h"

#define OUTERMOST_SHOWN 10

/* Stacks that differ in the same way, in the same object. */
struct miss {
	char reason[160];
	char example[768];
	uint64_t count;
};

/* Where libdw's stacks begin: all of them in the few places where programs and threads start, or it is no
 * judge. */
struct outermost {
	__u64 address;
	const char *problem;
	char name[200];
	uint64_t count;
};

struct verdicts {
	uint64_t samples, equal, frames;
	uint64_t signal_frames; /* stacks with one, equal or not */
	uint64_t deepest;
	uint64_t disturbed;   /* stops in vain, not among the samples: another tracer had changed the stack */
	uint64_t libdw_early; /* misses that are libdw's: it went less far */
	uint64_t libdw_failed; /* stacks, equal or not, that libdw ended with an error */
	struct {
		struct miss *items;
		size_t count, capacity;
	} misses;
	struct {
		struct outermost *items;
		size_t count, capacity;
	} outermost;
};

struct verdicts *verdicts_new(void)
{
	return calloc(1, sizeof(struct verdicts));
}

void verdicts_free(struct verdicts *verdicts)
{
	if (!verdicts)
		return;
	array_free(&verdicts->misses);
	array_free(&verdicts->outermost);
	free(verdicts);
}

uint64_t verdicts_samples(const struct verdicts *verdicts)
{
	return verdicts->samples;
}

/* @return the miss of this reason, a new one when `count` is 0 */
static struct miss *miss_of_reason(struct verdicts *verdicts, const char *reason)
{
	struct miss *miss;

	for (size_t i = 0; i < verdicts->misses.count; i++) {
		if (!strcmp(verdicts->misses.items[i].reason, reason))
			return &verdicts->misses.items[i];
	}
	miss = array_push(&verdicts->misses);
	if (miss)
		snprintf(miss->reason, sizeof(miss->reason), "%s", reason);
	return miss;
}

static void outermost_add(
	struct verdicts *verdicts, struct libdw_side *libdw, const struct libdw_stack *stack)
{
	__u64 address = stack->frame_count ? stack->frames[stack->frame_count - 1] : 0;
	struct outermost *place;

	if (stack->frame_count == MAX_FRAMES)
		return;
	for (size_t i = 0; i < verdicts->outermost.count; i++) {
		place = &verdicts->outermost.items[i];
		if (place->address == address && place->problem == stack->problem) {
			place->count++;
			return;
		}
	}
	place = array_push(&verdicts->outermost);
	if (!place)
		return;
	place->address = address;
	place->problem = stack->problem;
	place->count = 1;
	libdw_side_describe(libdw, address, place->name, sizeof(place->name));
}

static void describe_at(
	struct libdw_side *libdw, const __u64 *frames, size_t count, size_t i, char *text, size_t size)
{
	if (i < count)
		libdw_side_describe(libdw, frames[i], text, size);
	else
		snprintf(text, size, "no frame");
}

static void example_write(struct miss *miss, struct libdw_side *libdw, const struct truth_sample *sample,
	const struct libdw_stack *stack, size_t i)
{
	char before[200], ours[200], theirs[200];

	describe_at(libdw, sample->frames, sample->frame_count, i - 1, before, sizeof(before));
	describe_at(libdw, sample->frames, sample->frame_count, i, ours, sizeof(ours));
	describe_at(libdw, stack->frames, stack->frame_count, i, theirs, sizeof(theirs));
	snprintf(miss->example, sizeof(miss->example),
		"frame %zu after %s: ours %s, libdw's %s; ours has %u frames, libdw %zu%s%s; thread %u, sp "
		"%#llx, bp "
		"%#llx, bx %#llx",
		i, i ? before : "the call", ours, theirs, sample->frame_count, stack->frame_count,
		stack->problem ? ", then: " : "", stack->problem ? stack->problem : "", sample->tid,
		sample->sp, sample->bp, sample->bx);
}

/* Is a probe on a return in the way where two stacks begin to differ? */
static bool is_disturbed(struct libdw_side *libdw, const struct libdw_stack *stack, size_t i)
{
	if (i < stack->frame_count && libdw_side_is_return_probe(libdw, stack->frames[i]))
		return true;
	return i && libdw_side_is_return_probe(libdw, stack->frames[i - 1]);
}

void verdicts_add(struct verdicts *verdicts, struct libdw_side *libdw, const struct truth_sample *sample,
	const struct libdw_stack *stack)
{
	size_t ours = sample->frame_count, theirs = stack->frame_count, i = 0;
	const char *module;
	struct miss *miss;
	char reason[160];

	while (i < ours && i < theirs && sample->frames[i] == stack->frames[i])
		i++;
	if ((i < ours || i < theirs) && is_disturbed(libdw, stack, i)) {
		verdicts->disturbed++;
		return;
	}
	verdicts->samples++;
	verdicts->frames += theirs;
	verdicts->signal_frames += stack->has_signal_frame;
	verdicts->libdw_failed += !!stack->problem;
	outermost_add(verdicts, libdw, stack);
	if (theirs > verdicts->deepest)
		verdicts->deepest = theirs;
	if (i == ours && i == theirs) {
		verdicts->equal++;
		return;
	}
	/* The frame that one of the two made something wrong of. */
	module = libdw_side_module(libdw, i ? sample->frames[i - 1] : sample->function);
	if (i == ours) {
		snprintf(
			reason, sizeof(reason), "ours ends early in %s: %s", module, kernel_side_end(sample));
	} else if (i == theirs) {
		verdicts->libdw_early++;
		snprintf(reason, sizeof(reason), "libdw ends early in %s: %s; ours: %s", module,
			stack->problem ? stack->problem : "without an error", kernel_side_end(sample));
	} else {
		snprintf(reason, sizeof(reason), "another caller of %s", module);
	}
	miss = miss_of_reason(verdicts, reason);
	if (miss && !miss->count++)
		example_write(miss, libdw, sample, stack, i);
}

static int by_count(const void *a, const void *b)
{
	const struct miss *left = a, *right = b;

	return left->count < right->count   ? 1
	       : left->count > right->count ? -1
					    : strcmp(left->reason, right->reason);
}

static int by_places(const void *a, const void *b)
{
	const struct outermost *left = a, *right = b;

	return left->count < right->count ? 1 : left->count > right->count ? -1 : 0;
}

static json_t *misses_json(const struct verdicts *verdicts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < verdicts->misses.count; i++) {
		const struct miss *miss = &verdicts->misses.items[i];

		json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "reason", miss->reason, "count",
						    (json_int_t)miss->count, "example", miss->example));
	}
	return list;
}

void verdicts_print(const struct verdicts *verdicts, const struct truth_counts *counts, int status)
{
	double all = verdicts->samples ? (double)verdicts->samples : 1;
	json_t *json;

	if (verdicts->misses.count)
		qsort(verdicts->misses.items, verdicts->misses.count, sizeof(struct miss), by_count);
	printf("%" PRIu64 " of %" PRIu64 " calls sampled, %.1f frames each, %" PRIu64 " at most, %" PRIu64
	       " with a signal frame\n",
		verdicts->samples, (uint64_t)counts->calls, (double)verdicts->frames / all, verdicts->deepest,
		verdicts->signal_frames);
	printf("%" PRIu64 " stacks equal, %.2f %%; libdw gave up on %" PRIu64 "\n", verdicts->equal,
		100 * (double)verdicts->equal / all, verdicts->libdw_failed);
	printf("%" PRIu64 " of the calls' stacks recognized, %" PRIu64 " of them wrongly\n",
		(uint64_t)counts->recalled, (uint64_t)counts->recalled_wrongly);
	for (size_t i = 0; i < verdicts->misses.count; i++) {
		const struct miss *miss = &verdicts->misses.items[i];

		printf("%6" PRIu64 "  %5.2f %%  %s\n                 %s\n", miss->count,
			100 * (double)miss->count / all, miss->reason, miss->example);
	}
	if (verdicts->outermost.count)
		qsort(verdicts->outermost.items, verdicts->outermost.count, sizeof(struct outermost),
			by_places);
	for (size_t i = 0; i < verdicts->outermost.count && i < OUTERMOST_SHOWN; i++) {
		const struct outermost *place = &verdicts->outermost.items[i];

		printf("%6" PRIu64 "  stacks of libdw's end in %s%s%s\n", place->count, place->name,
			place->problem ? ": " : "", place->problem ? place->problem : "");
	}
	json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o}", "calls",
		(json_int_t)counts->calls, "samples", (json_int_t)verdicts->samples, "equal",
		(json_int_t)verdicts->equal, "libdw_early", (json_int_t)verdicts->libdw_early, "frames",
		(json_int_t)verdicts->frames, "deepest", (json_int_t)verdicts->deepest, "signal_frames",
		(json_int_t)verdicts->signal_frames, "libdw_failed", (json_int_t)verdicts->libdw_failed,
		"disturbed", (json_int_t)verdicts->disturbed, "no_room", (json_int_t)counts->no_room,
		"recalled", (json_int_t)counts->recalled, "recalled_wrongly",
		(json_int_t)counts->recalled_wrongly, "status", status, "misses", misses_json(verdicts));
	json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(json);
}
