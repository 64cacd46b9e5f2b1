// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * .sframe, versions 1 and 2, as the GNU assembler and linker write them. It says nothing of rbx, and has the
 * return address at a fixed distance from the CFA.
 */
#include <string.h>

#include "base/array.h"
#include "elf/unwind_builder.h"

#define SFRAME_MAGIC	    0xdee2
#define SFRAME_AMD64	    3
#define FLAG_START_RELATIVE 4 /* function addresses are relative to their own place, not to the section */

struct sframe_header {
	uint16_t magic;
	uint8_t version, flags;
	uint8_t machine;
	int8_t fixed_bp_offset, fixed_return_offset; /* from the CFA; 0: not fixed */
	uint8_t more_size;			     /* bytes of header behind these */
	uint32_t function_count, row_count, rows_size;
	uint32_t functions, rows; /* where they begin, from the end of the header */
} __attribute__((packed));

struct sframe_function {
	int32_t start;
	uint32_t size;
	uint32_t rows; /* where its own begin, from the start of all */
	uint32_t row_count;
	uint8_t info;
	uint8_t repeat_size; /* from version 2 on */
	uint16_t padding;
} __attribute__((packed));

#define FUNCTION_SIZE_1 offsetof(struct sframe_function, repeat_size)

#define ROW_SIZE_MIN 2

struct sframe {
	const struct unwind_source *source;
	struct sframe_header header;
	size_t functions, function_size, rows, rows_end; /* bytes from the section's start */
	uint64_t rows_left; /* of all functions together: they may not share theirs */
};

/* A row: the CFA is a register and an offset, and rbp may be saved at the CFA and another. */
struct sframe_row {
	uint32_t start; /* from the function's, or the repeated piece's */
	bool by_sp;
	unsigned offset_count;
	int64_t offsets[2];
};

static int read_header(struct sframe *sframe)
{
	const struct unwind_source *source = sframe->source;
	struct sframe_header *header = &sframe->header;
	uint64_t end, functions, rows;

	if (source->size < sizeof(*header))
		return UNWIND_MALFORMED;
	memcpy(header, source->bytes, sizeof(*header));
	if (header->magic != SFRAME_MAGIC || header->version < 1 || header->version > 2 ||
		header->machine != SFRAME_AMD64 || header->fixed_return_offset != -8)
		return UNWIND_MALFORMED;
	end = sizeof(*header) + header->more_size;
	functions = end + header->functions;
	rows = end + header->rows;
	sframe->function_size = header->version == 1 ? FUNCTION_SIZE_1 : sizeof(struct sframe_function);
	if (functions > source->size ||
		header->function_count > (source->size - functions) / sframe->function_size ||
		rows > source->size || header->rows_size > source->size - rows)
		return UNWIND_MALFORMED;
	sframe->functions = functions;
	sframe->rows = rows;
	sframe->rows_end = rows + header->rows_size;
	sframe->rows_left = header->rows_size / ROW_SIZE_MIN;
	return 0;
}

static struct sframe_function function_at(const struct sframe *sframe, size_t at)
{
	struct sframe_function function = {.repeat_size = 16};

	memcpy(&function, sframe->source->bytes + at, sframe->function_size);
	return function;
}

static int read_functions(
	const struct sframe *sframe, const struct elf_file *file, struct unwind_functions *functions)
{
	for (size_t i = 0; i < sframe->header.function_count; i++) {
		size_t at = sframe->functions + i * sframe->function_size;
		struct sframe_function read = function_at(sframe, at);
		uint64_t base = sframe->source->address;
		struct unwind_function *added;

		if (sframe->header.flags & FLAG_START_RELATIVE)
			base += at;
		if (unwind_functions_add(
			    functions, file, base + (uint64_t)(int64_t)read.start, read.size, &added))
			return UNWIND_NO_MEMORY;
		if (added)
			added->at = (uint32_t)at;
	}
	return 0;
}

static int64_t read_offset(struct dwarf_cursor *cursor, unsigned size)
{
	uint64_t value = dwarf_cursor_fixed(cursor, size);

	return (int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size);
}

static struct sframe_row read_row(struct dwarf_cursor *cursor, const struct sframe_function *function)
{
	struct sframe_row row = {0};
	unsigned start_size = 1U << (function->info & 3), size;
	uint8_t info;

