/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The symbols of an ELF file by address, from .symtab, .dynsym and the separate debug file.
 *
 * Which symbol names an address:
 * 1. one whose size covers it, before one of size 0, which reaches to the next symbol or the end of its
 * section;
 * 2. of several, the one that starts last (the innermost);
 * 3. at the same start: a function before an untyped label, global or weak before local, fewer leading
 * underscores
 *    (`malloc`, not `__libc_malloc`), the shorter name, the name first in byte order.
 */
#pragma once

#include "elf/elf_private.h"

struct symbol_index;

struct symbol_place {
	const char *name; /* owned by the index; not demangled */
	uint64_t start;	  /* the symbol's own address */
	bool global;
};

/** @return an index, to be freed with symbol_index_free(), empty when there are no symbols; NULL when out of
 * memory */
struct symbol_index *symbol_index_new(struct elf_file *file);

/** Free an index. NULL is allowed. */
void symbol_index_free(struct symbol_index *index);

/** Look up the symbol that holds an address, in O(log n). @return whether there is one */
bool symbol_index_find(const struct symbol_index *index, uint64_t address, struct symbol_place *place);

/** @return the number of '_' a name begins with */
size_t leading_underscores(const char *name);
