/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of unwind rows share. */
#pragma once

#include "compile.h"
#include "elf/unwind_rows.h"

/* What all rows promise. */
static inline void check_rows(const struct unwind_rows *rows)
{
	for (size_t i = 0; i < rows->rows.count; i++) {
		assert_true(rows->rows.items[i].rule < rows->rules.count);
		if (!i)
			continue;
		assert_true(rows->rows.items[i].offset > rows->rows.items[i - 1].offset);
		assert_int_not_equal(rows->rows.items[i].rule, rows->rows.items[i - 1].rule);
	}
	for (size_t i = 0; i < rows->rules.count; i++) {
		assert_true(unwind_rule_kind(rows->rules.items[i]) < UNWIND_KINDS);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(rows->rules.items[i], rows->rules.items[j]);
	}
}

static inline void build_rows(struct elf_file *file, struct unwind_rows *rows)
{
	struct error err = {0};

	if (unwind_rows_build(file, rows, &err))
		fail_msg("%s", err.message);
	check_rows(rows);
}

static inline uint64_t rule_at(struct elf_file *file, const struct unwind_rows *rows, uint64_t address)
{
	uint64_t offset;

	assert_true(elf_file_address_to_offset(file, address, &offset));
	return unwind_rows_find(rows, offset);
}

static inline uint64_t plain(enum unwind_kind kind, int64_t offset)
{
	return unwind_rule(kind, offset, SAVED_NOT, 0, SAVED_NOT, 0);
}

static inline void assert_same_rows(const struct unwind_rows *left, const struct unwind_rows *right)
{
	assert_int_equal(left->rows.count, right->rows.count);
	assert_int_equal(left->rules.count, right->rules.count);
	assert_memory_equal(
		left->rows.items, right->rows.items, left->rows.count * sizeof(*left->rows.items));
	assert_memory_equal(
		left->rules.items, right->rules.items, left->rules.count * sizeof(*left->rules.items));
}
