/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions, inlined calls and lines by address, from DWARF. Everything is indexed when it is first needed:
 * the units of a file, the functions of a unit, the inlined calls of a function; from then on a lookup is a
 * few binary searches.
 *
 * The DWARF is hostile input: the work and memory that indexing may take are limited, and what lies beyond
 * the limits is not known. Split DWARF (.dwo, .dwp) is not opened: its units give lines, but no functions.
 */
#pragma once

#include "elf/elf_private.h"

struct debug_info;

/* One function in a chain of inlined calls. */
struct code_place {
	const char *linkage_name; /* as the linker knows it; NULL when the DWARF does not say */
	const char *name;	  /* as written in the source; NULL when not known */
	uint64_t entry;		  /* address of the function's first instruction; only of the outermost one */
	char *file;		  /* to be freed; NULL when not known */
	int line;		  /* 0 when not known */
	bool inlined;
};

struct code_places {
	struct code_place *items; /* innermost first; names are not demangled and belong to the debug_info */
	size_t count, capacity;
};

/** @return the debug info, to be freed with debug_info_free(), or NULL when there is none, or none that is
 * sane */
struct debug_info *debug_info_new(struct elf_file *file);

/** Free it. NULL is allowed. */
void debug_info_free(struct debug_info *info);

/**
 * Look up the functions and lines of an address.
 *
 * @param places  empty; on return, one place for each inlined call and one for the function they are in; a
 * single one without names when only the line is known; none when nothing is. Free with code_places_free()
 * @return 0, or -1 when memory ran out
 */
int debug_info_find(struct debug_info *info, uint64_t address, struct code_places *places);

/** Free the items of an array filled by debug_info_find(). */
void code_places_free(struct code_places *places);
