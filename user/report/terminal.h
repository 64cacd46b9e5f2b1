/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a terminal can show, and how to show hostile strings on it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report/buffer.h"

/** @return the columns of the terminal behind a descriptor; 0 when it is no terminal or does not say */
int terminal_width(int fd);

/** @return whether to colour what goes to a descriptor: a terminal, TERM not "dumb", and NO_COLOR unset or
 * empty */
bool terminal_has_colour(int fd);

/** @return whether the locale's encoding is UTF-8, by LC_ALL, LC_CTYPE and LANG */
bool terminal_is_utf8(void);

/**
 * @param unicode  whether characters outside of ASCII may be
 * @return whether a character only shows itself: it is no control character (C0, DEL, C1) and none of the
 * invisible ones that change the direction or the lines of what surrounds them
 */
bool terminal_is_harmless(uint32_t character, bool unicode);

/**
 * Append a string made harmless: control characters (C0, DEL, C1), invalid UTF-8, and invisible characters
 * that change the direction or the lines of what surrounds them become \xNN, byte by byte; all else is kept.
 * A backslash is kept too, since names with backslashes (of systemd units) must stay as people know them: the
 * result is safe to show, not meant to be decoded.
 *
 * @param string   hostile bytes
 * @param length   how many; it also ends at the first NUL
 * @param unicode  whether UTF-8 may be passed on; otherwise all that is not ASCII becomes \xNN
 */
void terminal_escape(struct buffer *buffer, const char *string, size_t length, bool unicode);

/* Where a text that is too long is cut. */
enum terminal_cut { TERMINAL_CUT_START, TERMINAL_CUT_MIDDLE, TERMINAL_CUT_END };

/**
 * Shorten a text to a number of columns, with an ellipsis where something was cut out.
 *
 * @param text     what to shorten, in place; valid UTF-8
 * @param columns  at most so many columns remain; at least 4
 * @param unicode  "…" rather than "..."
 */
void terminal_shorten(struct buffer *text, size_t columns, enum terminal_cut cut, bool unicode);
