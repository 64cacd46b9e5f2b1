// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report/utf8.h"

int terminal_width(int fd)
{
	struct winsize size = {0};

	if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

bool terminal_has_colour(int fd)
{
	const char *no_colour = getenv("NO_COLOR"), *type = getenv("TERM");

	if (no_colour && *no_colour)
		return false;
	return type && strcmp(type, "dumb") != 0 && isatty(fd);
}

bool terminal_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *locale = getenv(names[i]);

		if (locale && *locale)
			return strcasestr(locale, "UTF-8") || strcasestr(locale, "UTF8");
	}
	return false;
}

bool terminal_is_harmless(uint32_t character, bool unicode)
{
	if (character < 0x80)
		return character >= 0x20 && character != 0x7f;
	if (!unicode || character < 0xa0)
		return false;
	/* Zero-width characters and marks of direction, separators of lines, embeddings and isolates. */
	if ((character >= 0x200b && character <= 0x200f) || (character >= 0x2028 && character <= 0x202e) ||
		(character >= 0x2060 && character <= 0x206f))
		return false;
	/* The Arabic letter mark, the byte order mark, annotations, and tags. */
	return character != 0x061c && character != 0xfeff && !(character >= 0xfff9 && character <= 0xfffb) &&
	       !(character >= 0xe0000 && character <= 0xe007f);
}

void terminal_escape(struct buffer *buffer, const char *string, size_t length, bool unicode)
{
	length = strnlen(string, length);
	for (size_t at = 0; at < length;) {
		uint32_t character;
		size_t size = utf8_decode(string + at, length - at, &character);

		if (size && terminal_is_harmless(character, unicode)) {
			buffer_append(buffer, string + at, size);
			at += size;
			continue;
		}
		for (size_t end = at + (size ? size : 1); at < end; at++)
			buffer_printf(buffer, "\\x%02x", (unsigned char)string[at]);
	}
}

/* The number of bytes at the start of a text that take at most so many columns. */
static size_t head_bytes(const char *text, size_t length, size_t columns)
{
	size_t at = 0;

	while (at < length) {
		uint32_t character;
		size_t size = utf8_decode(text + at, length - at, &character);
		char one[5] = {0};

		size = size ? size : 1;
		memcpy(one, text + at, size);
		if (utf8_columns(one) > columns)
			break;
		columns -= utf8_columns(one);
		at += size;
	}
	return at;
}

void terminal_shorten(struct buffer *text, size_t columns, enum terminal_cut cut, bool unicode)
{
	const char *ellipsis = unicode ? "…" : "...";
	size_t length = text->count, total, kept, head, tail;
	struct buffer rest = {0};

	if (!length)
		return;
	total = utf8_columns(text->items);
	if (total <= columns)
		return;
	kept = columns - utf8_columns(ellipsis);
	head = cut == TERMINAL_CUT_START ? 0 : cut == TERMINAL_CUT_MIDDLE ? kept - kept / 2 : kept;
	/* The tail starts where so many columns are passed that only its share remains. */
	tail = head_bytes(text->items, length, total - (kept - head));
	if (tail < length && utf8_columns(text->items + tail) > kept - head) /* a wide character in between */
		tail += head_bytes(text->items + tail, length - tail, 2);
	head = head_bytes(text->items, length, head);
	buffer_append(&rest, text->items + tail, length - tail);
	text->count = head;
	buffer_append_string(text, ellipsis);
	buffer_append_string(text, buffer_text(&rest));
	text->failed |= rest.failed;
	buffer_free(&rest);
}
