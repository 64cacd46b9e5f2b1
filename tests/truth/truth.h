/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * truth: are the stacks that leaktop walks in the kernel those that libdw's unwinder finds at the same stop?
 *
 *	truth.c		the target: starting it, its stops
 *	kernel_side.c	leaktop's walk: loading and placing it, its tables, its samples
 *	libdw_side.c	libdw's walk
 *	verdicts.c	comparing the two, counting, printing
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"
#include "tests/truth/sample.h"

/* --- kernel_side.c --- */

struct kernel_side;

/**
 * Load the programs for a target.
 *
 * @param every  on average, of how many allocator calls one is sampled
 * @return NULL on failure; to be freed with kernel_side_free()
 */
struct kernel_side *kernel_side_load(pid_t pid, unsigned int every, struct error *err);
void kernel_side_free(struct kernel_side *side);

/** Place probes in, and make tables of, what the target has mapped since the last time. @return 0 or -1 */
int kernel_side_update(struct kernel_side *side, struct error *err);

/** @return what a thread is stopped for, valid until its next stop; NULL when it is not stopped for us */
const struct truth_sample *kernel_side_take(struct kernel_side *side, pid_t tid);

/** Choose no more samples. */
void kernel_side_finish(struct kernel_side *side);

/** @return what has been counted so far */
struct truth_counts kernel_side_counts(const struct kernel_side *side);

/** @return in words, why a walk ended */
const char *kernel_side_end(const struct truth_sample *sample);

/* --- libdw_side.c --- */

struct libdw_side;

struct libdw_stack {
	__u64 frames[MAX_FRAMES]; /* return addresses, the first into the allocator's caller */
	size_t frame_count;
	bool has_signal_frame;
	const char *problem; /* why libdw went no further; NULL: it came to the outermost frame, or to the
				limit */
};

/** @return NULL on failure; to be freed with libdw_side_free() */
struct libdw_side *libdw_side_open(pid_t pid, struct error *err);
void libdw_side_free(struct libdw_side *side);

/** Take note of what the target has mapped now. @return 0 or -1 */
int libdw_side_update(struct libdw_side *side, struct error *err);

/** Unwind a thread that is stopped by ptrace at the beginning of an allocator function. */
void libdw_side_walk(struct libdw_side *side, pid_t tid, struct libdw_stack *stack);

/** @return the file name of the object around an address, "?" where there is none; valid until the next
 * update
 */
const char *libdw_side_module(struct libdw_side *side, uint64_t address);

/** @return whether an address is what the kernel puts in the place of a return address when a return is
 * probed: some other tracer is at work */
bool libdw_side_is_return_probe(struct libdw_side *side, uint64_t address);

/** Write an address as "object+0xoffset (function)". */
void libdw_side_describe(struct libdw_side *side, uint64_t address, char *text, size_t size);

/* --- verdicts.c --- */

struct verdicts;

struct verdicts *verdicts_new(void);
void verdicts_free(struct verdicts *verdicts);

/** Compare the two stacks of a stop. */
void verdicts_add(struct verdicts *verdicts, struct libdw_side *libdw, const struct truth_sample *sample,
	const struct libdw_stack *stack);

/** @return the number of stacks compared */
uint64_t verdicts_samples(const struct verdicts *verdicts);

/** Print what was found for people, and as the last line for programs, in JSON. */
void verdicts_print(const struct verdicts *verdicts, const struct truth_counts *counts, int status);
