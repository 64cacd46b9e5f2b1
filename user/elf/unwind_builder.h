/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the readers of all formats share: the functions that are described, and the rows that come of them. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/unwind_rows.h"
#include "elf/unwind_source.h"

/* A piece of code that one entry describes. */
struct unwind_function {
	uint64_t address;    /* linked, of its start */
	uint32_t start, end; /* offsets in the file */
	uint32_t order;	     /* of the entries */
	uint32_t common;     /* index of the CIE */
	uint32_t at, size;   /* of its description in the source, bytes */
};

struct unwind_functions {
	struct unwind_function *items;
	size_t count, capacity;
};

/**
 * Append a function, clipped to its segment.
 *
 * @param address  linked
 * @param size     bytes
 * @param function where to put it, to be filled; NULL when no executable segment of the file holds it
 * @return 0, or -1 when memory ran out
 */
int unwind_functions_add(struct unwind_functions *functions, const struct elf_file *file, uint64_t address,
	uint64_t size, struct unwind_function **function);

/**
 * Sort the functions, and cut each where the next one begins, as unwinders that search for the last one that
 * begins before an address do. Of several that begin at the same place the first one in the file is left.
 */
void unwind_functions_sort(struct unwind_functions *functions);

struct unwind_builder {
	struct unwind_rows *rows;
	uint32_t *slots; /* hash of rules: index + 1 or 0 */
	size_t slot_count;
};

/**
 * Append a row. One at the same offset as the last row replaces it.
 *
 * @param offset  not below the last row's
 * @return 0, or -1 when memory ran out
 */
int unwind_builder_add(struct unwind_builder *builder, uint32_t offset, uint64_t rule);

/** @return whether an offset fits into a signed field of so many bits, in units of 8 bytes */
static inline bool unwind_fits(int64_t offset, unsigned bits)
{
	int64_t limit = (int64_t)8 << (bits - 1);

	return !(offset % 8) && offset >= -limit && offset < limit;
}

/*
 * The readers: append the rows of all functions in order, each followed by an UNWIND_NONE where it ends.
 * Return 0; UNWIND_MALFORMED or UNWIND_NO_MEMORY.
 */
enum { UNWIND_MALFORMED = -1, UNWIND_NO_MEMORY = -2 };

/** Read .eh_frame and .debug_frame. */
int unwind_read_frames(
	const struct elf_file *file, const struct unwind_sources *sources, struct unwind_builder *builder);

/** Read .sframe. */
int unwind_read_sframe(
	const struct elf_file *file, const struct unwind_source *source, struct unwind_builder *builder);

/** As unwind_rows_build(), from what was read already. */
int unwind_rows_build_from(const struct elf_file *file, const struct unwind_sources *sources,
	struct unwind_rows *rows, struct error *err);
