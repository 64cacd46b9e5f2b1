// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/utf8.h"

#include <string.h>

size_t utf8_decode(const char *bytes, size_t length, uint32_t *character)
{
	static const uint32_t smallest[] = {
		0, 0, 0x80, 0x800, 0x10000}; /* by length; below it, a form is overlong */
	const unsigned char *byte = (const unsigned char *)bytes;
	uint32_t value;
	size_t size;

	if (!length)
		return 0;
	if (byte[0] < 0x80) {
		*character = byte[0];
		return 1;
	}
	if ((byte[0] & 0xe0) == 0xc0)
		size = 2;
	else if ((byte[0] & 0xf0) == 0xe0)
		size = 3;
	else if ((byte[0] & 0xf8) == 0xf0)
		size = 4;
	else
		return 0;
	if (size > length)
		return 0;
	value = byte[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (byte[i] & 0x3f);
	}
	if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*character = value;
	return size;
}

void utf8_append_valid(struct buffer *buffer, const char *bytes, size_t length)
{
	size_t valid = 0; /* well-formed bytes before `at` that are not appended yet */

	for (size_t at = 0; at < length;) {
		uint32_t character;
		size_t size = utf8_decode(bytes + at, length - at, &character);

		if (size) {
			valid += size;
			at += size;
			continue;
		}
		buffer_append(buffer, bytes + at - valid, valid);
		buffer_append_string(buffer, "\xef\xbf\xbd");
		valid = 0;
		at++;
	}
	buffer_append(buffer, bytes + length - valid, valid);
}

struct range {
	uint32_t first, last;
};

static bool in_ranges(const struct range *ranges, size_t count, uint32_t character)
{
	for (size_t i = 0; i < count; i++) {
		if (character >= ranges[i].first && character <= ranges[i].last)
			return true;
	}
	return false;
}

/*
 * Blocks rather than single characters: wcwidth() would be exact but needs a locale, and a column that is off
 * by one in a rare script harms nothing.
 */
static size_t character_columns(uint32_t character)
{
	static const struct range combining[] = {
		{0x0300, 0x036f},
		{0x1ab0, 0x1aff},
		{0x1dc0, 0x1dff},
		{0x200b, 0x200d},
		{0x20d0, 0x20ff},
		{0xfe00, 0xfe0f},
		{0xfe20, 0xfe2f},
	};
	static const struct range wide[] = {
		{0x1100, 0x115f},
		{0x2e80, 0x303e},
		{0x3041, 0xa4cf},
		{0xac00, 0xd7a3},
		{0xf900, 0xfaff},
		{0xfe30, 0xfe6f},
		{0xff00, 0xff60},
		{0xffe0, 0xffe6},
		{0x1f300, 0x1f64f},
		{0x1f900, 0x1f9ff},
		{0x20000, 0x3fffd},
	};

	if (character < 0x300)
		return 1;
	if (in_ranges(combining, sizeof(combining) / sizeof(*combining), character))
		return 0;
	return in_ranges(wide, sizeof(wide) / sizeof(*wide), character) ? 2 : 1;
}

size_t utf8_columns(const char *string)
{
	size_t length = strlen(string), columns = 0;

	for (size_t at = 0; at < length;) {
		uint32_t character;
		size_t size = utf8_decode(string + at, length - at, &character);

		columns += size ? character_columns(character) : 1;
		at += size ? size : 1;
	}
	return columns;
}
