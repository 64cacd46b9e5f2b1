// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/debug_info.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "elf/debug_file.h"
#include "elf/dwarf_image.h"
#include "elf/range_index.h"
#include "elf/unit_functions.h"

#define LINE_ROWS_MAX  (16ULL << 20) /* a file, in units that were looked at */
#define REFERENCES_MAX 16	     /* from an inlined call to the entry that has its name: usually 2 */

struct unit {
	struct dwarf_unit dwarf;
	struct unit_functions *functions; /* NULL until an address in the unit is looked up */
	struct line_table *lines;
	bool lines_tried;
};

struct debug_info {
	const struct elf_file *file;
	struct dwarf_image image, shared_image;
	struct {
		struct unit *items;
		size_t count, capacity;
	} units;
	struct range_index unit_ranges; /* values are positions in `units` */
	struct dwarf_budget budget;
	uint64_t rows_left;
};

/* --- units --- */

static int add_unit_range(void *data, uint64_t start, uint64_t end)
{
	struct debug_info *info = data;

	return range_index_add(&info->unit_ranges, start, end, (uint32_t)(info->units.count - 1));
}

static int add_unit(struct debug_info *info, const struct dwarf_unit *dwarf)
{
	struct unit *unit = array_push(&info->units);
	struct unit_functions *functions;
	Dwarf_Die die = dwarf->die;
	int status;

	if (!unit)
		return -1;
	unit->dwarf = *dwarf;
	if (dwarf_hasattr(&die, DW_AT_ranges) || dwarf_hasattr(&die, DW_AT_high_pc))
		return dwarf_ranges_each(&info->budget, &die, add_unit_range, info);
	/* A unit that does not tell its ranges has those of its functions. */
	functions = unit_functions_new(&info->budget, dwarf);
	if (!functions)
		return -1;
	status = unit_functions_ranges(functions, add_unit_range, info);
	unit_functions_free(functions);
	return status;
}

static int index_units(struct debug_info *info)
{
	Dwarf *dwarf = info->image.dwarf;
	Dwarf_Off offset = 0, next;
	size_t header_size;

	while (dwarf_next_unit(dwarf, offset, &next, &header_size, NULL, NULL, NULL, NULL, NULL, NULL) == 0) {
		struct dwarf_unit unit;

		/* dwarf_check() saw the same headers: this only keeps a mistake there from becoming a crash
		 * here. */
		if (next <= offset || next > info->image.info.size)
			break;
		unit.end = info->image.info.data + next;
		if (dwarf_offdie(dwarf, offset + header_size, &unit.die)) {
			int tag = dwarf_tag(&unit.die);

			if ((tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit) &&
				add_unit(info, &unit))
				return -1;
		}
		offset = next;
	}
	return range_index_flatten(&info->unit_ranges);
}

static const struct elf_object *object_with_dwarf(struct elf_file *file)
{
	const struct elf_object *debug;

	if (dwarf_image_exists(&file->object))
		return &file->object;
	debug = elf_file_debug_object(file);
	return debug && dwarf_image_exists(debug) ? debug : NULL;
}

static void open_shared_image(struct debug_info *info, const struct elf_object *object)
{
	struct elf_object shared;

	if (debug_file_open_shared(info->file, object, &shared))
		return;
	if (dwarf_image_open(&shared, &info->shared_image) == 0)
		dwarf_setalt(info->image.dwarf, info->shared_image.dwarf);
	elf_object_close(&shared);
}

struct debug_info *debug_info_new(struct elf_file *file)
{
	const struct elf_object *object = object_with_dwarf(file);
	struct debug_info *info;

	if (!object)
		return NULL;
	info = calloc(1, sizeof(*info));
	if (!info)
		return NULL;
	info->file = file;
	info->rows_left = LINE_ROWS_MAX;
	if (dwarf_image_open(object, &info->image))
		goto fail;
	dwarf_budget_init(&info->budget, file, info->image.info.size);
	open_shared_image(info, object);
	if (index_units(info))
		goto fail;
	return info;
fail:
	debug_info_free(info);
	return NULL;
}

void debug_info_free(struct debug_info *info)
{
	if (!info)
		return;
	for (size_t i = 0; i < info->units.count; i++) {
		unit_functions_free(info->units.items[i].functions);
		line_table_free(info->units.items[i].lines);
	}
	array_free(&info->units);
	array_free(&info->unit_ranges);
	dwarf_image_close(&info->image);
	dwarf_image_close(&info->shared_image);
	free(info);
}

/* --- names and lines --- */

