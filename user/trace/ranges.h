/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mapped ranges of one process, each with the site that mapped it. Unmapping may cut ranges anywhere: a
 * mapping is freed when the last of its bytes has gone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end; /* addresses, end excluded */
	uint32_t site;
	uint32_t mapping; /* pieces of one mapping share it */
};

struct ranges {
	struct range *items; /* sorted, never overlapping */
	size_t count, capacity;
	uint32_t next_mapping;
};

/* Told of bytes that went. @param whole  the last bytes of their mapping */
typedef void (*ranges_freed)(uint32_t site, uint64_t bytes, int whole, void *data);

/**
 * Add a mapping. What lay there before is removed first, as a fixed mapping replaces it.
 *
 * @param start, size  in bytes; size is not 0 and start + size does not overflow
 * @return 0, or -1 when memory ran out (the range is then not tracked)
 */
int ranges_map(
	struct ranges *ranges, uint64_t start, uint64_t size, uint32_t site, ranges_freed freed, void *data);

/**
 * Remove all that lies in a range, whole mappings or pieces of them.
 *
 * @param freed  called for every piece removed
 * @return 0, or -1 when memory ran out while a mapping was being cut in two (its tail is then dropped, and
 * told)
 */
int ranges_unmap(struct ranges *ranges, uint64_t start, uint64_t size, ranges_freed freed, void *data);

/** Free the list. */
void ranges_free(struct ranges *ranges);
