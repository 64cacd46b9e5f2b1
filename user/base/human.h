/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as people write them, and back. Formatting functions fill a buffer of HUMAN_SIZE bytes and return
 * it, so that they can stand among the arguments of printf. The results are ASCII and do not depend on the
 * locale.
 */
#pragma once

#include <stdint.h>

#define HUMAN_SIZE                                                                                           \
	40 /* bytes: room for the longest result of any function here, its terminating NUL included */

/** Write a number of bytes in binary units with one decimal: "512 B", "1.2 MiB". @return `buffer` */
char *human_bytes(char buffer[HUMAN_SIZE], uint64_t bytes);

/** Write a change in bytes, always with its sign: "+1.2 MiB", "-3 B". Not a number becomes "?". @return
 * `buffer` */
char *human_change(char buffer[HUMAN_SIZE], double bytes);

/**
 * Write a speed in bytes, in the shortest of the units second, minute and hour in which it is at least one
 * byte: "20.4 KiB/s", "3.1 B/min". Not a number becomes "?".
 *
 * @param bytes_per_second  may be negative
 * @return `buffer`
 */
char *human_rate(char buffer[HUMAN_SIZE], double bytes_per_second);

/** Write a count with a comma between groups of three digits: "1,234,567". @return `buffer` */
char *human_count(char buffer[HUMAN_SIZE], uint64_t count);

/**
 * Write a span of time in its two largest units: "0.5 s", "42 s", "1 min 05 s", "1 h 02 min", "3 d 04 h".
 * Negative spans and what is not a number become "?".
 *
 * @return `buffer`
 */
char *human_duration(char buffer[HUMAN_SIZE], double seconds);

/**
 * Read a number of bytes: digits, an optional decimal fraction, an optional space and an optional unit:
 * "4096", "64k", "1.5M", "2 GiB". K, M, G, T, P and E in either case, alone or followed by "iB", are powers
 * of 1024; followed by "B" they are powers of 1000, as in GNU coreutils; "B" is one byte. A fraction needs a
 * unit; what remains below one byte is dropped.
 *
 * @param bytes  where to put the result; unchanged on failure
 * @return 0, or -1 when the text is anything else (empty, signed, followed by more) or does not fit into 64
 * bits
 */
int human_parse_size(const char *text, uint64_t *bytes);

/**
 * Read a span of time: digits with an optional decimal fraction, an optional space and an optional unit:
 * "10", "0.5", "250ms", "2m", "1h". Units are ms, s, m or min, h and d; seconds when there is none.
 *
 * @param seconds  where to put the result, at most what a signed 64-bit count of nanoseconds can hold (292
 * years); unchanged on failure
 * @return 0, or -1 when the text is anything else (empty, signed, "inf", followed by more) or too long a span
 */
int human_parse_seconds(const char *text, double *seconds);
