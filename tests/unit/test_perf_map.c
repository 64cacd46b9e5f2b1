// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/mman.h>

#include "compile.h"
#include "base/array.h"
#include "elf/perf_map.h"
#include "elf/range_index.h"

/* An anonymous file with a text in it, at its beginning. */
static int file_of(const char *text, size_t size)
{
	int fd = memfd_create("perf-map", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static struct perf_map *read_text(const char *text, size_t size)
{
	_cleanup_close_ int fd = file_of(text, size);
	struct perf_map *map = perf_map_read(fd);

	assert_non_null(map);
	return map;
}

static void assert_name(const struct perf_map *map, uint64_t address, const char *expected)
{
	const char *name = perf_map_lookup(map, address);

	if (!expected) {
		if (name)
			fail_msg("%#lx is %s", address, name);
		return;
	}
	if (!name)
		fail_msg("%#lx is not %s", address, expected);
	assert_string_equal(name, expected);
}

#define read_literal(text) read_text(text, sizeof(text) - 1)

static void test_lookup(void **state)
{
	struct perf_map *map = read_literal("7f0000001000 20 LazyCompile:*main /app/server.js:1\n"
					    "7f0000000000 100 Interpreter\n"
					    "0x7f0000002000 0xA0 a name  with blanks \n"
					    "7F00000030AB 1 one\r\n");

	(void)state;
	assert_name(map, 0x7f0000000fff, NULL);
	assert_name(map, 0x7f0000001000, "LazyCompile:*main /app/server.js:1");
	assert_name(map, 0x7f000000101f, "LazyCompile:*main /app/server.js:1");
	assert_name(map, 0x7f0000001020, NULL);
	assert_name(map, 0x7f00000000ff, "Interpreter");
	assert_name(map, 0x7f0000002080, "a name  with blanks ");
	assert_name(map, 0x7f00000030ab, "one");
	assert_name(map, 0x7f00000030ac, NULL);
	assert_name(map, 0, NULL);
	assert_name(map, UINT64_MAX, NULL);
	perf_map_free(map);
}

static void test_later_line_wins(void **state)
{
	struct perf_map *map = read_literal("1000 100 first\n"
					    "1040 20 inside\n"
					    "10f0 100 across\n"
					    "2000 10 old\n"
					    "2000 10 new\n"
					    "3010 10 covered\n"
					    "3000 100 cover\n");

	(void)state;
	assert_name(map, 0x1000, "first");
	assert_name(map, 0x103f, "first");
	assert_name(map, 0x1040, "inside");
	assert_name(map, 0x105f, "inside");
	assert_name(map, 0x1060, "first");
	assert_name(map, 0x10ef, "first");
	assert_name(map, 0x10f0, "across");
	assert_name(map, 0x11ef, "across");
	assert_name(map, 0x11f0, NULL);
	assert_name(map, 0x2008, "new");
	assert_name(map, 0x3015, "cover");
	perf_map_free(map);
}

static void test_malformed_lines_are_skipped(void **state)
{
	struct perf_map *map = read_literal("\n"
					    "   \n"
					    "1000\n"
					    "1000 10\n"
					    "1000 10 \n"
					    "xyz 10 no_start\n"
					    "1000 xyz no_size\n"
					    "-1000 10 negative\n"
					    "1000 0 empty\n"
					    " 1000 10 indented\n"
					    "10000000000001000 10 start_of_65_bits\n"
					    "1000 10000000000000010 size_of_65_bits\n"
					    "1000 ffffffffffffffff end_overflows\n"
					    "0x 10 only_a_prefix\n"
					    "1000-1010 10 maps_line\n"
					    "2000 10 good\n"
					    "1000 10 unfinis");

	(void)state;
	assert_name(map, 0x1000, NULL);
	assert_name(map, 0, NULL);
	assert_name(map, 0x2000, "good");
	perf_map_free(map);
	map = read_literal("fffffffffffffff0 f highest\n0 1 lowest\n");
	assert_name(map, UINT64_MAX - 1, "highest");
	assert_name(map, UINT64_MAX, NULL);
	assert_name(map, 0, "lowest");
	perf_map_free(map);
}

static void test_nul_bytes(void **state)
{
	struct perf_map *map =
		read_literal("1000 10 before\0after\n2000\0 10 hidden\n3000 10 \0\n4000 10 next\n");

	(void)state;
	assert_name(map, 0x1000, "before");
	assert_name(map, 0x2000, NULL);
	assert_name(map, 0x3000, NULL);
	assert_name(map, 0x4000, "next");
	perf_map_free(map);
}

static void test_empty_and_unreadable(void **state)
{
	struct perf_map *map = read_literal("");
	int ends[2];

	(void)state;
	assert_name(map, 0x1000, NULL);
	perf_map_free(map);
	perf_map_free(NULL);
	assert_null(perf_map_read(-1));
	/* A fifo that nobody writes to must not be waited for. */
	assert_int_equal(pipe(ends), 0);
	alarm(20);
	assert_null(perf_map_read(ends[0]));
	alarm(0);
	close(ends[0]);
	close(ends[1]);
}

static void test_starts_at_the_current_position(void **state)
{
	_cleanup_close_ int fd = file_of("1000 10 skipped\n2000 10 read\n", 29);
	struct perf_map *map;

	(void)state;
	assert_int_equal(lseek(fd, 16, SEEK_SET), 16);
	map = perf_map_read(fd);
	assert_non_null(map);
	assert_name(map, 0x1000, NULL);
	assert_name(map, 0x2000, "read");
	perf_map_free(map);
}

/* Larger than what is read at once, and of hostile size: only the first 64 MiB count. */
static void test_large_files(void **state)
{
	const size_t limit = 64 << 20;
	_cleanup_close_ int fd = memfd_create("perf-map", MFD_CLOEXEC);
	struct perf_map *map;
	char line[64];

	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		int length = snprintf(line, sizeof(line), "%x 10 function_%u\n", 0x100000 + i * 0x10, i);

		assert_int_equal(write(fd, line, (size_t)length), length);
	}
	assert_int_equal(pwrite(fd, "\n500 10 behind\n", 15, (off_t)limit), 15);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	map = perf_map_read(fd);
	assert_non_null(map);
	assert_name(map, 0x100000, "function_0");
	assert_name(map, 0x100000 + 49999 * 0x10 + 15, "function_49999");
	assert_name(map, 0x500, NULL);
	perf_map_free(map);
}

/* --- the index below it --- */

/* Random ranges over few addresses, so that they overlap in every way, against the plain definition. */
static void test_range_index(void **state)
{
	uint64_t random = 88172645463325252ULL;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct range_index index = {0};
		int64_t expected[64];

		memset(expected, -1, sizeof(expected));
		for (uint32_t value = 0; value < (unsigned)round % 40; value++) {
			uint64_t start, end;

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			start = random % 64;
			end = (random >> 32) % 65;
			assert_int_equal(range_index_add(&index, start, end, value), 0);
			for (uint64_t address = start; address < end; address++)
				expected[address] = value;
		}
		assert_int_equal(range_index_flatten(&index), 0);
		for (uint64_t address = 0; address < 64; address++) {
			const struct address_range *range = range_index_find(&index, address);

			assert_int_equal(range ? (int64_t)range->value : -1, expected[address]);
		}
		for (size_t i = 1; i < index.count; i++)
			assert_true(index.items[i - 1].end <= index.items[i].start);
		array_free(&index);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_later_line_wins),
		cmocka_unit_test(test_malformed_lines_are_skipped),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_empty_and_unreadable),
		cmocka_unit_test(test_starts_at_the_current_position),
		cmocka_unit_test(test_large_files),
		cmocka_unit_test(test_range_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