	row.start = (uint32_t)dwarf_cursor_fixed(cursor, start_size);
	info = (uint8_t)dwarf_cursor_fixed(cursor, 1);
	row.by_sp = info & 1;
	row.offset_count = info >> 1 & 15;
	size = 1U << (info >> 5 & 3);
	if ((function->info & 15) > 2 || size > 4)
		cursor->failed = true;
	for (unsigned i = 0; i < row.offset_count && !cursor->failed; i++) {
		int64_t offset = read_offset(cursor, size);

		if (i < 2)
			row.offsets[i] = offset;
	}
	return row;
}

static uint64_t rule_of(const struct sframe *sframe, const struct sframe_row *row)
{
	int64_t bp = row->offset_count > 1 ? row->offsets[1] : sframe->header.fixed_bp_offset;
	enum unwind_saved saved = !bp ? SAVED_NOT : SAVED_AT_CFA;

	if (!row->offset_count)
		return unwind_rule(UNWIND_END, 0, SAVED_NOT, 0, SAVED_NOT, 0);
	if (!unwind_fits(row->offsets[0], UNWIND_OFFSET_BITS))
		return unwind_rule(UNWIND_UNSUPPORTED, 0, SAVED_NOT, 0, SAVED_NOT, 0);
	if (!unwind_fits(bp, UNWIND_SAVED_BITS)) {
		saved = SAVED_UNKNOWN;
		bp = 0;
	}
	return unwind_rule(row->by_sp ? UNWIND_SP : UNWIND_BP, row->offsets[0], saved, bp, SAVED_UNKNOWN, 0);
}

/* Code that repeats every few bytes: the PLT, where each entry pushes a number before it jumps. */
static uint64_t repeated_rule(const struct sframe_function *function, struct dwarf_cursor *rows)
{
	struct sframe_row first = read_row(rows, function), second = {0};

	if (function->row_count == 2)
		second = read_row(rows, function);
	if (rows->failed || function->repeat_size != 16 || first.start || second.start > 15 || !first.by_sp ||
		first.offset_count != 1 || first.offsets[0] != 8)
		return unwind_rule(UNWIND_UNSUPPORTED, 0, SAVED_NOT, 0, SAVED_NOT, 0);
	if (function->row_count == 1)
		return unwind_rule(UNWIND_SP, 8, SAVED_NOT, 0, SAVED_UNKNOWN, 0);
	if (function->row_count != 2 || !second.by_sp || second.offset_count != 1 || second.offsets[0] != 16)
		return unwind_rule(UNWIND_UNSUPPORTED, 0, SAVED_NOT, 0, SAVED_NOT, 0);
	return unwind_rule(UNWIND_PLT, second.start * 8, SAVED_NOT, 0, SAVED_UNKNOWN, 0);
}

static int add_function(
	struct sframe *sframe, const struct unwind_function *function, struct unwind_builder *builder)
{
	struct sframe_function read = function_at(sframe, function->at);
	const unsigned char *bytes = sframe->source->bytes;
	struct dwarf_cursor rows = {.at = bytes + sframe->rows, .end = bytes + sframe->rows_end};
	uint32_t reached = 0;
	int status = 0;

	dwarf_cursor_skip(&rows, read.rows);
	if (read.row_count > sframe->rows_left)
		return UNWIND_MALFORMED;
	sframe->rows_left -= read.row_count;
	if (read.info & 16) {
		if (unwind_builder_add(builder, function->start, repeated_rule(&read, &rows)))
			return UNWIND_NO_MEMORY;
		read.row_count = 0;
	}
	for (uint32_t i = 0; i < read.row_count && !status; i++) {
		struct sframe_row row = read_row(&rows, &read);

		if (rows.failed || (i && row.start <= reached))
			return UNWIND_MALFORMED;
		if (row.start >= function->end - function->start)
			break;
		reached = row.start;
		status = unwind_builder_add(builder, function->start + row.start, rule_of(sframe, &row));
	}
	if (status || unwind_builder_add(builder, function->end, 0))
		return UNWIND_NO_MEMORY;
	return 0;
}

int unwind_read_sframe(
	const struct elf_file *file, const struct unwind_source *source, struct unwind_builder *builder)
{
	struct sframe sframe = {.source = source};
	struct unwind_functions functions = {0};
	int status = read_header(&sframe);

	if (!status)
		status = read_functions(&sframe, file, &functions);
	unwind_functions_sort(&functions);
	for (size_t i = 0; i < functions.count && !status; i++)
		status = add_function(&sframe, &functions.items[i], builder);
	array_free(&functions);
	return status;
}
