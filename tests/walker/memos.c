// SPDX-License-Identifier: GPL-2.0-or-later
/* Recognizing a stack that was walked before: exactly when all that decided the walk is the same. And the
 * sites that stacks lead to. */
#include <string.h>

#include "tests/walker/walker.h"

/* A stack of which each frame needs something else: the second one rbp as it was, the third one the one that
 * the second one saved. */
static void put_stack(void)
{
	walker_changed(); /* no memo of it is valid */
	stage.ip = in_rule(0);
	stage.sp = word(stack);
	stage.bp = word(&stack[6]);
	for (int i = 0; i < 16; i++)
		stack[i] = GARBAGE;
	stack[1] = in_rule(1);
	stack[6] = word(&stack[12]);
	stack[7] = in_rule(2);
	stack[13] = in_rule(3);
}

static void use_stack_rules(void)
{
	use_rules(rule(UNWIND_SP, 16), rule_bp(UNWIND_BP, 16, SAVED_AT_CFA, -16), rule(UNWIND_BP, 16), END,
		rule(UNWIND_UNSUPPORTED, 0));
}

/* Book the stack on stage, as one that is not known. @return its site */
static uint32_t book_new(void)
{
	const struct walked *walked = book(DOMAIN_HEAP);

	assert_false(walked->recalled);
	assert_true(walked->site < tables->max_stacks);
	return walked->site;
}

/* Book the stack on stage, which was booked just before. */
static void book_again(uint32_t site)
{
	const struct walked *walked = book(DOMAIN_HEAP);

	assert_true(walked->recalled);
	assert_int_equal(walked->site, site);
}

/* Have the thread remember another stack as its last: by that one it knows a stack without memos. */
static void book_nothing(void)
{
	uint64_t ip = stage.ip;

	stage.ip = word(stack); /* no code */
	book_new();
	stage.ip = ip;
}

/* Book the stack on stage, so that it will be recalled. @return its site */
static uint32_t book_kept(void)
{
	uint32_t site;

	book_nothing();
	site = book_new();
	book_again(site);
	return site;
}

/* The same with the stack of put_stack(). */
static uint32_t book_stack(void)
{
	put_stack();
	return book_kept();
}

static void assert_site(uint32_t index, const uint64_t *frames, uint16_t count)
{
	const struct site *site = &tables->sites[index];

	assert_int_equal(site->frame_count, count);
	assert_int_equal(site->stack_end, STACK_COMPLETE);
	assert_memory_equal(tables->stacks[index].frames, frames, count * sizeof(*frames));
}

static void test_same_stack(void **state)
{
	uint32_t site;

	(void)state;
	use_stack_rules();
	site = book_stack();
	assert_site(site, (const uint64_t[]){in_rule(0), in_rule(1), in_rule(2), in_rule(3)}, 4);
	/* Words that nothing was decided by. */
	stack[0] = stack[2] = stack[5] = stack[8] = stack[12] = stack[14] = 1;
	stage.bx = 1;
	book_again(site);
	/* Without the memo it is the same site as well. */
	put_stack();
	assert_int_equal(book_new(), site);
}

static void test_other_return_address(void **state)
{
	static const int words[] = {1, 7, 13};

	(void)state;
	use_stack_rules();
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t frames[] = {in_rule(0), in_rule(1), in_rule(2), in_rule(3)};
		uint32_t site = book_stack(), other;

		stack[words[i]]++;
		frames[i + 1]++;
		other = book_new();
		assert_int_not_equal(other, site);
		assert_site(other, frames, 4);
	}
}

static void test_other_first_address(void **state)
{
	uint32_t site;

	(void)state;
	use_stack_rules();
	site = book_stack();
	stage.ip++;
	assert_int_not_equal(book_new(), site);
}

/* Many more than there are places for memos: each place is shared. */
static void test_many_first_addresses(void **state)
{
	const uint64_t eight = rule(UNWIND_SP, 8);

	(void)state;
	code_give_rows(&code, &(const struct unwind_row){0, 0}, 1, &eight, 1);
	stack[0] = 0;
	for (uint64_t i = 0; i < 1500; i++) {
		stage.ip = code.start + 1 + i;
		assert_site(book_new(), &stage.ip, 1);
	}
}

