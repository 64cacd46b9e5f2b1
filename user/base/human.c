// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/human.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char unit_letters[] = "KMGTPE";

static char *constant(char buffer[HUMAN_SIZE], const char *text)
{
	snprintf(buffer, HUMAN_SIZE, "%s", text);
	return buffer;
}

/* Write a magnitude in binary units behind a sign and before a suffix. */
static char *format_bytes(char buffer[HUMAN_SIZE], const char *sign, double bytes, const char *suffix)
{
	size_t unit = 0;

	/* What would be printed as 1024.0 of a unit is 1.0 of the next. */
	if (bytes < 1023.5) {
		snprintf(buffer, HUMAN_SIZE, "%s%.0f B%s", sign, bytes, suffix);
		return buffer;
	}
	bytes /= 1024;
	while (bytes >= 1023.95 && unit_letters[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	if (bytes > 1e9)
		snprintf(buffer, HUMAN_SIZE, "%s%.1e %ciB%s", sign, bytes, unit_letters[unit], suffix);
	else
		snprintf(buffer, HUMAN_SIZE, "%s%.1f %ciB%s", sign, bytes, unit_letters[unit], suffix);
	return buffer;
}

char *human_bytes(char buffer[HUMAN_SIZE], uint64_t bytes)
{
	return format_bytes(buffer, "", (double)bytes, "");
}

char *human_change(char buffer[HUMAN_SIZE], double bytes)
{
	if (!isfinite(bytes))
		return constant(buffer, "?");
	return format_bytes(buffer, bytes <= -0.5 ? "-" : "+", fabs(bytes), "");
}

char *human_rate(char buffer[HUMAN_SIZE], double bytes_per_second)
{
	const char *sign = bytes_per_second < 0 ? "-" : "";
	double speed = fabs(bytes_per_second);

	if (!isfinite(speed))
		return constant(buffer, "?");
	if (speed >= 1)
		return format_bytes(buffer, sign, speed, "/s");
	if (speed == 0)
		return constant(buffer, "0 B/s");
	if (speed * 60 >= 1)
		return format_bytes(buffer, sign, speed * 60, "/min");
	return format_bytes(buffer, sign, speed * 3600, "/h");
}

char *human_count(char buffer[HUMAN_SIZE], uint64_t count)
{
	char digits[24];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count);
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			buffer[used++] = ',';
		buffer[used++] = digits[i];
	}
	buffer[used] = '\0';
	return buffer;
}

char *human_duration(char buffer[HUMAN_SIZE], double seconds)
{
	uint64_t whole;

	if (!(seconds >= 0) || !isfinite(seconds))
		return constant(buffer, "?");
	if (seconds < 9.95) {
		double tenths = round(seconds * 10);

		snprintf(buffer, HUMAN_SIZE, fmod(tenths, 10) == 0 ? "%.0f s" : "%.1f s", tenths / 10);
		return buffer;
	}
	if (seconds >= 1e15) {
		snprintf(buffer, HUMAN_SIZE, "%.1e d", seconds / 86400);
		return buffer;
	}
	whole = (uint64_t)(seconds + 0.5);
	if (whole < 60)
		snprintf(buffer, HUMAN_SIZE, "%" PRIu64 " s", whole);
	else if (whole < 3600)
		snprintf(buffer, HUMAN_SIZE, "%" PRIu64 " min %02" PRIu64 " s", whole / 60, whole % 60);
	else if (whole < 86400)
		snprintf(buffer, HUMAN_SIZE, "%" PRIu64 " h %02" PRIu64 " min", whole / 3600,
			whole % 3600 / 60);
	else
		snprintf(buffer, HUMAN_SIZE, "%" PRIu64 " d %02" PRIu64 " h", whole / 86400,
			whole % 86400 / 3600);
	return buffer;
}

/* A non-negative decimal number as it stands in the text: digits, and up to 18 digits behind a point. */
struct decimal {
	uint64_t whole;
	uint64_t fraction; /* in units of 1 / scale */
	uint64_t scale;	   /* a power of ten; 1 when there is no fraction */
};

/* Read a decimal number. Returns what follows it, a space skipped, or NULL when there is none or it is too
 * large. */
static const char *parse_decimal(const char *text, struct decimal *number)
{
	bool any = false;

	*number = (struct decimal){.scale = 1};
	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(number->whole, 10, &number->whole) ||
			__builtin_add_overflow(number->whole, (uint64_t)(*text - '0'), &number->whole))
			return NULL;
		any = true;
	}
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++) {
			any = true;
			if (number->scale >= UINT64_C(1000000000000000000))
				continue; /* below any precision that matters */
			number->fraction = number->fraction * 10 + (uint64_t)(*text - '0');
			number->scale *= 10;
		}
	}
	if (!any)
		return NULL;
	if (text[0] == ' ' && text[1])
		text++;
	return text;
}

/* How many bytes a unit has; 0 when it is no unit. */
static uint64_t size_unit(const char *unit)
{
	const char *letter;
	uint64_t base, bytes = 1;

	if (!*unit || !strcmp(unit, "B"))
		return 1;
	letter = strchr(unit_letters, *unit >= 'a' && *unit <= 'z' ? *unit - 'a' + 'A' : *unit);
	if (!letter)
		return 0;
	if (!unit[1] || !strcmp(unit + 1, "iB"))
		base = 1024;
	else if (!strcmp(unit + 1, "B"))
		base = 1000;
	else
		return 0;
	for (const char *step = unit_letters; step <= letter; step++)
		bytes *= base;
	return bytes;
}

int human_parse_size(const char *text, uint64_t *bytes)
{
	struct decimal number;
	uint64_t unit, whole, part;

	text = text ? parse_decimal(text, &number) : NULL;
	if (!text)
		return -1;
	unit = size_unit(text);
	if (!unit || (unit == 1 && number.scale > 1))
		return -1;
	part = (uint64_t)((unsigned __int128)number.fraction * unit / number.scale);
	if (__builtin_mul_overflow(number.whole, unit, &whole) || __builtin_add_overflow(whole, part, &whole))
		return -1;
	*bytes = whole;
	return 0;
}

int human_parse_seconds(const char *text, double *seconds)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
	struct decimal number;

	text = text ? parse_decimal(text, &number) : NULL;
	if (!text)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		double value;

		if (strcmp(text, units[i].name) != 0)
			continue;
		value = ((double)number.whole + (double)number.fraction / (double)number.scale) *
			units[i].seconds;
		if (value > (double)(INT64_MAX / 1000000000))
			return -1;
		*seconds = value;
		return 0;
	}
	return -1;
}
