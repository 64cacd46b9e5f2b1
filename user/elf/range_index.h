/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address ranges to look addresses up in. Ranges may overlap in any way (hostile input, nested functions,
 * code compiled anew at the same place); flattening turns them into disjoint ones, so that a lookup is one
 * binary search.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct address_range {
	uint64_t start, end; /* end is the first address behind it */
	uint32_t value;	     /* the caller's; where ranges overlap, the greatest value wins */
};

struct range_index {
	struct address_range *items;
	size_t count, capacity;
};

/**
 * Add a range; an empty one is ignored.
 *
 * @param end  first address behind the range
 * @return 0, or -1 when memory ran out
 */
int range_index_add(struct range_index *index, uint64_t start, uint64_t end, uint32_t value);

/**
 * Make the ranges sorted and disjoint, in O(n log n) time; afterwards there are at most twice as many. More
 * may be added later, followed by another call.
 *
 * @return 0, or -1 when memory ran out (the index is unchanged)
 */
int range_index_flatten(struct range_index *index);

/** @return the range of a flattened index that holds an address, valid until the next change, or NULL */
const struct address_range *range_index_find(const struct range_index *index, uint64_t address);
