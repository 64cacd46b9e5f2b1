/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "report/buffer.h"

/**
 * Decode one character.
 *
 * @param bytes      where it starts
 * @param length     bytes at hand
 * @param character  where to put the code point
 * @return its length in bytes, 1 to 4; 0 when the bytes are no well-formed character
 */
size_t utf8_decode(const char *bytes, size_t length, uint32_t *character);

/** Append bytes as valid UTF-8: each byte that belongs to no well-formed character becomes U+FFFD. */
void utf8_append_valid(struct buffer *buffer, const char *bytes, size_t length);

/** @return how many terminal columns a string takes: 2 for wide characters, 0 for combining ones, otherwise 1
 * each */
size_t utf8_columns(const char *string);
