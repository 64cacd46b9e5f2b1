/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growable arrays, typed by the structure that holds them: any struct with the members `items`, `count` and
 * `capacity` is one.
 *
 *	struct { struct site *items; size_t count, capacity; } sites = {0};
 *	struct site *site = array_push(&sites);     // zeroed, or NULL when memory ran out
 *	array_free(&sites);
 *
 * Growing moves the items: no pointer into the array outlives a push.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/** Make room for one more item of `size` bytes. @return 0, or -1 when memory ran out (the array is
 * unchanged). */
int array_grow_(void **items, size_t count, size_t *capacity, size_t size);

/** Append a zeroed item. @return a pointer to it, valid until the next push, or NULL when memory ran out. */
#define array_push(array)                                                                                    \
	(array_grow_((void **)&(array)->items, (array)->count, &(array)->capacity, sizeof(*(array)->items))  \
			? NULL                                                                               \
			: (__typeof__((array)->items))memset(                                                \
				  &(array)->items[(array)->count++], 0, sizeof(*(array)->items)))

/** Free the items (not what they point to) and leave an empty array. */
#define array_free(array)                                                                                    \
	do {                                                                                                 \
		free((array)->items);                                                                        \
		(array)->items = NULL;                                                                       \
		(array)->count = (array)->capacity = 0;                                                      \
	} while (0)
