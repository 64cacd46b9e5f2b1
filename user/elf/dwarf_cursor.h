/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place in the bytes of a DWARF section. Reading past the end yields zeroes and marks the cursor as failed,
 * so that a reader may look once, after a group of reads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dwarf_cursor {
	const unsigned char *at, *end;
	bool failed;
};

/** @return the number of bytes from here to the end; 0 after a failure */
static inline size_t dwarf_cursor_left(const struct dwarf_cursor *cursor)
{
	return cursor->failed ? 0 : (size_t)(cursor->end - cursor->at);
}

/** Go `count` bytes on. */
static inline void dwarf_cursor_skip(struct dwarf_cursor *cursor, uint64_t count)
{
	if (count > dwarf_cursor_left(cursor))
		cursor->failed = true;
	else
		cursor->at += count;
}

/** Read a little-endian number of `size` bytes, at most 8. */
static inline uint64_t dwarf_cursor_fixed(struct dwarf_cursor *cursor, unsigned size)
{
	uint64_t value = 0;

	if (size > dwarf_cursor_left(cursor) || size > sizeof(value)) {
		cursor->failed = true;
		return 0;
	}
	memcpy(&value, cursor->at, size);
	cursor->at += size;
	return value;
}

/** Read an offset: 8 bytes in 64-bit DWARF, 4 in the usual one. */
static inline uint64_t dwarf_cursor_offset(struct dwarf_cursor *cursor, bool dwarf64)
{
	return dwarf_cursor_fixed(cursor, dwarf64 ? 8 : 4);
}

/** Read the length that a unit begins with (DWARF 5, section 7.4). */
static inline uint64_t dwarf_cursor_initial_length(struct dwarf_cursor *cursor, bool *dwarf64)
{
	uint64_t length = dwarf_cursor_fixed(cursor, 4);

	*dwarf64 = length == 0xffffffff;
	if (*dwarf64)
		return dwarf_cursor_fixed(cursor, 8);
	if (length >= 0xfffffff0)
		cursor->failed = true;
	return length;
}

#define LEB128_MAX_LENGTH 10 /* bytes; libdw reads no longer ones either */

/** Read an unsigned LEB128 number; bits beyond the 64th are dropped. */
static inline uint64_t dwarf_cursor_unsigned(struct dwarf_cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 7 * LEB128_MAX_LENGTH && dwarf_cursor_left(cursor); shift += 7) {
		unsigned char byte = *cursor->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	cursor->failed = true;
	return 0;
}

/** Read a signed LEB128 number; bits beyond the 64th are dropped. */
static inline int64_t dwarf_cursor_signed(struct dwarf_cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 7 * LEB128_MAX_LENGTH && dwarf_cursor_left(cursor); shift += 7) {
		unsigned char byte = *cursor->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (byte & 0x40 && shift + 7 < 64)
			value |= ~(uint64_t)0 << (shift + 7);
		return (int64_t)value;
	}
	cursor->failed = true;
	return 0;
}

/** Read a string that ends with a NUL byte. @return it, owned by the section, or NULL */
static inline const char *dwarf_cursor_string(struct dwarf_cursor *cursor)
{
	const unsigned char *start = cursor->at, *end = NULL;

	if (dwarf_cursor_left(cursor))
		end = memchr(start, '\0', dwarf_cursor_left(cursor));
	if (!end) {
		cursor->failed = true;
		return NULL;
	}
	cursor->at = end + 1;
	return (const char *)start;
}