/* rbp at the beginning: here it decides which frame comes third. */
static void test_other_bp(void **state)
{
	uint32_t site, other;

	(void)state;
	use_stack_rules();
	site = book_stack();
	stage.bp = word(&stack[20]);
	stack[20] = word(&stack[30]);
	stack[21] = in_rule(2) + 1;
	stack[31] = in_rule(3);
	other = book_new();
	assert_int_not_equal(other, site);
	assert_site(other, (const uint64_t[]){in_rule(0), in_rule(1), in_rule(2) + 1, in_rule(3)}, 4);
}

/* rbp as the second frame saved it: decides which frame comes fourth. */
static void test_other_saved_bp(void **state)
{
	uint32_t site, other;

	(void)state;
	use_stack_rules();
	site = book_stack();
	stack[6] = word(&stack[30]);
	stack[31] = in_rule(3) + 1;
	other = book_new();
	assert_int_not_equal(other, site);
	assert_site(other, (const uint64_t[]){in_rule(0), in_rule(1), in_rule(2), in_rule(3) + 1}, 4);
}

/* rbp is where another register is found: the frame's own one matters too. */
static void test_bp_that_leads_to_bp(void **state)
{
	uint32_t site;

	(void)state;
	use_rules(rule_bp(UNWIND_SP, 8, SAVED_AT_BP, 0), rule(UNWIND_BP, 16), END);
	stage.bp = word(&stack[4]);
	stack[0] = in_rule(1);
	stack[4] = word(&stack[10]);
	stack[11] = in_rule(2);
	site = book_kept();
	stage.bp = word(&stack[20]);
	stack[20] = word(&stack[30]);
	stack[31] = in_rule(2) + 1;
	assert_int_not_equal(book_new(), site);
}

/* Registers that no rule needs, though they are saved and restored, decide nothing. */
static void test_bp_that_does_not_matter(void **state)
{
	uint32_t site;

	(void)state;
	use_rules(rule_bp(UNWIND_SP, 16, SAVED_AT_CFA, -16), rule(UNWIND_SP, 8), END);
	stack[1] = in_rule(1);
	stack[2] = in_rule(2);
	site = book_new();
	stage.bp = stack[0] = 1;
	book_again(site);
}

static void test_other_place(void **state)
{
	uint32_t site;

	(void)state;
	use_rules(rule(UNWIND_SP, 8), END);
	stack[0] = stack[1] = in_rule(1);
	site = book_kept();
	stage.sp += 8;
	assert_int_equal(book_new(), site);
}

static void test_other_domain(void **state)
{
	const struct walked *walked;
	uint32_t site;

	(void)state;
	use_stack_rules();
	site = book_stack();
	walked = book(DOMAIN_MMAP);
	assert_false(walked->recalled);
	assert_int_not_equal(walked->site, site);
	assert_int_equal(tables->sites[walked->site].domain, DOMAIN_MMAP);
	assert_int_equal(tables->sites[site].domain, DOMAIN_HEAP);
}

/* The same words mean another stack when the code has changed. */
static void test_code_changed(void **state)
{
	uint64_t start = code.start;
	uint32_t site, other;

	(void)state;
	use_stack_rules();
	site = book_stack();
	code_free(&code);
	code = code_new(start);
	use_rules(rule(UNWIND_SP, 16), rule(UNWIND_BP, 16), END);
	walker_changed();
	other = book_new();
	assert_int_not_equal(other, site);
	assert_site(other, (const uint64_t[]){in_rule(0), in_rule(1), in_rule(2)}, 3);
}

static void test_deepest(void **state)
{
	uint32_t site;

	(void)state;
	use_rules(rule(UNWIND_SP, 64), END);
	for (size_t i = 0; i < MAX_FRAMES - 2; i++)
		stack[8 * i + 7] = in_rule(0);
	stack[8 * (MAX_FRAMES - 2) + 7] = in_rule(1);
	site = book_kept();
	assert_int_equal(tables->sites[site].frame_count, MAX_FRAMES);
	stack[8 * (MAX_FRAMES - 2) + 7]++;
	assert_int_not_equal(book_new(), site);
}

