/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a file's call frame information is, and its bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "elf/dwarf_cursor.h"
#include "elf/elf_file.h"

enum unwind_format {
	UNWIND_EH_FRAME,
	UNWIND_DEBUG_FRAME,
	UNWIND_SFRAME,
};

struct unwind_source {
	enum unwind_format format;
	unsigned char *bytes;
	size_t size;
	uint64_t address;  /* linked address of the first byte; 0 for .debug_frame, which is not loaded */
	bool ends_at_zero; /* where it ends is not known: an entry of length 0 must tell */
};

#define UNWIND_SOURCES_MAX 2

struct unwind_sources {
	struct unwind_source items[UNWIND_SOURCES_MAX];
	size_t count;
};

/**
 * Read a file's call frame information: .eh_frame and .debug_frame if it has them; else the .debug_frame of
 * its debug file; else .sframe.
 *
 * Compilers told to write no .eh_frame write .debug_frame, but what they are linked with still has the other:
 * so one does not stand for the lack of the other.
 *
 * @param sources  filled; to be freed with unwind_sources_free(), also after a failure; `count` is 0 when the
 *                 file has none
 * @return 0, or -1 with an ERROR_INPUT (out of the file's bounds, too large) or ERROR_SYSTEM (memory)
 */
int unwind_sources_read(struct elf_file *file, struct unwind_sources *sources, struct error *err);

void unwind_sources_free(struct unwind_sources *sources);

/** Read a number in one of the formats of .eh_frame pointers (DW_EH_PE_udata4 ...). */
uint64_t unwind_read_value(struct dwarf_cursor *cursor, uint8_t encoding);

/**
 * Read a pointer of .eh_frame or .eh_frame_hdr: absolute or relative to its own place. The cursor fails at
 * any other.
 *
 * @param address  linked address of the cursor's place
 */
uint64_t unwind_read_pointer(struct dwarf_cursor *cursor, uint8_t encoding, uint64_t address);
