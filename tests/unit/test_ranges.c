// SPDX-License-Identifier: GPL-2.0-or-later
/* Mapped ranges against a plain model: an array that says for each page which mapping holds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace/ranges.h"

#define PAGES 64
#define PAGE  4096ULL

struct tally {
	uint64_t bytes[8], wholes[8];
};

static void count(uint32_t site, uint64_t bytes, int whole, void *data)
{
	struct tally *tally = data;

	assert_true(site < 8 && bytes > 0);
	tally->bytes[site] += bytes;
	tally->wholes[site] += (uint64_t)whole;
}

static void map(struct ranges *ranges, struct tally *tally, uint64_t page, uint64_t pages, uint32_t site)
{
	assert_int_equal(ranges_map(ranges, page * PAGE, pages * PAGE, site, count, tally), 0);
}

static void unmap(struct ranges *ranges, struct tally *tally, uint64_t page, uint64_t pages)
{
	assert_int_equal(ranges_unmap(ranges, page * PAGE, pages * PAGE, count, tally), 0);
}

static void test_whole(void **state)
{
	struct ranges ranges = {0};
	struct tally tally = {0};

	(void)state;
	map(&ranges, &tally, 10, 4, 1);
	unmap(&ranges, &tally, 10, 4);
	assert_int_equal(tally.bytes[1], 4 * PAGE);
	assert_int_equal(tally.wholes[1], 1);
	assert_int_equal(ranges.count, 0);
	ranges_free(&ranges);
}

static void test_hole_then_the_rest(void **state)
{
	struct ranges ranges = {0};
	struct tally tally = {0};

	(void)state;
	map(&ranges, &tally, 10, 10, 1);
	unmap(&ranges, &tally, 13, 2);
	assert_int_equal(ranges.count, 2);
	assert_int_equal(tally.bytes[1], 2 * PAGE);
	unmap(&ranges, &tally, 10, 3);
	assert_int_equal(tally.wholes[1], 0);
	unmap(&ranges, &tally, 0, PAGES);
	assert_int_equal(tally.bytes[1], 10 * PAGE);
	assert_int_equal(tally.wholes[1], 1);
	ranges_free(&ranges);
}

static void test_fixed_mapping_replaces(void **state)
{
	struct ranges ranges = {0};
	struct tally tally = {0};

	(void)state;
	map(&ranges, &tally, 10, 4, 1);
	map(&ranges, &tally, 14, 4, 2);
	map(&ranges, &tally, 12, 4, 3);
	assert_int_equal(tally.bytes[1], 2 * PAGE);
	assert_int_equal(tally.bytes[2], 2 * PAGE);
	assert_int_equal(tally.wholes[1] + tally.wholes[2], 0);
	assert_int_equal(ranges.count, 3);
	ranges_free(&ranges);
}

static void test_unknown_memory_is_no_matter(void **state)
{
	struct ranges ranges = {0};
	struct tally tally = {0};

	(void)state;
	unmap(&ranges, &tally, 3, 9);
	map(&ranges, &tally, 20, 1, 1);
	unmap(&ranges, &tally, 3, 17);
	unmap(&ranges, &tally, 21, 9);
	assert_int_equal(tally.bytes[1], 0);
	assert_int_equal(ranges.count, 1);
	ranges_free(&ranges);
}

/* What the model expects to be freed when pages go: bytes by site, and mappings that lose their last page. */
static void model_remove(
	uint32_t *owner, const uint32_t *site_of, uint64_t page, uint64_t pages, struct tally *tally)
{
	for (uint64_t i = page; i < page + pages; i++) {
		uint32_t mapping = owner[i];
		bool last = mapping != 0;

		owner[i] = 0;
		for (int j = 0; j < PAGES; j++)
			last = last && owner[j] != mapping;
		if (!mapping)
			continue;
		tally->bytes[site_of[mapping]] += PAGE;
		tally->wholes[site_of[mapping]] += last;
	}
}

static void test_random_against_the_model(void **state)
{
	static uint32_t site_of[20001];
	uint32_t owner[PAGES] = {0};
	struct ranges ranges = {0};
	struct tally tally = {0}, expected = {0};

	(void)state;
	srandom(7);
	for (uint32_t step = 1; step <= 20000; step++) {
		uint64_t page = (uint64_t)random() % PAGES;
		uint64_t pages = 1 + (uint64_t)random() % (PAGES - page);

		model_remove(owner, site_of, page, pages, &expected);
		if (random() % 2) {
			site_of[step] = (uint32_t)random() % 8;
			for (uint64_t i = page; i < page + pages; i++)
				owner[i] = step;
			map(&ranges, &tally, page, pages, site_of[step]);
		} else {
			unmap(&ranges, &tally, page, pages);
		}
		assert_memory_equal(&tally, &expected, sizeof(tally));
	}
	ranges_free(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_hole_then_the_rest),
		cmocka_unit_test(test_fixed_mapping_replaces),
		cmocka_unit_test(test_unknown_memory_is_no_matter),
		cmocka_unit_test(test_random_against_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
