// SPDX-License-Identifier: GPL-2.0-or-later
/* Where walks end other than at an outermost function, and the edges of the memory that the stack is in. */
#include "tests/walker/walker.h"

static void test_return_address_zero(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_SP, 8));
	stack[0] = in_rule(1);
	stack[1] = 0;
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1));
}

static void test_no_code(void **state)
{
	const uint64_t others[] = {word(stack), word(stack_end), 4096, 1, 1ULL << 47, ~0ULL};

	(void)state;
	use_rules(rule(UNWIND_SP, 8), END);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		stack[0] = others[i];
		assert_walk(STACK_NO_CODE, in_rule(0));
	}
	/* What an address has more than 47 bits is not taken for a code number. */
	stack[0] = in_rule(1);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1));
	for (int bit = 47; bit < 64; bit++) {
		stack[0] = in_rule(1) | 1ULL << bit;
		assert_walk(STACK_NO_CODE, in_rule(0));
	}
	/* Where it begins is a frame, whatever is there. */
	stage.ip = word(stack);
	assert_walk(STACK_NO_CODE, stage.ip);
}

/* The CFA of the second frame is one word above its stack pointer, at it, below it. */
static void test_broken(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_BP, 16), END, rule(UNWIND_SP, 0));
	stage.bp = word(&stack[0]);
	stack[0] = in_rule(1);
	stack[1] = in_rule(2);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2));
	stack[1] = in_rule(1);
	assert_walk(STACK_BROKEN, in_rule(0), in_rule(1), in_rule(1));
	stage.bp = word(&stack[-4]);
	assert_walk(STACK_BROKEN, in_rule(0), in_rule(1));
	stack[0] = in_rule(3);
	assert_walk(STACK_BROKEN, in_rule(0), in_rule(3));
}

/* @return an address for the i-th frame, for all of which the first rule holds */
static uint64_t frame(unsigned int i)
{
	return in_rule(0) + i;
}

/* Make a stack of `count` frames, with a word for each; the last one is outermost. */
static void put_frames(unsigned int count)
{
	use_rules(rule(UNWIND_SP, 8), END);
	for (unsigned int i = 1; i < count - 1; i++)
		stack[i - 1] = frame(i);
	stack[count - 2] = in_rule(1);
}

static void test_deep(void **state)
{
	static const unsigned int counts[] = {2, 3, 4, 5, 126, 127, 128, 129, 180};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned int count = counts[i], kept = count < MAX_FRAMES ? count : MAX_FRAMES;
		uint64_t frames[MAX_FRAMES];

		put_frames(count);
		for (unsigned int j = 0; j < kept; j++)
			frames[j] = j == count - 1 ? in_rule(1) : frame(j);
		assert_walk_(
			count > MAX_FRAMES ? STACK_DEEP : STACK_COMPLETE, frames, kept, __FILE__, __LINE__);
	}
}

static void test_unreadable(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_SP, 64), END);
	stage.sp = word(stack_end - 8);
	stack_end[-8] = in_rule(1);
	stack_end[-1] = in_rule(2);
	assert_walk(STACK_UNREADABLE, in_rule(0), in_rule(1));
	/* The first word already. */
	stage.sp = word(stack_end);
	assert_walk(STACK_UNREADABLE, in_rule(0));
}

/* More is read at once than there is. */
static void test_up_to_the_end(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), END);
	stage.sp = word(stack_end - 5);
	for (int i = 1; i < 5; i++)
		stack_end[i - 6] = in_rule(0) + (unsigned int)i;
	stack_end[-1] = in_rule(1);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(0) + 1, in_rule(0) + 2, in_rule(0) + 3,
		in_rule(0) + 4, in_rule(1));
}

/* Reading begins below the word that is needed. */
static void test_from_the_start(void **state)
{
	(void)state;
	use_rules(rule_bp(UNWIND_SP, 8, SAVED_AT_CFA, 8), rule(UNWIND_BP, 16), END);
	stage.sp = word(stack_start);
	stack_start[0] = in_rule(1);
	stack_start[2] = word(&stack[0]);
	stack[1] = in_rule(2);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2));
}

/* What a failed reading leaves of an earlier one is not taken for the stack. */
static void test_back_from_the_end(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule_bp(UNWIND_SP, 190 * 8, SAVED_AT_BP, 0), rule(UNWIND_BP, 0), END);
	stage.sp = word(stack_end - 192);
	stage.bp = word(stack_end - 180);
	stack_end[-192] = in_rule(1);
	stack_end[-2] = in_rule(2);
	stack_end[-180] = word(stack_end);
	stack_end[-1] = in_rule(3);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2), in_rule(3));
}

int ends_tests(void)
{
	const struct CMUnitTest tests[] = {
		scene_test(test_return_address_zero),
		scene_test(test_no_code),
		scene_test(test_broken),
		scene_test(test_deep),
		scene_test(test_unreadable),
		scene_test(test_up_to_the_end),
		scene_test(test_from_the_start),
		scene_test(test_back_from_the_end),
	};

	return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
