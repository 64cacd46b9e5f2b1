// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/dwarf_check.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "elf/dwarf_cursor.h"

/* libdw takes about 1 KiB for each unit that it has seen; the largest browsers have some 60,000. */
#define UNITS_MAX 262144

/*
 * libdw keeps its own copy of the abbreviations for every unit, some 10 times as large as they are in the
 * file. Units that share a large table could thus multiply it without end; so the sum over all units is
 * limited. It is far below the size of .debug_info in files from compilers, and about half of it where dwz
 * made units share tables.
 */
#define ABBREVIATIONS_PER_INFO 4
#define ABBREVIATIONS_ALWAYS   (4ULL << 20)
#define ABBREVIATIONS_MAX      (128ULL << 20)

/* Compilers write up to some 15 attributes, 9 of them with no bytes in .debug_info: such are walked over for
 * nothing. */
#define ATTRIBUTES_MAX	     128
#define EMPTY_ATTRIBUTES_MAX 24

struct abbreviation_offsets {
	uint64_t *items;
	size_t count, capacity;
};

/* DWARF 5, section 7.5.1; the older versions have no unit type. */
static int check_unit(struct dwarf_cursor *cursor, struct abbreviation_offsets *offsets)
{
	bool dwarf64;
	uint64_t length = dwarf_cursor_initial_length(cursor, &dwarf64), address_size, *offset;
	struct dwarf_cursor unit = *cursor;
	uint64_t version;

	dwarf_cursor_skip(cursor, length);
	if (cursor->failed)
		return -1;
	unit.end = cursor->at;
	version = dwarf_cursor_fixed(&unit, 2);
	if (version < 2 || version > 5 || offsets->count >= UNITS_MAX)
		return -1;
	offset = array_push(offsets);
	if (!offset)
		return -1;
	if (version == 5) {
		uint64_t type = dwarf_cursor_fixed(&unit, 1);

		address_size = dwarf_cursor_fixed(&unit, 1);
		*offset = dwarf_cursor_offset(&unit, dwarf64);
		if (type < DW_UT_compile || type > DW_UT_split_type)
			return -1;
		if (type != DW_UT_compile && type != DW_UT_partial)
			dwarf_cursor_skip(&unit, 8);
		if (type == DW_UT_type || type == DW_UT_split_type)
			dwarf_cursor_offset(&unit, dwarf64);
	} else {
		*offset = dwarf_cursor_offset(&unit, dwarf64);
		address_size = dwarf_cursor_fixed(&unit, 1);
	}
	return address_size == 8 && dwarf_cursor_left(&unit) ? 0 : -1;
}

static int check_abbreviation(struct dwarf_cursor *cursor)
{
	unsigned attributes = 0, empty = 0;
	uint64_t tag = dwarf_cursor_unsigned(cursor);

	dwarf_cursor_skip(cursor, 1); /* whether it has children */
	if (tag > UINT16_MAX)
		return -1;
	for (;;) {
		uint64_t name = dwarf_cursor_unsigned(cursor), form = dwarf_cursor_unsigned(cursor);

		if (cursor->failed || name > UINT16_MAX || form > UINT16_MAX)
			return -1;
		if (!name && !form)
			return 0;
		if (form == DW_FORM_implicit_const)
			dwarf_cursor_signed(cursor);
		empty += !form || form == DW_FORM_implicit_const || form == DW_FORM_flag_present;
		if (++attributes > ATTRIBUTES_MAX || empty > EMPTY_ATTRIBUTES_MAX)
			return -1;
	}
}

/* @return the size in bytes of the table that starts there, 0 when it is malformed */
static uint64_t check_table(const struct dwarf_bytes *abbreviations, uint64_t offset, uint64_t limit)
{
	struct dwarf_cursor cursor = {.end = abbreviations->data + abbreviations->size};
	const unsigned char *start;

	if (offset >= abbreviations->size)
		return 0;
	start = cursor.at = abbreviations->data + offset;
	while (dwarf_cursor_left(&cursor)) {
		uint64_t code = dwarf_cursor_unsigned(&cursor);

		if (!code && !cursor.failed)
			break;
		if (code > UINT32_MAX || check_abbreviation(&cursor) || (uint64_t)(cursor.at - start) > limit)
			return 0;
	}
	return cursor.failed ? 0 : (uint64_t)(cursor.at - start);
}

static int compare_offsets(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* @param left  bytes of abbreviations that all units may use together */
static int check_abbreviations(
	const struct dwarf_bytes *abbreviations, struct abbreviation_offsets *offsets, uint64_t left)
{
	uint64_t size = 0;

	qsort(offsets->items, offsets->count, sizeof(*offsets->items), compare_offsets);
	for (size_t i = 0; i < offsets->count; i++) {
		if (!i || offsets->items[i] != offsets->items[i - 1])
			size = check_table(abbreviations, offsets->items[i], left);
		if (!size || size > left)
			return -1;
		left -= size;
	}
	return 0;
}

int dwarf_check(const struct dwarf_bytes *info, const struct dwarf_bytes *abbreviations)
{
	struct dwarf_cursor cursor = {.at = info->data, .end = info->data + info->size};
	struct abbreviation_offsets offsets = {0};
	uint64_t limit = ABBREVIATIONS_PER_INFO * (uint64_t)info->size + ABBREVIATIONS_ALWAYS;
	int status = 0;

	if (limit > ABBREVIATIONS_MAX)
		limit = ABBREVIATIONS_MAX;
	while (!status && dwarf_cursor_left(&cursor))
		status = check_unit(&cursor, &offsets);
	if (!status && offsets.count)
		status = check_abbreviations(abbreviations, &offsets, limit);
	array_free(&offsets);
	return status;
}
