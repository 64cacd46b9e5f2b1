/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind rows: a file's call frame information, boiled down to a sorted table that a walk of a stack can be
 * made with. See bpf/unwind_rule.h for what a rule can say.
 *
 * Taken from .eh_frame and .debug_frame; without them from .debug_frame of the separate debug file, or
 * .sframe. The file is hostile input: what is malformed, absurd or too large is an error for the file, never
 * a crash or a hang. Single entries that cannot be understood are left out; where a program of call frame
 * instructions cannot be, the rest of its function is UNWIND_UNSUPPORTED. Where entries overlap, the one that
 * begins last holds, up to its end.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "bpf/unwind_rule.h"
#include "elf/elf_file.h"

struct unwind_rows {
	struct {
		struct unwind_row
			*items; /* by offset, no two equal neighbours; `rule` is an index into rules */
		size_t count, capacity;
	} rows;
	struct {
		uint64_t *items; /* each one once */
		size_t count, capacity;
	} rules;
};

/**
 * Build the rows of a file.
 *
 * @param rows  filled; to be freed with unwind_rows_free(), also after a failure. Empty when the file has no
 *              call frame information at all: that is no error
 * @return 0, or -1 with an ERROR_INPUT (malformed) or ERROR_SYSTEM (memory)
 */
int unwind_rows_build(struct elf_file *file, struct unwind_rows *rows, struct error *err);

/**
 * Build the rows of an ELF file that lies in memory: the vDSO's (its offsets are then those from its start).
 *
 * @param image  `size` bytes
 * @param rows   as for unwind_rows_build()
 * @return as unwind_rows_build()
 */
int unwind_rows_build_image(const void *image, size_t size, struct unwind_rows *rows, struct error *err);

/** @return the rule at an offset in the file; an UNWIND_NONE rule (0) where there is none */
uint64_t unwind_rows_find(const struct unwind_rows *rows, uint64_t offset);

void unwind_rows_free(struct unwind_rows *rows);
