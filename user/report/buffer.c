// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Make room for `more` bytes and a NUL. */
static bool reserve(struct buffer *buffer, size_t more)
{
	size_t wanted = buffer->capacity ? buffer->capacity : 128;
	char *grown;

	if (more >= SIZE_MAX / 4 - buffer->count) {
		buffer->failed = true;
		return false;
	}
	if (buffer->items && buffer->count + more < buffer->capacity)
		return true;
	while (wanted <= buffer->count + more)
		wanted *= 2;
	grown = realloc(buffer->items, wanted);
	if (!grown) {
		buffer->failed = true;
		return false;
	}
	buffer->items = grown;
	buffer->capacity = wanted;
	return true;
}

void buffer_append(struct buffer *buffer, const char *bytes, size_t count)
{
	if (!count || !reserve(buffer, count))
		return;
	memcpy(buffer->items + buffer->count, bytes, count);
	buffer->count += count;
	buffer->items[buffer->count] = '\0';
}

void buffer_append_string(struct buffer *buffer, const char *string)
{
	if (string)
		buffer_append(buffer, string, strlen(string));
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
{
	va_list again;
	int length;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	if (length < 0)
		buffer->failed = true;
	else if (reserve(buffer, (size_t)length)) {
		vsnprintf(buffer->items + buffer->count, (size_t)length + 1, format, again);
		buffer->count += (size_t)length;
	}
	va_end(again);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buffer_vprintf(buffer, format, args);
	va_end(args);
}

const char *buffer_text(const struct buffer *buffer)
{
	return buffer->items ? buffer->items : "";
}

void buffer_clear(struct buffer *buffer)
{
	buffer->count = 0;
	if (buffer->items)
		buffer->items[0] = '\0';
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->items);
	*buffer = (struct buffer){0};
}
