// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unit_functions.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "elf/range_index.h"

struct unit_functions {
	struct unit_function *items;
	size_t count, capacity;
	struct range_index ranges; /* values are positions in `items` */
	const struct dwarf_unit *unit;
	bool complete; /* the seldom places were looked at, too */
};

/* For the last function. No range starts at address 0. */
static int add_range(void *data, uint64_t start, uint64_t end)
{
	struct unit_functions *functions = data;
	struct unit_function *function = &functions->items[functions->count - 1];

	if (!function->entry)
		function->entry = start;
	return range_index_add(&functions->ranges, start, end, (uint32_t)(functions->count - 1));
}

/* Declarations, and functions that were only inlined, have no ranges: they are not kept. */
static int add_function(struct dwarf_budget *budget, struct unit_functions *functions, Dwarf_Die *die)
{
	struct unit_function *function = array_push(functions);

	if (!function)
		return -1;
	function->die = *die;
	if (dwarf_ranges_each(budget, die, add_range, functions))
		return -1;
	if (!function->entry)
		functions->count--;
	return 0;
}

/* Namespaces in nearly all languages; types and other functions in a few. */
static bool may_hold_functions(int tag, bool complete)
{
	switch (tag) {
	case DW_TAG_module:
	case DW_TAG_namespace:
		return true;
	case DW_TAG_class_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_interface_type:
	case DW_TAG_lexical_block:
	case DW_TAG_structure_type:
	case DW_TAG_subprogram:
	case DW_TAG_union_type:
	case DW_TAG_variant:
	case DW_TAG_variant_part:
		return complete;
	default:
		return false;
	}
}

static int walk_functions(struct dwarf_budget *budget, struct unit_functions *functions)
{
	Dwarf_Die root = functions->unit->die;
	struct dwarf_path path;
	int tag;

	if (!dwarf_path_start(&path, budget, functions->unit, &root))
		return 0;
	do {
		Dwarf_Die *die = dwarf_path_entry(&path);

		tag = dwarf_tag(die);
		if (tag == DW_TAG_subprogram && add_function(budget, functions, die))
			return -1;
	} while (dwarf_path_next(&path, may_hold_functions(tag, functions->complete)));
	return 0;
}

static void forget(struct unit_functions *functions)
{
	for (size_t i = 0; i < functions->count; i++)
		inlined_calls_free(functions->items[i].calls);
	array_free(functions);
	array_free(&functions->ranges);
}

static int index_functions(struct dwarf_budget *budget, struct unit_functions *functions, bool complete)
{
	forget(functions);
	functions->complete = complete;
	if (walk_functions(budget, functions))
		return -1;
	return range_index_flatten(&functions->ranges);
}

struct unit_functions *unit_functions_new(struct dwarf_budget *budget, const struct dwarf_unit *unit)
{
	struct unit_functions *functions = calloc(1, sizeof(*functions));

	if (!functions)
		return NULL;
	functions->unit = unit;
	if (index_functions(budget, functions, false)) {
		unit_functions_free(functions);
		return NULL;
	}
	return functions;
}

void unit_functions_free(struct unit_functions *functions)
{
	if (!functions)
		return;
	forget(functions);
	free(functions);
}

int unit_functions_find(struct dwarf_budget *budget, struct unit_functions *functions, uint64_t address,
	struct unit_function **function)
{
	const struct address_range *range = range_index_find(&functions->ranges, address);

	*function = NULL;
	if (!range && !functions->complete) {
		if (index_functions(budget, functions, true))
			return -1;
		range = range_index_find(&functions->ranges, address);
	}
	if (range)
		*function = &functions->items[range->value];
	return 0;
}

int unit_functions_ranges(const struct unit_functions *functions,
	int (*add)(void *data, uint64_t start, uint64_t end), void *data)
{
	for (size_t i = 0; i < functions->ranges.count; i++) {
		const struct address_range *range = &functions->ranges.items[i];
		int status = add(data, range->start, range->end);

		if (status)
			return status;
	}
	return 0;
}
