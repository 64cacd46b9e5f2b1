/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going through DWARF entries under a budget. Entries are hostile input: they may be nested without end, and
 * a few bytes may name millions of ranges. When a budget is used up, walks end early.
 */
#pragma once

#include <elfutils/libdw.h>

#include "elf/elf_private.h"

#define DWARF_DEPTH_MAX 256 /* of nested entries that are looked at; deep template code reaches some 60 */

/* What is left of the budget of one file. */
struct dwarf_budget {
	const struct elf_file *file;
	uint64_t ranges, inlined_calls;
	uint64_t bytes; /* of .debug_info to be walked over */
	uint64_t time;	/* nanoseconds of processor time to be spent on long walks */
};

/* A compilation unit. */
struct dwarf_unit {
	Dwarf_Die die;
	const unsigned char *end; /* of its entries */
};

/* A place in the tree of entries: the current one and those it is in. */
struct dwarf_path {
	struct dwarf_budget *budget;
	const unsigned char *end;
	Dwarf_Die entries[DWARF_DEPTH_MAX]; /* the outermost is a child of the root */
	size_t depth;			    /* of the current one */
	uint64_t unmeasured;		    /* bytes walked over since the time was last looked at */
	uint64_t measured;		    /* the time when it was */
};

/** Set the budget for a file with `size` bytes of .debug_info. */
void dwarf_budget_init(struct dwarf_budget *budget, const struct elf_file *file, uint64_t size);

/**
 * Hand the address ranges of an entry to a function. Ranges outside of code, such as those of functions that
 * the linker threw away, are left out.
 *
 * @param add   returns 0, or another value to stop
 * @param data  handed to it
 * @return 0, or what `add` returned
 */
int dwarf_ranges_each(struct dwarf_budget *budget, Dwarf_Die *die,
	int (*add)(void *data, uint64_t start, uint64_t end), void *data);

/**
 * Start at the first child of an entry.
 *
 * @param root  the entry; it is one of `unit`, or the unit's own
 * @return whether it has one
 */
bool dwarf_path_start(
	struct dwarf_path *path, struct dwarf_budget *budget, const struct dwarf_unit *unit, Dwarf_Die *root);

/** @return the current entry */
Dwarf_Die *dwarf_path_entry(struct dwarf_path *path);

/**
 * Go to the next entry in the order of the file. No byte is passed twice in one walk.
 *
 * @param down  whether the children of the current entry are wanted, if it has any; they are visited also
 * when they are not but the entry does not tell where they end
 * @return whether there is one; there is none behind entries that are nested too deep
 */
bool dwarf_path_next(struct dwarf_path *path, bool down);