/* Strings are inside an image, whose sections end in zero bytes. */
static const char *string_attribute(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) ? dwarf_formstring(&attribute) : NULL;
}

static bool number_attribute(Dwarf_Die *die, unsigned name, uint64_t *number)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) && dwarf_formudata(&attribute, number) == 0;
}

/* An inlined call or a copy refers to the function it was made from; a definition to its declaration. */
static bool go_to_origin(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	Dwarf_Die origin;

	if (!dwarf_attr(die, DW_AT_abstract_origin, &attribute) &&
		!dwarf_attr(die, DW_AT_specification, &attribute))
		return false;
	if (!dwarf_formref_die(&attribute, &origin))
		return false;
	*die = origin;
	return true;
}

static void find_names(Dwarf_Die die, struct code_place *place)
{
	for (int i = 0; i < REFERENCES_MAX; i++) {
		place->linkage_name = string_attribute(&die, DW_AT_linkage_name);
		if (!place->linkage_name)
			place->linkage_name = string_attribute(&die, DW_AT_MIPS_linkage_name);
		if (!place->name)
			place->name = string_attribute(&die, DW_AT_name);
		if (place->linkage_name || !go_to_origin(&die))
			return;
	}
}

static const struct line_table *lines_of(struct debug_info *info, struct unit *unit)
{
	const struct dwarf_image *image = &info->image;
	uint64_t offset;

	if (!unit->lines_tried) {
		unit->lines_tried = true;
		if (number_attribute(&unit->dwarf.die, DW_AT_stmt_list, &offset))
			unit->lines = line_table_read(&image->line, &image->line_strings, &image->strings,
				offset, string_attribute(&unit->dwarf.die, DW_AT_comp_dir), &info->rows_left);
	}
	return unit->lines;
}

/* Where execution is: of the innermost function the line table says it, of all others the inlined call in it.
 */
struct position {
	char *file;
	int line;
};

static int to_line(uint64_t line)
{
	return line <= INT32_MAX ? (int)line : 0;
}

static struct position position_of_address(const struct line_table *lines, uint64_t address)
{
	const struct line_row *row = lines ? line_table_find(lines, address) : NULL;

	if (!row)
		return (struct position){0};
	return (struct position){.file = line_table_file(lines, row->file), .line = to_line(row->line)};
}

static struct position position_of_call(const struct line_table *lines, Dwarf_Die *call)
{
	struct position position = {0};
	uint64_t number;

	if (number_attribute(call, DW_AT_call_line, &number))
		position.line = to_line(number);
	if (lines && number_attribute(call, DW_AT_call_file, &number))
		position.file = line_table_file(lines, number);
	return position;
}

/* Takes over the position's file. */
static struct code_place *add_place(struct code_places *places, struct position position)
{
	struct code_place *place = array_push(places);

	if (!place) {
		free(position.file);
		return NULL;
	}
	place->file = position.file;
	place->line = position.line;
	return place;
}

static int add_places(struct debug_info *info, struct unit *unit, struct unit_function *function,
	uint64_t address, struct code_places *places)
{
	const struct line_table *lines = lines_of(info, unit);
	struct position position;
	struct code_place *place;

	if (!function->calls)
		function->calls = inlined_calls_new(&info->budget, &unit->dwarf, &function->die);
	if (!function->calls)
		return -1;
	position = position_of_address(lines, address);
	for (Dwarf_Die *call = inlined_calls_find(function->calls, address); call;
		call = inlined_calls_around(function->calls, call)) {
		place = add_place(places, position);
		if (!place)
			return -1;
		place->inlined = true;
		find_names(*call, place);
		position = position_of_call(lines, call);
	}
	place = add_place(places, position);
	if (!place)
		return -1;
	place->entry = function->entry;
	find_names(function->die, place);
	return 0;
}

int debug_info_find(struct debug_info *info, uint64_t address, struct code_places *places)
{
	const struct address_range *range = range_index_find(&info->unit_ranges, address);
	struct unit_function *function;
	struct position position;
	struct unit *unit;

	if (!range)
		return 0;
	unit = &info->units.items[range->value];
	if (!unit->functions)
		unit->functions = unit_functions_new(&info->budget, &unit->dwarf);
	if (!unit->functions || unit_functions_find(&info->budget, unit->functions, address, &function))
		return -1;
	if (function)
		return add_places(info, unit, function, address, places);
	position = position_of_address(lines_of(info, unit), address);
	if (!position.file)
		return 0;
	return add_place(places, position) ? 0 : -1;
}

void code_places_free(struct code_places *places)
{
	for (size_t i = 0; i < places->count; i++)
		free(places->items[i].file);
	array_free(places);
}
