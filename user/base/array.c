// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/array.h"

int array_grow_(void **items, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 16;
	void *grown;

	if (count < *capacity)
		return 0;
	grown = reallocarray(*items, wanted, size);
	if (!grown)
		return -1;
	*items = grown;
	*capacity = wanted;
	return 0;
}
