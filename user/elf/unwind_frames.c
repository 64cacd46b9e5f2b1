// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * .eh_frame (Linux Standard Base, "Exception Frames") and .debug_frame (DWARF 5, section 6.4.1).
 *
 * Entries are read here rather than by libdw's dwarf_next_cfi(): with the cursor that their programs need
 * anyway it takes little, and nothing need be known of what libdw does with hostile bytes.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "elf/unwind_builder.h"
#include "elf/unwind_program.h"

struct frame_reader {
	const struct elf_file *file;
	struct {
		struct unwind_cie *items; /* by source and offset, since they are read in this order */
		size_t count, capacity;
	} cies;
	struct unwind_functions functions;
};

/* A CIE or FDE. */
struct entry {
	uint64_t offset;	  /* in the source */
	struct dwarf_cursor body; /* behind the CIE's id, or the FDE's pointer to its CIE */
	bool is_cie;
	uint64_t cie_offset; /* of an FDE */
};

static uint64_t offset_in(const struct unwind_source *source, const unsigned char *at)
{
	return (uint64_t)(at - source->bytes);
}

/* @return 1 with the next entry; 0 at the end; UNWIND_MALFORMED */
static int next_entry(const struct unwind_source *source, struct dwarf_cursor *cursor, struct entry *entry)
{
	bool eh = source->format == UNWIND_EH_FRAME, dwarf64;
	uint64_t length, id, place;

	do {
		if (!dwarf_cursor_left(cursor))
			return 0;
		entry->offset = offset_in(source, cursor->at);
		length = dwarf_cursor_initial_length(cursor, &dwarf64);
		if (!length && !cursor->failed && source->ends_at_zero)
			return 0;
	} while (!length && !cursor->failed);
	entry->body = *cursor;
	dwarf_cursor_skip(cursor, length);
	entry->body.end = cursor->at;
	if (cursor->failed)
		return UNWIND_MALFORMED;
	place = offset_in(source, entry->body.at);
	id = dwarf_cursor_offset(&entry->body, dwarf64 && !eh);
	if (entry->body.failed)
		return UNWIND_MALFORMED;
	entry->is_cie = id == (eh ? 0 : dwarf64 ? UINT64_MAX : UINT32_MAX);
	entry->cie_offset = eh ? place - id : id;
	return 1;
}

/*
 * Read what the letters of an augmentation announce.
 *
 * @return false when it cannot be told how to read the FDEs
 */
static bool read_augmentation(struct unwind_cie *cie, const char *letters, struct dwarf_cursor *body)
{
	struct dwarf_cursor data;
	uint64_t size;

	if (!*letters)
		return true;
	if (*letters++ != 'z')
		return false;
	cie->augmented = true;
	size = dwarf_cursor_unsigned(body);
	data = *body;
	dwarf_cursor_skip(body, size);
	data.end = body->at;
	for (; *letters && !data.failed && !body->failed; letters++) {
		switch (*letters) {
		case 'R':
			cie->encoding = (uint8_t)dwarf_cursor_fixed(&data, 1);
			break;
		case 'P':
			unwind_read_value(&data, (uint8_t)dwarf_cursor_fixed(&data, 1));
			break;
		case 'L':
			dwarf_cursor_skip(&data, 1);
			break;
		case 'S':
			cie->signal = true;
			break;
		default:
			return false;
		}
	}
	return !data.failed;
}

/* @return whether the entry is one that can be understood */
static bool read_cie(const struct unwind_source *source, struct entry *entry, struct unwind_cie *cie)
{
	struct dwarf_cursor *body = &entry->body;
	uint64_t version = dwarf_cursor_fixed(body, 1);
	const char *letters = dwarf_cursor_string(body);
	struct unwind_program program;
	uint64_t next;

	*cie = (struct unwind_cie){.source = source, .offset = entry->offset};
	if (!letters || (version != 1 && version != 3 && version != 4))
		return false;
	if (version == 4 && (dwarf_cursor_fixed(body, 1) != 8 || dwarf_cursor_fixed(body, 1) != 0))
		return false;
	cie->code_factor = dwarf_cursor_unsigned(body);
	cie->data_factor = dwarf_cursor_signed(body);
	cie->return_column = version == 1 ? dwarf_cursor_fixed(body, 1) : dwarf_cursor_unsigned(body);
	if (!read_augmentation(cie, letters, body) || body->failed)
		return false;
	unwind_program_start(&program, cie, *body, 0);
	/* All of it is for the first address: where it goes on, it is no program of a CIE. */
	if (unwind_program_run(&program, &next))
		return false;
	cie->initial = program.state;
	return true;
}

