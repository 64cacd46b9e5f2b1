// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/range_index.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"

int range_index_add(struct range_index *index, uint64_t start, uint64_t end, uint32_t value)
{
	struct address_range *range;

	if (start >= end)
		return 0;
	range = array_push(index);
	if (!range)
		return -1;
	*range = (struct address_range){.start = start, .end = end, .value = value};
	return 0;
}

static int compare_starts(const void *left, const void *right)
{
	const struct address_range *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

/* The ranges that cover the sweep's position: a binary heap of positions in `items`, greatest value first. */
struct covering {
	const struct address_range *items;
	size_t *heap;
	size_t count;
};

static void covering_push(struct covering *covering, size_t item)
{
	size_t *heap = covering->heap, at = covering->count++;

	while (at) {
		size_t parent = (at - 1) / 2;

		if (covering->items[heap[parent]].value >= covering->items[item].value)
			break;
		heap[at] = heap[parent];
		at = parent;
	}
	heap[at] = item;
}

static void covering_pop(struct covering *covering)
{
	size_t *heap = covering->heap, count = --covering->count, item = heap[count], at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count &&
			covering->items[heap[child + 1]].value > covering->items[heap[child]].value)
			child++;
		if (covering->items[item].value >= covering->items[heap[child]].value)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = item;
}

static int append(struct range_index *flat, uint64_t start, uint64_t end, uint32_t value)
{
	struct address_range *last = flat->count ? &flat->items[flat->count - 1] : NULL;

	if (last && last->value == value && last->end == start) {
		last->end = end;
		return 0;
	}
	return range_index_add(flat, start, end, value);
}

int range_index_flatten(struct range_index *index)
{
	_cleanup_free_ size_t *heap = NULL;
	struct range_index flat = {0};
	struct covering covering = {0};
	uint64_t position = 0;
	size_t next = 0;

	if (!index->count)
		return 0;
	heap = calloc(index->count, sizeof(*heap));
	if (!heap)
		return -1;
	qsort(index->items, index->count, sizeof(*index->items), compare_starts);
	covering.items = index->items;
	covering.heap = heap;
	while (next < index->count || covering.count) {
		const struct address_range *top;
		uint64_t end;

		if (!covering.count)
			position = index->items[next].start;
		while (next < index->count && index->items[next].start <= position)
			covering_push(&covering, next++);
		top = &index->items[heap[0]];
		if (top->end <= position) {
			covering_pop(&covering);
			continue;
		}
		end = top->end;
		if (next < index->count && index->items[next].start < end)
			end = index->items[next].start;
		if (append(&flat, position, end, top->value)) {
			array_free(&flat);
			return -1;
		}
		position = end;
	}
	array_free(index);
	*index = flat;
	return 0;
}

const struct address_range *range_index_find(const struct range_index *index, uint64_t address)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index->items[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == index->count || index->items[low].start > address)
		return NULL;
	return &index->items[low];
}
