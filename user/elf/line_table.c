// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/line_table.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "elf/dwarf_cursor.h"
#include "elf/range_index.h"

#define PATH_PART_MAX	 4096
#define ENTRY_FORMAT_MAX 16 /* DWARF 5 defines five kinds of content */

struct file_entry {
	const char *name;
	uint64_t directory;
};

struct line_table {
	const char *compilation_directory;
	unsigned version;
	struct {
		const char **items;
		size_t count, capacity;
	} directories;
	struct {
		struct file_entry *items;
		size_t count, capacity;
	} files;
	struct {
		struct line_row *items;
		size_t count, capacity;
	} rows;
	struct {
		struct sequence {
			size_t first, count; /* rows */
		} * items;
		size_t count, capacity;
	} sequences;
	struct range_index ranges; /* values are positions in `sequences` */
};

/* What the header says and the line program needs. */
struct line_header {
	bool dwarf64;
	uint8_t minimum_instruction_length;
	uint8_t operations_per_instruction;
	int8_t line_base;
	uint8_t line_range;
	uint8_t opcode_base;
	const unsigned char *operand_counts; /* of opcode 1 and on */
	const struct dwarf_bytes *line_strings, *strings;
	uint64_t *budget; /* rows, directories and files that may still be stored */
};

static bool spend(const struct line_header *header)
{
	if (!*header->budget)
		return false;
	--*header->budget;
	return true;
}

static int add_directory(struct line_table *table, const struct line_header *header, const char *name)
{
	const char **directory = spend(header) ? array_push(&table->directories) : NULL;

	if (!directory)
		return -1;
	*directory = name;
	return 0;
}

static int add_file(
	struct line_table *table, const struct line_header *header, const char *name, uint64_t directory)
{
	struct file_entry *file = spend(header) ? array_push(&table->files) : NULL;

	if (!file)
		return -1;
	*file = (struct file_entry){.name = name, .directory = directory};
	return 0;
}

/* DWARF 2 to 4: directory 0 is the compilation directory and files are numbered from 1. */
static int read_old_entries(
	struct line_table *table, struct dwarf_cursor *cursor, const struct line_header *header)
{
	const char *name;

	if (add_directory(table, header, NULL) || add_file(table, header, NULL, 0))
		return -1;
	while ((name = dwarf_cursor_string(cursor)) && *name)
		if (add_directory(table, header, name))
			return -1;
	while ((name = dwarf_cursor_string(cursor)) && *name) {
		uint64_t directory = dwarf_cursor_unsigned(cursor);

		dwarf_cursor_unsigned(cursor); /* time of last change */
		dwarf_cursor_unsigned(cursor); /* size in bytes */
		if (add_file(table, header, name, directory))
			return -1;
	}
	return cursor->failed ? -1 : 0;
}

static const char *string_at(const struct dwarf_bytes *section, uint64_t offset)
{
	return offset < section->size ? (const char *)section->data + offset : NULL;
}

/* One field of a directory or file entry. Unknown forms have an unknown size: they end the reading. */
static void read_field(struct dwarf_cursor *cursor, const struct line_header *header, uint64_t form,
	const char **text, uint64_t *number)
{
	switch (form) {
	case DW_FORM_string:
		*text = dwarf_cursor_string(cursor);
		break;
	case DW_FORM_line_strp:
		*text = string_at(header->line_strings, dwarf_cursor_offset(cursor, header->dwarf64));
		break;
	case DW_FORM_strp:
		*text = string_at(header->strings, dwarf_cursor_offset(cursor, header->dwarf64));
		break;
	case DW_FORM_udata:
		*number = dwarf_cursor_unsigned(cursor);
		break;
	case DW_FORM_data1:
		*number = dwarf_cursor_fixed(cursor, 1);
		break;
	case DW_FORM_data2:
		*number = dwarf_cursor_fixed(cursor, 2);
		break;
	case DW_FORM_data4:
		*number = dwarf_cursor_fixed(cursor, 4);
		break;
	case DW_FORM_data8:
		*number = dwarf_cursor_fixed(cursor, 8);
		break;
	case DW_FORM_data16:
		dwarf_cursor_skip(cursor, 16);
		break;
	case DW_FORM_block:
		dwarf_cursor_skip(cursor, dwarf_cursor_unsigned(cursor));
		break;
	default:
		cursor->failed = true;
	}
}

