/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The allocator functions that are traced, as a table: a name, and where its arguments and result stand.
 * A new allocator function is one line in the table in allocator.c.
 */
#pragma once

#include <linux/types.h>

#include "bpf/types.h"
#include "elf/elf_file.h"
#include "probe/site.h"

/* One function in one object that is to be probed. */
struct allocator_function {
	char name[64]; /* of the names at this address the plainest: malloc, not __libc_malloc */
	enum allocator_kind kind;
	uint64_t offset;	/* of the function's entry, in the file */
	struct probe_site site; /* offsets in it are relative to the entry */
};

struct allocator_functions {
	struct allocator_function *items; /* sorted by offset; one item an address */
	size_t count, capacity;
};

/**
 * Find the allocator functions that an object defines, each with its probe site.
 *
 * Aliases (malloc and __libc_malloc at one address) are one function; local symbols are left out, and so is
 * glibc's dynamic linker. A function that merely jumps to another of its kind is counted there. C++ operators
 * new and delete are taken only from objects that also define malloc, and only where they do not always call
 * it, or another function found: those that do are counted there. What goes through a PLT stub is not seen:
 * both functions are found then, and one call passes two probes.
 *
 * @param file       the object
 * @param functions  an empty array; the caller frees it with array_free()
 * @param err        ERROR_SYSTEM when memory ran out
 * @return 0, also when the object defines none; or -1
 */
int allocator_functions_find(struct elf_file *file, struct allocator_functions *functions, struct error *err);

/** @return whether calls of this kind are also probed at their return */
bool allocator_kind_returns(enum allocator_kind kind);
