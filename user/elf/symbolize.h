/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From an address in an ELF file to functions and source lines, inlined calls included (libdw), names
 * demangled. */
#pragma once

#include "elf/elf_file.h"

struct source_frame {
	char *function; /* demangled; NULL when not known */
	char *file;	/* source file; NULL when not known */
	int line;	/* 0 when not known */
	bool inlined;	/* this function's code was inlined into the next frame's function */
};

struct source_frames {
	struct source_frame *items; /* innermost first; the last one is never inlined */
	size_t count, capacity;
};

/**
 * Resolve one address. DWARF of the file or its separate debug file is loaded at the first call and kept.
 *
 * @param file     an open ELF file
 * @param address  linked address of an instruction (for a return address, the caller passes address - 1)
 * @param frames   an empty array; on return it has at least one item when the function or the line is known,
 *                 none otherwise; empty after a failure
 * @return 0, or -1 when memory ran out
 */
int symbolize(struct elf_file *file, uint64_t address, struct source_frames *frames);

/** Free the items of an array filled by symbolize(). */
void source_frames_free(struct source_frames *frames);

/**
 * Demangle a C++ or Rust symbol (libiberty). @return a new string that the caller frees: the demangled name,
 * or a copy of `name` when it is not mangled; NULL when memory ran out.
 */
char *demangle(const char *name);