/* DWARF 5: a description of the entries, their number, the entries; first of directories, then of files. */
static int read_entries(
	struct line_table *table, struct dwarf_cursor *cursor, const struct line_header *header, bool files)
{
	struct {
		uint64_t content, form;
	} formats[ENTRY_FORMAT_MAX];
	size_t format_count = dwarf_cursor_fixed(cursor, 1);
	uint64_t count;

	if (format_count > ENTRY_FORMAT_MAX)
		return -1;
	for (size_t i = 0; i < format_count; i++) {
		formats[i].content = dwarf_cursor_unsigned(cursor);
		formats[i].form = dwarf_cursor_unsigned(cursor);
	}
	count = dwarf_cursor_unsigned(cursor);
	/* Every entry takes a byte at least, or the count could be anything. */
	if (cursor->failed || count > dwarf_cursor_left(cursor) || (count && !format_count))
		return -1;
	for (uint64_t i = 0; i < count; i++) {
		const char *name = NULL;
		uint64_t directory = 0;

		for (size_t field = 0; field < format_count; field++) {
			const char *text = NULL;
			uint64_t number = 0;

			read_field(cursor, header, formats[field].form, &text, &number);
			if (formats[field].content == DW_LNCT_path)
				name = text;
			else if (formats[field].content == DW_LNCT_directory_index)
				directory = number;
		}
		if (cursor->failed || (files ? add_file(table, header, name, directory)
					     : add_directory(table, header, name)))
			return -1;
	}
	return 0;
}

static void read_header_length_and_parameters(struct line_table *table, struct dwarf_cursor *cursor,
	struct line_header *header, const unsigned char **program)
{
	uint64_t length;

	if (table->version >= 5)
		dwarf_cursor_skip(cursor, 2); /* sizes of an address and of a segment selector */
	length = dwarf_cursor_offset(cursor, header->dwarf64);
	if (length > dwarf_cursor_left(cursor)) {
		cursor->failed = true;
		return;
	}
	*program = cursor->at + length;
	header->minimum_instruction_length = (uint8_t)dwarf_cursor_fixed(cursor, 1);
	header->operations_per_instruction = 1;
	if (table->version >= 4)
		header->operations_per_instruction = (uint8_t)dwarf_cursor_fixed(cursor, 1);
	dwarf_cursor_skip(cursor, 1); /* whether a row is a statement at first */
	header->line_base = (int8_t)dwarf_cursor_fixed(cursor, 1);
	header->line_range = (uint8_t)dwarf_cursor_fixed(cursor, 1);
	header->opcode_base = (uint8_t)dwarf_cursor_fixed(cursor, 1);
	header->operand_counts = cursor->at;
	dwarf_cursor_skip(cursor, header->opcode_base ? header->opcode_base - 1U : 0);
	if (!header->opcode_base || !header->line_range || !header->operations_per_instruction)
		cursor->failed = true;
}

/* @return 0 with the cursor at the line program, its end being the program's, or -1 */
static int read_header(struct line_table *table, struct dwarf_cursor *cursor, struct line_header *header)
{
	const unsigned char *program = NULL;
	uint64_t length = dwarf_cursor_initial_length(cursor, &header->dwarf64);

	if (cursor->failed || length > dwarf_cursor_left(cursor))
		return -1;
	cursor->end = cursor->at + length;
	table->version = (unsigned)dwarf_cursor_fixed(cursor, 2);
	if (table->version < 2 || table->version > 5)
		return -1;
	read_header_length_and_parameters(table, cursor, header, &program);
	if (cursor->failed)
		return -1;
	if (table->version >= 5) {
		if (read_entries(table, cursor, header, false) || read_entries(table, cursor, header, true))
			return -1;
	} else if (read_old_entries(table, cursor, header)) {
		return -1;
	}
	cursor->at = program;
	return 0;
}