static int read_cies(struct frame_reader *reader, const struct unwind_source *source)
{
	struct dwarf_cursor cursor = {.at = source->bytes, .end = source->bytes + source->size};
	struct entry entry;
	int status;

	while ((status = next_entry(source, &cursor, &entry)) > 0) {
		struct unwind_cie cie, *added;

		if (!entry.is_cie || !read_cie(source, &entry, &cie))
			continue;
		added = array_push(&reader->cies);
		if (!added)
			return UNWIND_NO_MEMORY;
		*added = cie;
	}
	return status;
}

/* @return the index of a CIE of the source that begins with index `first`, or the number of all */
static size_t find_cie(const struct frame_reader *reader, size_t first, uint64_t offset)
{
	const struct unwind_cie *cies = reader->cies.items;
	size_t low = first, high = reader->cies.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cies[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < reader->cies.count && cies[low].offset == offset ? low : reader->cies.count;
}

static int read_fde(
	struct frame_reader *reader, const struct unwind_source *source, struct entry *entry, size_t common)
{
	const struct unwind_cie *cie = &reader->cies.items[common];
	struct dwarf_cursor *body = &entry->body;
	uint64_t place = source->address + offset_in(source, body->at);
	uint64_t address = unwind_read_pointer(body, cie->encoding, place);
	uint64_t size = unwind_read_value(body, cie->encoding);
	struct unwind_function *function;

	if (cie->augmented)
		dwarf_cursor_skip(body, dwarf_cursor_unsigned(body));
	/* Linkers leave the entries of functions that they threw away in .debug_frame, with address 0. */
	if (body->failed || (source->format == UNWIND_DEBUG_FRAME && !address))
		return 0;
	if (unwind_functions_add(&reader->functions, reader->file, address, size, &function))
		return UNWIND_NO_MEMORY;
	if (!function)
		return 0;
	function->common = (uint32_t)common;
	function->at = (uint32_t)offset_in(source, body->at);
	function->size = (uint32_t)dwarf_cursor_left(body);
	return 0;
}

static int read_fdes(struct frame_reader *reader, const struct unwind_source *source, size_t first_cie)
{
	struct dwarf_cursor cursor = {.at = source->bytes, .end = source->bytes + source->size};
	size_t common = reader->cies.count;
	struct entry entry;
	int status;

	while ((status = next_entry(source, &cursor, &entry)) > 0) {
		if (entry.is_cie)
			continue;
		if (common == reader->cies.count || reader->cies.items[common].offset != entry.cie_offset)
			common = find_cie(reader, first_cie, entry.cie_offset);
		if (common == reader->cies.count)
			continue;
		status = read_fde(reader, source, &entry, common);
		if (status)
			return status;
	}
	return status;
}

/* Rows of one function. */
static int add_function(const struct frame_reader *reader, const struct unwind_function *function,
	struct unwind_program *program, struct unwind_builder *builder)
{
	const struct unwind_cie *cie = &reader->cies.items[function->common];
	const unsigned char *at = cie->source->bytes + function->at;
	struct dwarf_cursor code = {.at = at, .end = at + function->size};
	uint64_t size = function->end - function->start, start = function->address;
	bool more = true;

	unwind_program_start(program, cie, code, start);
	while (more && program->address - start < size) {
		uint64_t next = program->address;

		more = unwind_program_run(program, &next);
		if (unwind_builder_add(builder, function->start + (uint32_t)(program->address - start),
			    unwind_state_rule(cie, &program->state)))
			return UNWIND_NO_MEMORY;
		program->address = next;
	}
	return unwind_builder_add(builder, function->end, 0) ? UNWIND_NO_MEMORY : 0;
}

int unwind_read_frames(
	const struct elf_file *file, const struct unwind_sources *sources, struct unwind_builder *builder)
{
	struct frame_reader reader = {.file = file};
	struct unwind_program program;
	int status = 0;

	for (size_t i = 0; i < sources->count && !status; i++) {
		size_t first_cie = reader.cies.count;

		status = read_cies(&reader, &sources->items[i]);
		if (!status)
			status = read_fdes(&reader, &sources->items[i], first_cie);
	}
	unwind_functions_sort(&reader.functions);
	for (size_t i = 0; i < reader.functions.count && !status; i++)
		status = add_function(&reader, &reader.functions.items[i], &program, builder);
	array_free(&reader.cies);
	array_free(&reader.functions);
	return status;
}
