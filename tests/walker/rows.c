// SPDX-License-Identifier: GPL-2.0-or-later
/* From an address to its rule: files and their rows, the search in them, the cache of what was found. */
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/walker/walker.h"

/* @return an address that is `offset` bytes into the code, as one behind a call */
static uint64_t at(uint64_t offset)
{
	return code.start + offset + 1;
}

/* Whether the rule of the code at an offset is SP + `size`; 0: it is UNWIND_NONE. */
static void check_rule_at(uint64_t offset, int64_t size)
{
	stage.ip = at(offset);
	stage.bp = GARBAGE;
	stack[0] = stack[1] = stack[2] = stack[3] = GARBAGE;
	if (size) {
		stack[size / 8 - 1] = 0;
		assert_walk(STACK_COMPLETE, stage.ip);
	} else {
		assert_walk(STACK_NO_RULE, stage.ip);
	}
}

/* A row holds from its offset up to the next one's; before the first there is none. */
static void test_edges(void **state)
{
	static const struct unwind_row rows[] = {{100, 0}, {200, 1}, {300, 2}, {400, 3}, {4096, 1}};
	const uint64_t rules[] = {
		rule(UNWIND_SP, 8), rule(UNWIND_SP, 16), rule(UNWIND_SP, 24), rule(UNWIND_NONE, 0)};

	(void)state;
	code_give_rows(&code, rows, 5, rules, 4);
	check_rule_at(0, 0);
	check_rule_at(99, 0);
	check_rule_at(100, 8);
	check_rule_at(199, 8);
	check_rule_at(200, 16);
	check_rule_at(299, 16);
	check_rule_at(300, 24);
	check_rule_at(399, 24);
	check_rule_at(400, 0);
	check_rule_at(4095, 0);
	check_rule_at(4096, 16);
	check_rule_at(CODE_SIZE - 2, 16);
}

/* The rows of other files lie before and behind a file's. */
static void test_single_row(void **state)
{
	static const struct unwind_row row = {1000, 0};
	const uint64_t rules[] = {rule(UNWIND_SP, 8), rule(UNWIND_SP, 16), rule(UNWIND_SP, 24)};
	struct code before = code_new(0), behind = code_new(0);

	(void)state;
	code_give_rows(&before, &(const struct unwind_row){0, 0}, 1, &rules[0], 1);
	code_give_rows(&code, &row, 1, &rules[1], 1);
	code_give_rows(&behind, &(const struct unwind_row){500, 0}, 1, &rules[2], 1);
	check_rule_at(0, 0);
	check_rule_at(999, 0);
	check_rule_at(1000, 16);
	check_rule_at(CODE_SIZE - 2, 16);
	code_free(&before);
	code_free(&behind);
}

/* As many rows as frames, and a number that no power of two divides. */
static void test_each_row(void **state)
{
	uint64_t rules[MAX_FRAMES], frames[MAX_FRAMES], *sp = stack;

	(void)state;
	for (unsigned int i = 0; i < MAX_FRAMES; i++) {
		rules[i] = rule(UNWIND_SP, 8 * (1 + i % 50));
		frames[i] = in_rule(i);
	}
	use_rules_(rules, MAX_FRAMES);
	for (unsigned int i = 0; i < MAX_FRAMES; i++) {
		sp += 1 + i % 50;
		sp[-1] = i + 1 < MAX_FRAMES ? frames[i + 1] : 0;
	}
	assert_walk_(STACK_COMPLETE, frames, MAX_FRAMES, __FILE__, __LINE__);
}

static void test_file_without_rows(void **state)
{
	(void)state;
	tracer_give_rows(tracer, code.file, ROWS_LOADED, 0, 0);
	check_rule_at(0, 0);
}

static void test_code_without_file(void **state)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(memory != MAP_FAILED);
	stage.ip = word(memory) + 100;
	assert_walk(STACK_NO_RULE, stage.ip);
	munmap(memory, 4096);
}

/* Offsets of rows have 32 bits. */
static void test_far_in_the_file(void **state)
{
	const uint64_t end = END;
	char *far;

	(void)state;
	code_give_rows(&code, &(const struct unwind_row){0, 0}, 1, &end, 1);
	assert_int_equal(ftruncate(code.fd, (4LL << 30) + 2 * CODE_OFFSET), 0);
	far = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, code.fd, (4LL << 30) + CODE_OFFSET);
	assert_true(far != MAP_FAILED);
	stage.ip = word(far) + 100;
	assert_walk(STACK_NO_RULE, stage.ip);
	munmap(far, 4096);
}

static void test_vdso(void **state)
{
	uint64_t rules[] = {rule(UNWIND_SP, 16)}, start = getauxval(AT_SYSINFO_EHDR);
	struct code vdso = {.file = tracer_file(tracer, VDSO_INODE, 0)};

	(void)state;
	assert_true(start);
	use_rules(rule(UNWIND_SP, 8), END);
	/* Its rows begin at its start, not at CODE_OFFSET, which is added. */
	code_give_rows(&vdso, &(const struct unwind_row){100U - CODE_OFFSET, 0}, 1, rules, 1);
	stack[0] = start + 101;
	stack[2] = in_rule(1);
	assert_walk(STACK_COMPLETE, in_rule(0), start + 101, in_rule(1));
	stack[0] = start + 100;
	assert_walk(STACK_NO_RULE, in_rule(0), start + 100);
}

