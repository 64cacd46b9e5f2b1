/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions of one compilation unit, by address. */
#pragma once

#include "elf/inlined_calls.h"

struct unit_function {
	Dwarf_Die die;
	uint64_t entry;		     /* address of its first instruction */
	struct inlined_calls *calls; /* of the function; NULL until somebody puts them here */
};

struct unit_functions;

/**
 * Index the functions of a unit, leaving out places where they are seldom found; unit_functions_find() looks
 * there when it must.
 *
 * @param unit  must live as long as the functions
 * @return the functions, to be freed with unit_functions_free(), or NULL when memory ran out
 */
struct unit_functions *unit_functions_new(struct dwarf_budget *budget, const struct dwarf_unit *unit);

/** Free the functions and their inlined calls. NULL is allowed. */
void unit_functions_free(struct unit_functions *functions);

/**
 * Find the function that holds an address.
 *
 * @param function  set to it, owned by `functions` and valid until the next call, or to NULL
 * @return 0, or -1 when memory ran out
 */
int unit_functions_find(struct dwarf_budget *budget, struct unit_functions *functions, uint64_t address,
	struct unit_function **function);

/**
 * Hand the address ranges of all functions to a function.
 *
 * @param add   returns 0, or another value to stop
 * @param data  handed to it
 * @return 0, or what `add` returned
 */
int unit_functions_ranges(const struct unit_functions *functions,
	int (*add)(void *data, uint64_t start, uint64_t end), void *data);
