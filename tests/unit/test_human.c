// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/human.h"

static char buffer[HUMAN_SIZE];

static void bytes_choose_the_unit(void **state)
{
	(void)state;
	assert_string_equal(human_bytes(buffer, 0), "0 B");
	assert_string_equal(human_bytes(buffer, 1023), "1023 B");
	assert_string_equal(human_bytes(buffer, 1024), "1.0 KiB");
	assert_string_equal(human_bytes(buffer, 1258291), "1.2 MiB");
	/* 1048575 bytes are 1023.999 KiB: never "1024.0 KiB" */
	assert_string_equal(human_bytes(buffer, 1048575), "1.0 MiB");
	assert_string_equal(human_bytes(buffer, 1047552), "1023.0 KiB");
	assert_string_equal(human_bytes(buffer, UINT64_C(3) << 40), "3.0 TiB");
	assert_string_equal(human_bytes(buffer, UINT64_MAX), "16.0 EiB");
}

static void changes_have_a_sign(void **state)
{
	(void)state;
	assert_string_equal(human_change(buffer, 1258291), "+1.2 MiB");
	assert_string_equal(human_change(buffer, -3), "-3 B");
	assert_string_equal(human_change(buffer, -2048), "-2.0 KiB");
	assert_string_equal(human_change(buffer, 0), "+0 B");
	assert_string_equal(human_change(buffer, -0.2), "+0 B");
	assert_string_equal(human_change(buffer, NAN), "?");
	assert_string_equal(human_change(buffer, INFINITY), "?");
	assert_string_equal(human_change(buffer, 1e300), "+8.7e+281 EiB");
	assert_true(snprintf(NULL, 0, "%s", human_change(buffer, -1.7e308)) < HUMAN_SIZE);
}

static void rates_choose_the_time(void **state)
{
	(void)state;
	assert_string_equal(human_rate(buffer, 20890), "20.4 KiB/s");
	assert_string_equal(human_rate(buffer, 1), "1 B/s");
	assert_string_equal(human_rate(buffer, 0.05), "3 B/min");
	assert_string_equal(human_rate(buffer, 0.01), "36 B/h");
	assert_string_equal(human_rate(buffer, 0), "0 B/s");
	assert_string_equal(human_rate(buffer, -2048), "-2.0 KiB/s");
	assert_string_equal(human_rate(buffer, NAN), "?");
}

static void counts_are_grouped(void **state)
{
	(void)state;
	assert_string_equal(human_count(buffer, 0), "0");
	assert_string_equal(human_count(buffer, 999), "999");
	assert_string_equal(human_count(buffer, 1000), "1,000");
	assert_string_equal(human_count(buffer, 1234567), "1,234,567");
	assert_string_equal(human_count(buffer, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void durations_show_two_units(void **state)
{
	(void)state;
	assert_string_equal(human_duration(buffer, 0), "0 s");
	assert_string_equal(human_duration(buffer, 0.5), "0.5 s");
	assert_string_equal(human_duration(buffer, 3), "3 s");
	assert_string_equal(human_duration(buffer, 9.97), "10 s");
	assert_string_equal(human_duration(buffer, 59.4), "59 s");
	assert_string_equal(human_duration(buffer, 59.6), "1 min 00 s");
	assert_string_equal(human_duration(buffer, 65), "1 min 05 s");
	assert_string_equal(human_duration(buffer, 3599.7), "1 h 00 min");
	assert_string_equal(human_duration(buffer, 3720), "1 h 02 min");
	assert_string_equal(human_duration(buffer, 3 * 86400 + 4 * 3600), "3 d 04 h");
	assert_string_equal(human_duration(buffer, -1), "?");
	assert_string_equal(human_duration(buffer, NAN), "?");
	assert_string_equal(human_duration(buffer, 1e300), "1.2e+295 d");
}

static void sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"64k", 65536},
		{"64K", 65536},
		{"1M", 1048576},
		{"2GiB", UINT64_C(2) << 30},
		{"2 GiB", UINT64_C(2) << 30},
		{"1.5M", 1572864},
		{".5k", 512},
		{"0.1k", 102},
		{"10kB", 10000},
		{"3MB", 3000000},
		{"7B", 7},
		{"15E", UINT64_C(15) << 60},
		{"18446744073709551615", UINT64_MAX},
		{"15.999999999999999999E", UINT64_C(18446744073709551614)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t bytes = 77;

		if (human_parse_size(good[i].text, &bytes) || bytes != good[i].bytes)
			fail_msg("%s was read as %ju", good[i].text, (uintmax_t)bytes);
	}
}

static void bad_sizes_are_refused(void **state)
{
	static const char *const bad[] = {"", " ", "k", "-1", "+1", " 1", "1 ", "1kk", "1x", "1KiBs", "1.5",
		"1.5B", ".", "1..5k", "0x10", "1e3", "inf", "nan", "18446744073709551616",
		"99999999999999999999999999", "16E", "16777216T", "1,5k", "1Ki", "1bB", "1\nk",
		"17179869184GiB"};
	uint64_t bytes = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (!human_parse_size(bad[i], &bytes))
			fail_msg("\"%s\" was read as %ju", bad[i], (uintmax_t)bytes);
	}
	assert_int_equal(human_parse_size(NULL, &bytes), -1);
	assert_int_equal(bytes, 77);
}

static void spans_are_read(void **state)
{
	static const struct {
		const char *text;
		double seconds;
	} good[] = {{"10", 10}, {"0", 0}, {"0.5", 0.5}, {"250ms", 0.25}, {"2s", 2}, {"2m", 120},
		{"2 min", 120}, {"1h", 3600}, {"1.5h", 5400}, {"7d", 604800}};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		double seconds = -1;

		if (human_parse_seconds(good[i].text, &seconds) || fabs(seconds - good[i].seconds) > 1e-9)
			fail_msg("%s was read as %f", good[i].text, seconds);
	}
}

static void bad_spans_are_refused(void **state)
{
	static const char *const bad[] = {"", "-1", "inf", "nan", "1e3", "0x1p3", "1 ", "1hour", "ms", "1..2",
		"1 2", "9223372037", "99999999999999999999", "200000d", "1,5"};
	double seconds = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (!human_parse_seconds(bad[i], &seconds))
			fail_msg("\"%s\" was read as %f", bad[i], seconds);
	}
	assert_int_equal(human_parse_seconds(NULL, &seconds), -1);
	assert_true(seconds == 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_choose_the_unit),
		cmocka_unit_test(changes_have_a_sign),
		cmocka_unit_test(rates_choose_the_time),
		cmocka_unit_test(counts_are_grouped),
		cmocka_unit_test(durations_show_two_units),
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(bad_sizes_are_refused),
		cmocka_unit_test(spans_are_read),
		cmocka_unit_test(bad_spans_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