/* The registers of the line program, as far as they are of use here. */
struct line_state {
	uint64_t address, operation, file, line;
	size_t first_row; /* of the current sequence */
	bool unordered;	  /* the current sequence goes back: it is of no use */
};

static const struct line_state initial_state = {.file = 1, .line = 1};

static void advance(struct line_state *state, const struct line_header *header, uint64_t operations)
{
	uint64_t sum = state->operation + operations;

	state->address += header->minimum_instruction_length * (sum / header->operations_per_instruction);
	state->operation = sum % header->operations_per_instruction;
}

static int emit_row(struct line_table *table, struct line_state *state, const struct line_header *header)
{
	struct line_row *row;

	if (!spend(header))
		return -1;
	if (table->rows.count > state->first_row &&
		table->rows.items[table->rows.count - 1].address > state->address)
		state->unordered = true;
	row = array_push(&table->rows);
	if (!row)
		return -1;
	*row = (struct line_row){
		.address = state->address,
		.file = state->file <= UINT32_MAX ? (uint32_t)state->file : UINT32_MAX,
		.line = state->line <= INT32_MAX ? (uint32_t)state->line : 0,
	};
	return 0;
}

/* The last address of a sequence is the first one behind its code, and has no line. */
static int end_sequence(struct line_table *table, struct line_state *state)
{
	size_t count = table->rows.count - state->first_row;
	struct sequence *sequence;
	uint64_t start;

	if (!count)
		goto next;
	start = table->rows.items[state->first_row].address;
	/* Code that the linker threw away is left at address 0. */
	if (state->unordered || !start || table->rows.items[table->rows.count - 1].address > state->address) {
		table->rows.count = state->first_row;
		goto next;
	}
	sequence = array_push(&table->sequences);
	if (!sequence)
		return -1;
	*sequence = (struct sequence){.first = state->first_row, .count = count};
	if (range_index_add(&table->ranges, start, state->address, (uint32_t)(table->sequences.count - 1)))
		return -1;
next:
	*state = initial_state;
	state->first_row = table->rows.count;
	return 0;
}

static int run_extended(struct line_table *table, struct line_state *state, const struct line_header *header,
	struct dwarf_cursor *cursor)
{
	uint64_t length = dwarf_cursor_unsigned(cursor);
	struct dwarf_cursor operands = *cursor;
	uint64_t opcode;

	dwarf_cursor_skip(cursor, length);
	if (cursor->failed || !length)
		return cursor->failed ? -1 : 0;
	operands.end = cursor->at;
	opcode = dwarf_cursor_fixed(&operands, 1);
	if (opcode == DW_LNE_end_sequence)
		return end_sequence(table, state);
	if (opcode == DW_LNE_set_address) {
		if (length != 9 && length != 5)
			return -1;
		state->address = dwarf_cursor_fixed(&operands, (unsigned)length - 1);
		state->operation = 0;
	}
	if (opcode == DW_LNE_define_file) {
		const char *name = dwarf_cursor_string(&operands);

		if (!name || add_file(table, header, name, dwarf_cursor_unsigned(&operands)))
			return -1;
	}
	return 0;
}