struct wanted {
	uint32_t file;
	uint64_t address;
	int count;
};

static void count_wanted(const struct event *event, void *data)
{
	struct wanted *wanted = data;

	if (event->type != EVENT_ROWS || event->file != wanted->file)
		return;
	wanted->count++;
	wanted->address = event->start;
}

/* The walk goes on along frame pointers; user space is asked for the rows once, and they are used as soon as
 * they are there. */
static void test_pending(void **state)
{
	struct wanted wanted = {.file = code.file};
	const struct mapped_file *file = &tables->files[code.file];
	uint64_t misses;

	(void)state;
	stage.bp = word(&stack[4]);
	stack[0] = in_rule(1);
	stack[4] = 0;
	stack[5] = in_rule(2);
	assert_int_equal(file->rows_state, ROWS_UNKNOWN);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_walk(STACK_PENDING, in_rule(0), in_rule(2));
		assert_int_equal(file->rows_state, ROWS_WANTED);
		assert_true(file->misses >= 2 * i);
	}
	stage.bp = GARBAGE;
	assert_walk(STACK_PENDING, in_rule(0));
	tracer_events(tracer, count_wanted, &wanted);
	assert_int_equal(wanted.count, 1);
	assert_int_equal(wanted.address, in_rule(0) - 1);
	misses = file->misses;
	use_rules(rule(UNWIND_SP, 8), END);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1));
	assert_int_equal(file->misses, misses);
}

static void test_left_out(void **state)
{
	struct wanted wanted = {.file = code.file};

	(void)state;
	tracer_give_rows(tracer, code.file, ROWS_LEFT_OUT, 0, 0);
	stage.bp = word(&stack[4]);
	stack[4] = GARBAGE;
	stack[5] = in_rule(1);
	assert_walk(STACK_NO_RULE, in_rule(0), in_rule(1));
	assert_true(tables->files[code.file].misses >= 2);
	assert_int_equal(tables->files[code.file].rows_state, ROWS_LEFT_OUT);
	tracer_events(tracer, count_wanted, &wanted);
	assert_int_equal(wanted.count, 0);
}

/* More addresses than the cache has room for, several of them at every place: each keeps its own rule. */
static void test_cache(void **state)
{
	uint64_t rules[CODE_SIZE / RULE_SIZE];

	(void)state;
	for (unsigned int i = 0; i < CODE_SIZE / RULE_SIZE; i++)
		rules[i] = rule(UNWIND_SP, 8 + 8 * (i % 3));
	use_rules_(rules, CODE_SIZE / RULE_SIZE);
	for (int again = 0; again < 2; again++) {
		for (uint32_t offset = 0; offset < CODE_SIZE - 1; offset++)
			check_rule_at(offset, 8 + 8 * (offset / RULE_SIZE % 3));
	}
}

/* Put another rule into the cache, under what is changed so of its key and check.
 *
 * @param own  whether the frame is still walked by its own rule
 */
static void check_torn(uint64_t key_change, uint64_t check_change, bool own)
{
	walker_changed();
	stack[0] = in_rule(1);
	stack[1] = in_rule(3);
	stack[2] = 0;
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(3));
	cache_change(in_rule(1) - 1, key_change, check_change | (rule(UNWIND_SP, 8) ^ rule(UNWIND_SP, 16)));
	if (own)
		assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(3));
	else
		assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1));
}

/* What two writers have left in one place is the rule of neither. */
static void test_torn_cache(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_SP, 8), rule(UNWIND_SP, 16), END);
	check_torn(0, 0, false); /* this is how rules are kept there */
	for (int bit = 47; bit < 64; bit += 8)
		check_torn(1ULL << bit, 0, true);
	for (int bit = UNWIND_RULE_BITS; bit < 64; bit += 5)
		check_torn(0, 1ULL << bit, true);
}

/* Another file takes the place of the code: what was remembered by address is not valid any more. */
static void test_code_changed(void **state)
{
	uint64_t start = code.start;

	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_SP, 8), END);
	stack[0] = stack[1] = in_rule(1);
	stack[2] = in_rule(2);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(1), in_rule(2));
	close(code.fd);
	code = code_new(start);
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_SP, 16), END);
	walker_changed();
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2));
}

int rows_tests(void)
{
	const struct CMUnitTest tests[] = {
		scene_test(test_edges),
		scene_test(test_single_row),
		scene_test(test_each_row),
		scene_test(test_file_without_rows),
		scene_test(test_code_without_file),
		scene_test(test_far_in_the_file),
		scene_test(test_vdso),
		scene_test(test_pending),
		scene_test(test_left_out),
		scene_test(test_cache),
		scene_test(test_torn_cache),
		scene_test(test_code_changed),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
