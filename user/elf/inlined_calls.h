/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inlined calls in one function, by address. */
#pragma once

#include "elf/dwarf_walk.h"

struct inlined_calls;

/** @return the inlined calls in a function, to be freed with inlined_calls_free(), or NULL when memory ran
 * out */
struct inlined_calls *inlined_calls_new(
	struct dwarf_budget *budget, const struct dwarf_unit *unit, Dwarf_Die *function);

/** Free them. NULL is allowed. */
void inlined_calls_free(struct inlined_calls *calls);

/** @return the entry of the innermost inlined call that holds an address, owned by `calls`, or NULL */
Dwarf_Die *inlined_calls_find(struct inlined_calls *calls, uint64_t address);

/**
 * @param call  an entry that one of these two functions returned
 * @return the entry of the inlined call that `call` is in, or NULL when that is the function itself
 */
Dwarf_Die *inlined_calls_around(struct inlined_calls *calls, Dwarf_Die *call);