/* Walked again each time: what memos do not hold what it was decided by, and what did not come to the end. */
static void test_not_kept(void **state)
{
	const struct {
		uint64_t rule;
		enum stack_end end;
	} cases[] = {
		{rule(UNWIND_BP_DEREF, 0), STACK_COMPLETE},
		{rule(UNWIND_NONE, 0), STACK_COMPLETE},
		{rule(UNWIND_BX, 8), STACK_COMPLETE},
		{rule(UNWIND_PLT, 0), STACK_COMPLETE},
		{rule(UNWIND_UNSUPPORTED, 0), STACK_UNSUPPORTED},
		{rule(UNWIND_SP, 0), STACK_BROKEN},
	};
	enum { COUNT = sizeof(cases) / sizeof(cases[0]) };
	uint64_t rules[COUNT + 1] = {[COUNT] = END};

	(void)state;
	for (unsigned int i = 0; i < COUNT; i++)
		rules[i] = cases[i].rule;
	use_rules_(rules, COUNT + 1);
	stage.bp = word(&stack[0]);
	stage.bx = word(&stack[1]);
	stack[0] = word(&stack[2]);
	stack[1] = in_rule(COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		uint32_t site;

		stage.ip = in_rule(i);
		site = book_new();
		book_nothing();
		assert_int_equal(book_new(), site);
		assert_int_equal(tables->sites[site].stack_end, cases[i].end);
	}
}

/* Words up to half a MiB above the stack pointer can be noted. */
static void test_far_word(void **state)
{
	uint32_t site;

	(void)state;
	use_rules(rule(UNWIND_SP, 1 << 19), rule(UNWIND_SP, (1 << 19) + 8), END);
	stack[(1 << 16) - 1] = stack[1 << 16] = in_rule(2);
	site = book_kept();
	stack[(1 << 16) - 1]++;
	assert_int_not_equal(book_new(), site);
	/* Nor is another word taken for one that lies too far. */
	stage.ip = in_rule(1);
	stack[0] = in_rule(2);
	book_nothing();
	site = book_new();
	book_nothing();
	assert_int_equal(book_new(), site);
}

/* Another stack whose hash is the same: it is not taken for the one that has the site. */
static void test_collision(void **state)
{
	struct lost before, after;
	const struct walked *walked;
	uint32_t site, without_stack;

	(void)state;
	use_stack_rules();
	site = book_stack();
	put_stack();
	book_nothing();
	tables->sites[site].check ^= 1;
	before = walker_lost();
	walked = book(DOMAIN_HEAP);
	after = walker_lost();
	assert_false(walked->recalled);
	without_stack = tables->max_stacks + tables->sites[site].process * DOMAINS + DOMAIN_HEAP;
	assert_int_equal(walked->site, without_stack);
	assert_int_equal(after.collisions, before.collisions + 1);
	assert_int_equal(after.stacks, before.stacks + 1);
	/* It is no one stack's site, so no memo leads there. */
	assert_false(book(DOMAIN_HEAP)->recalled);
	assert_int_equal(walker_lost().collisions, before.collisions + 2);
}

int memos_tests(void)
{
	const struct CMUnitTest tests[] = {
		scene_test(test_same_stack),
		scene_test(test_other_return_address),
		scene_test(test_other_first_address),
		scene_test(test_many_first_addresses),
		scene_test(test_other_bp),
		scene_test(test_other_saved_bp),
		scene_test(test_bp_that_leads_to_bp),
		scene_test(test_bp_that_does_not_matter),
		scene_test(test_other_place),
		scene_test(test_other_domain),
		scene_test(test_code_changed),
		scene_test(test_deepest),
		scene_test(test_not_kept),
		scene_test(test_far_word),
		scene_test(test_collision),
	};

	return cmocka_run_group_tests_name("memos", tests, NULL, NULL);
}