static int run_standard(struct line_table *table, struct line_state *state, const struct line_header *header,
	struct dwarf_cursor *cursor, uint8_t opcode)
{
	switch (opcode) {
	case DW_LNS_copy:
		return emit_row(table, state, header);
	case DW_LNS_advance_pc:
		advance(state, header, dwarf_cursor_unsigned(cursor));
		return 0;
	case DW_LNS_advance_line:
		state->line += (uint64_t)dwarf_cursor_signed(cursor);
		return 0;
	case DW_LNS_set_file:
		state->file = dwarf_cursor_unsigned(cursor);
		return 0;
	case DW_LNS_const_add_pc:
		advance(state, header, (255U - header->opcode_base) / header->line_range);
		return 0;
	case DW_LNS_fixed_advance_pc:
		state->address += dwarf_cursor_fixed(cursor, 2);
		state->operation = 0;
		return 0;
	default:
		for (unsigned i = header->operand_counts[opcode - 1]; i; i--)
			dwarf_cursor_unsigned(cursor);
		return 0;
	}
}

static int run_program(
	struct line_table *table, const struct line_header *header, struct dwarf_cursor *cursor)
{
	struct line_state state = initial_state;

	while (dwarf_cursor_left(cursor)) {
		uint8_t opcode = (uint8_t)dwarf_cursor_fixed(cursor, 1);
		int status;

		if (opcode >= header->opcode_base) {
			unsigned special = opcode - header->opcode_base;

			advance(&state, header, special / header->line_range);
			state.line +=
				(uint64_t)(int64_t)(header->line_base + (int)(special % header->line_range));
			status = emit_row(table, &state, header);
		} else if (opcode == 0) {
			status = run_extended(table, &state, header, cursor);
		} else {
			status = run_standard(table, &state, header, cursor, opcode);
		}
		if (status || cursor->failed)
			return -1;
	}
	return 0;
}

struct line_table *line_table_read(const struct dwarf_bytes *line, const struct dwarf_bytes *line_strings,
	const struct dwarf_bytes *strings, uint64_t offset, const char *directory, uint64_t *budget)
{
	struct line_header header = {.line_strings = line_strings, .strings = strings, .budget = budget};
	struct dwarf_cursor cursor;
	struct line_table *table;

	if (offset >= line->size)
		return NULL;
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->compilation_directory = directory;
	cursor = (struct dwarf_cursor){.at = line->data + offset, .end = line->data + line->size};
	if (read_header(table, &cursor, &header) || run_program(table, &header, &cursor) ||
		range_index_flatten(&table->ranges)) {
		line_table_free(table);
		return NULL;
	}
	return table;
}

void line_table_free(struct line_table *table)
{
	if (!table)
		return;
	array_free(&table->directories);
	array_free(&table->files);
	array_free(&table->rows);
	array_free(&table->sequences);
	array_free(&table->ranges);
	free(table);
}

const struct line_row *line_table_find(const struct line_table *table, uint64_t address)
{
	const struct address_range *range = range_index_find(&table->ranges, address);
	const struct sequence *sequence;
	size_t low = 0, high;

	if (!range)
		return NULL;
	sequence = &table->sequences.items[range->value];
	high = sequence->count;
	/* The last row at or below the address; the first one always is. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (table->rows.items[sequence->first + middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	return &table->rows.items[sequence->first + low];
}

/* Append "/PART", or only PART when it is absolute or the first. Parts are cut at a length no real path has.
 */
static void append_part(char *path, size_t size, const char *part)
{
	size_t length = strlen(path);

	if (!part || !*part)
		return;
	if (*part == '/')
		length = 0;
	snprintf(path + length, size - length, "%s%.*s", length ? "/" : "", PATH_PART_MAX, part);
}

char *line_table_file(const struct line_table *table, uint64_t number)
{
	char path[3 * (PATH_PART_MAX + 1) + 1] = "";
	const struct file_entry *file;

	if (number >= table->files.count)
		return NULL;
	file = &table->files.items[number];
	if (!file->name || !*file->name)
		return NULL;
	append_part(path, sizeof(path), table->compilation_directory);
	/* Directory 0 is the compilation directory itself, which may be a relative path. */
	if ((file->directory || !table->compilation_directory) && file->directory < table->directories.count)
		append_part(path, sizeof(path), table->directories.items[file->directory]);
	append_part(path, sizeof(path), file->name);
	return strdup(path);
}
