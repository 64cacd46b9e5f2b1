// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/ranges.h"

#include "base/array.h"

/* @return the index of the first range that ends behind an address */
static size_t first_behind(const struct ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->items[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int insert_at(struct ranges *ranges, size_t index, struct range range)
{
	if (!array_push(ranges))
		return -1;
	memmove(&ranges->items[index + 1], &ranges->items[index],
		(ranges->count - 1 - index) * sizeof(*ranges->items));
	ranges->items[index] = range;
	return 0;
}

static void remove_at(struct ranges *ranges, size_t index)
{
	memmove(&ranges->items[index], &ranges->items[index + 1],
		(ranges->count - 1 - index) * sizeof(*ranges->items));
	ranges->count--;
}

/* Cuts leave few pieces, and they stay near each other; still, a mapping may have any number of them. */
static int has_other_piece(const struct ranges *ranges, uint32_t mapping)
{
	for (size_t i = 0; i < ranges->count; i++) {
		if (ranges->items[i].mapping == mapping)
			return 1;
	}
	return 0;
}

static void tell(const struct ranges *ranges, const struct range *range, uint64_t bytes, int may_be_last,
	ranges_freed freed, void *data)
{
	freed(range->site, bytes, may_be_last && !has_other_piece(ranges, range->mapping), data);
}

int ranges_unmap(struct ranges *ranges, uint64_t start, uint64_t size, ranges_freed freed, void *data)
{
	uint64_t end = start + size;
	size_t i = first_behind(ranges, start);

	while (i < ranges->count && ranges->items[i].start < end) {
		struct range old = ranges->items[i];

		if (old.start < start && old.end > end) { /* a hole */
			struct range tail = {end, old.end, old.site, old.mapping};

			ranges->items[i].end = start;
			if (insert_at(ranges, i + 1, tail)) {
				tell(ranges, &old, old.end - start, 0, freed, data);
				return -1;
			}
			tell(ranges, &old, end - start, 0, freed, data);
			return 0;
		}
		if (old.start < start) { /* its end goes */
			ranges->items[i++].end = start;
			tell(ranges, &old, old.end - start, 0, freed, data);
		} else if (old.end > end) { /* its beginning goes */
			ranges->items[i].start = end;
			tell(ranges, &old, end - old.start, 0, freed, data);
			return 0;
		} else {
			remove_at(ranges, i);
			tell(ranges, &old, old.end - old.start, 1, freed, data);
		}
	}
	return 0;
}

int ranges_map(
	struct ranges *ranges, uint64_t start, uint64_t size, uint32_t site, ranges_freed freed, void *data)
{
	struct range range = {start, start + size, site, ranges->next_mapping++};

	if (ranges_unmap(ranges, start, size, freed, data))
		return -1;
	return insert_at(ranges, first_behind(ranges, start), range);
}

void ranges_free(struct ranges *ranges)
{
	array_free(ranges);
}
