// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "elf/elf_private.h"

#define SLOTS_MIN 256

int unwind_functions_add(struct unwind_functions *functions, const struct elf_file *file, uint64_t address,
	uint64_t size, struct unwind_function **function)
{
	const Elf64_Phdr *segment = elf_file_code_segment(file, address);
	uint64_t within, start;

	*function = NULL;
	if (!segment)
		return 0;
	within = address - segment->p_vaddr;
	if (within >= segment->p_filesz)
		return 0;
	if (size > segment->p_filesz - within)
		size = segment->p_filesz - within;
	start = segment->p_offset + within;
	if (!size || start + size > UINT32_MAX)
		return 0;
	*function = array_push(functions);
	if (!*function)
		return -1;
	(*function)->address = address;
	(*function)->start = (uint32_t)start;
	(*function)->end = (uint32_t)(start + size);
	(*function)->order = (uint32_t)(functions->count - 1);
	return 0;
}

static int compare_functions(const void *left, const void *right)
{
	const struct unwind_function *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

void unwind_functions_sort(struct unwind_functions *functions)
{
	struct unwind_function *items = functions->items;
	size_t kept = 0;

	if (functions->count)
		qsort(items, functions->count, sizeof(*items), compare_functions);
	for (size_t i = 0; i < functions->count; i++) {
		if (kept && items[kept - 1].start == items[i].start)
			continue;
		if (kept && items[kept - 1].end > items[i].start)
			items[kept - 1].end = items[i].start;
		items[kept++] = items[i];
	}
	functions->count = kept;
}

static size_t slot_of(const struct unwind_builder *builder, uint64_t rule)
{
	const uint64_t *rules = builder->rows->rules.items;
	size_t slot = (size_t)((rule * 0x9e3779b97f4a7c15) >> 32) & (builder->slot_count - 1);

	while (builder->slots[slot] && rules[builder->slots[slot] - 1] != rule)
		slot = (slot + 1) & (builder->slot_count - 1);
	return slot;
}

/* Keep at least half of the slots free. */
static int grow_slots(struct unwind_builder *builder)
{
	size_t rules = builder->rows->rules.count,
	       count = builder->slot_count ? builder->slot_count : SLOTS_MIN;
	uint32_t *slots;

	if (builder->slots && rules < builder->slot_count / 2)
		return 0;
	if (builder->slots)
		count *= 2;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return -1;
	free(builder->slots);
	builder->slots = slots;
	builder->slot_count = count;
	for (size_t i = 0; i < rules; i++)
		slots[slot_of(builder, builder->rows->rules.items[i])] = (uint32_t)i + 1;
	return 0;
}

/* @return 0 with the index of a rule, or -1 when memory ran out */
static int index_of(struct unwind_builder *builder, uint64_t rule, uint32_t *index)
{
	uint64_t *added;
	size_t slot;

	if (grow_slots(builder))
		return -1;
	slot = slot_of(builder, rule);
	if (!builder->slots[slot]) {
		added = array_push(&builder->rows->rules);
		if (!added)
			return -1;
		*added = rule;
		builder->slots[slot] = (uint32_t)builder->rows->rules.count;
	}
	*index = builder->slots[slot] - 1;
	return 0;
}

int unwind_builder_add(struct unwind_builder *builder, uint32_t offset, uint64_t rule)
{
	struct unwind_rows *rows = builder->rows;
	struct unwind_row *row;
	uint32_t index;

	if (index_of(builder, rule, &index))
		return -1;
	if (rows->rows.count && rows->rows.items[rows->rows.count - 1].offset == offset)
		rows->rows.count--;
	if (rows->rows.count && rows->rows.items[rows->rows.count - 1].rule == index)
		return 0;
	row = array_push(&rows->rows);
	if (!row)
		return -1;
	*row = (struct unwind_row){.offset = offset, .rule = index};
	return 0;
}
