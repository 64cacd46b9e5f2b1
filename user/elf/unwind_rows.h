/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind rows: a file's call frame information, boiled down to a sorted table that a walk of a stack can be
 * made with. See bpf/unwind_rule.h for what a rule can say.
 *
 * Taken from .eh_frame; without it from .debug_frame (also of the separate debug file), or .sframe. The file
 * is hostile input: what is malformed, absurd or too large is an error for the file, never a crash or a hang.
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

/** @return the rule at an offset in the file; an UNWIND_NONE rule (0) where there is none */
uint64_t unwind_rows_find(const struct unwind_rows *rows, uint64_t offset);

void unwind_rows_free(struct unwind_rows *rows);
