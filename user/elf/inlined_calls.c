// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/inlined_calls.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "elf/range_index.h"

#define NO_PARENT UINT32_MAX

struct inlined_call {
	Dwarf_Die die;	 /* first, so that a pointer to it is one to the call */
	uint32_t parent; /* position of the inlined call around this one, or NO_PARENT */
};

struct inlined_calls {
	struct inlined_call *items; /* a parent always stands before its children */
	size_t count, capacity;
	struct range_index ranges; /* values are positions in `items`; the innermost call has the greatest */
};

static int add_range(void *data, uint64_t start, uint64_t end)
{
	struct inlined_calls *calls = data;

	return range_index_add(&calls->ranges, start, end, (uint32_t)(calls->count - 1));
}

static int add_call(
	struct dwarf_budget *budget, struct inlined_calls *calls, const Dwarf_Die *die, uint32_t parent)
{
	struct inlined_call *call;

	if (!budget->inlined_calls)
		return 0;
	budget->inlined_calls--;
	call = array_push(calls);
	if (!call)
		return -1;
	call->die = *die;
	call->parent = parent;
	return dwarf_ranges_each(budget, &call->die, add_range, calls);
}

static bool may_hold_calls(int tag)
{
	switch (tag) {
	case DW_TAG_catch_block:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_with_stmt:
		return true;
	default:
		return false;
	}
}

static int walk_calls(struct dwarf_path *path, struct inlined_calls *calls)
{
	uint32_t parents[DWARF_DEPTH_MAX + 1] = {NO_PARENT}; /* for entries of each depth */
	bool down;

	do {
		Dwarf_Die *die = dwarf_path_entry(path);
		uint32_t *parent = &parents[path->depth];
		int tag = dwarf_tag(die);

		down = may_hold_calls(tag);
		parent[1] = parent[0];
		if (tag == DW_TAG_inlined_subroutine) {
			size_t count = calls->count;

			if (add_call(path->budget, calls, die, *parent))
				return -1;
			if (calls->count > count)
				parent[1] = (uint32_t)count;
		}
	} while (dwarf_path_next(path, down));
	return 0;
}

struct inlined_calls *inlined_calls_new(
	struct dwarf_budget *budget, const struct dwarf_unit *unit, Dwarf_Die *function)
{
	struct inlined_calls *calls = calloc(1, sizeof(*calls));
	struct dwarf_path path;

	if (!calls)
		return NULL;
	if (dwarf_path_start(&path, budget, unit, function) && walk_calls(&path, calls))
		goto fail;
	if (range_index_flatten(&calls->ranges))
		goto fail;
	return calls;
fail:
	inlined_calls_free(calls);
	return NULL;
}

void inlined_calls_free(struct inlined_calls *calls)
{
	if (!calls)
		return;
	array_free(&calls->ranges);
	array_free(calls);
	free(calls);
}

Dwarf_Die *inlined_calls_find(struct inlined_calls *calls, uint64_t address)
{
	const struct address_range *range = range_index_find(&calls->ranges, address);

	return range ? &calls->items[range->value].die : NULL;
}

Dwarf_Die *inlined_calls_around(struct inlined_calls *calls, Dwarf_Die *call)
{
	uint32_t parent = ((struct inlined_call *)call)->parent;

	return parent == NO_PARENT ? NULL : &calls->items[parent].die;
}
