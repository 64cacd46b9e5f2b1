/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line on a terminal that says how a session goes, rewritten in place. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress_numbers {
	double elapsed; /* seconds */
	double total;	/* seconds; 0 when the session lasts until it is interrupted or the target ends */
	uint64_t calls; /* allocator calls seen */
	uint64_t live_bytes;
	uint64_t sites;
	uint64_t lost; /* events of any kind that could not be recorded */
};

struct progress {
	FILE *out;	/* NULL when there is no terminal to write to */
	size_t columns; /* that the line on the screen takes; 0 when there is none */
};

/** Begin. Nothing is ever written when the stream is no terminal. @param out stays the caller's */
void progress_init(struct progress *progress, FILE *out);

/** Show new numbers in place of the last ones, cut to the terminal's width as it is now. */
void progress_update(struct progress *progress, const struct progress_numbers *numbers);

/** Wipe the line: before anything else is written to the terminal, and at the end. */
void progress_clear(struct progress *progress);

/**
 * Write the line's text. @param size bytes of `text`; what does not fit is cut
 * @return `text`
 */
char *progress_text(char *text, size_t size, const struct progress_numbers *numbers);
