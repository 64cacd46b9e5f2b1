/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A string that grows. A failure to get memory is remembered, so that it need be checked once, at the end. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *items;  /* NUL-terminated once something was appended; NULL before */
	size_t count; /* bytes, without the NUL */
	size_t capacity;
	bool failed; /* memory ran out: something is missing */
};

/** Append bytes. */
void buffer_append(struct buffer *buffer, const char *bytes, size_t count);

/** Append a string. NULL appends nothing. */
void buffer_append_string(struct buffer *buffer, const char *string);

/** Append formatted text. */
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** As buffer_printf(), with the arguments as a list. */
void buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/** @return the text so far, "" when there is none; valid until the buffer changes */
const char *buffer_text(const struct buffer *buffer);

/** Empty the buffer, keeping its memory for the next use, and a remembered failure too. */
void buffer_clear(struct buffer *buffer);

/** Free the buffer's memory and leave an empty one. */
void buffer_free(struct buffer *buffer);
