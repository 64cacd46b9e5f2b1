// SPDX-License-Identifier: GPL-2.0-or-later
/* Probe sites of real and made-up prologues (tests/fixtures/prologues/), and the search for calls in code. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "probe/site.h"

enum column { PACKAGE, FUNCTION, ARGUMENTS, NULLS, OFFSET, COST, INSTRUCTION, CODE, COLUMNS };

static char *trim(char *text)
{
	size_t length;

	while (isspace((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	return text;
}

static size_t parse_hex(const char *text, uint8_t *bytes, size_t capacity)
{
	size_t count = 0;

	for (; text[0] && text[1] && count < capacity; text += 2)
		assert_int_equal(sscanf(text, "%2hhx", &bytes[count++]), 1);
	return count;
}

/* Choose the site of one line of a table. @return whether it is the expected one; says so when it is not */
static bool check_line(char *line)
{
	char *columns[COLUMNS] = {NULL}, *rest = line;
	struct probe_site site;
	_cleanup_free_ uint8_t *exact = NULL;
	uint8_t code[256];
	size_t size;

	for (int i = 0; i < COLUMNS; i++) {
		char *column = strsep(&rest, "|");

		assert_non_null(column);
		columns[i] = trim(column);
	}
	size = parse_hex(columns[CODE], code, sizeof(code));
	exact = malloc(size ? size : 1); /* so that a read behind the code is seen by AddressSanitizer */
	assert_non_null(exact);
	memcpy(exact, code, size);

	memset(&site, 0xff, sizeof(site));
	probe_site_choose(exact, size, (unsigned int)strtoul(columns[ARGUMENTS], NULL, 10),
		strcmp(columns[NULLS], "skip-null") == 0, &site);
	if (site.offset == strtoul(columns[OFFSET], NULL, 10) &&
		site.emulated == (strcmp(columns[COST], "emulated") == 0) &&
		strcmp(site.instruction, columns[INSTRUCTION]) == 0)
		return true;
	print_error("%s %s: chosen +%u %s %s, expected +%s %s %s\n", columns[PACKAGE], columns[FUNCTION],
		site.offset, site.emulated ? "emulated" : "stepped", site.instruction, columns[OFFSET],
		columns[COST], columns[INSTRUCTION]);
	return false;
}

static void check_table(const char *path, size_t least)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0, rows = 0, wrong = 0;

	if (!file)
		fail_msg("%s cannot be opened: tests run from the top of the source tree", path);
	while (getline(&line, &capacity, file) > 0) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		rows++;
		wrong += !check_line(line);
	}
	assert_true(rows >= least);
	assert_int_equal(wrong, 0);
}

static void test_distributed_prologues(void **state)
{
	(void)state;
	check_table("tests/fixtures/prologues/distributions.txt", 150);
}

static void test_made_up_prologues(void **state)
{
	(void)state;
	check_table("tests/fixtures/prologues/made-up.txt", 80);
}

static void test_null_code_pointer_of_size_zero(void **state)
{
	struct probe_site site;
	uint64_t target = 0;

	(void)state;
	memset(&site, 0xff, sizeof(site));
	probe_site_choose(NULL, 0, 1, true, &site);
	assert_int_equal(site.offset, 0);
	assert_false(site.emulated);
	assert_string_equal(site.instruction, "");
	assert_false(code_calls_any(NULL, 0, 0, &target, 1));
	assert_false(code_always_calls(NULL, 0, 0, &target, 1));
}

#define HERE   0x401000ULL
#define MALLOC 0x401100ULL /* 0x100 behind */
#define CALLOC 0x401200ULL
#define OTHER  0x401300ULL

/* rel32 of a call or jump to `to` whose next instruction is at `HERE + behind` */
#define REL32(to, behind)                                                                                    \
	(uint8_t)((to)-HERE - (behind)), (uint8_t)(((to)-HERE - (behind)) >> 8),                             \
		(uint8_t)(((to)-HERE - (behind)) >> 16), (uint8_t)(((to)-HERE - (behind)) >> 24)

struct calls {
	const char *name;
	bool any, always;
	size_t size;
	uint8_t code[48];
};

static const struct calls calls[] = {
	{"a wrapper", true, true, 8, {0x53, 0xe8, REL32(MALLOC, 6), 0x5b, 0xc3}},
	{"a tail jump", true, true, 5, {0xe9, REL32(MALLOC, 5)}},
	{"a tail jump behind endbr64", true, true, 9, {0xf3, 0x0f, 0x1e, 0xfa, 0xe9, REL32(CALLOC, 9)}},
	{"a call of another function", false, false, 6, {0xe8, REL32(OTHER, 5), 0xc3}},
	{"a call near a target", false, false, 6, {0xe8, REL32(MALLOC + 1, 5), 0xc3}},
	{"another function, then a target", true, true, 11,
		{0xe8, REL32(OTHER, 5), 0xe8, REL32(MALLOC, 10), 0xc3}},
	/* test %rdi,%rdi; je slow; ret; slow: call malloc; ret */
	{"a fast path of its own", true, false, 12,
		{0x48, 0x85, 0xff, 0x74, 0x01, 0xc3, 0xe8, REL32(MALLOC, 11), 0xc3}},
	/* test %rdi,%rdi; jne slow; call malloc; ret; slow: jmp calloc */
	{"two ways to two targets", true, true, 16,
		{0x48, 0x85, 0xff, 0x75, 0x06, 0xe8, REL32(MALLOC, 10), 0xc3, 0xe9, REL32(CALLOC, 16)}},
	/* test %rdi,%rdi; jne malloc; call calloc; ret */
	{"a conditional tail jump", true, true, 15,
		{0x48, 0x85, 0xff, 0x0f, 0x85, REL32(MALLOC, 9), 0xe8, REL32(CALLOC, 14), 0xc3}},
	{"a conditional tail jump and a way past it", true, false, 10,
		{0x48, 0x85, 0xff, 0x0f, 0x85, REL32(MALLOC, 9), 0xc3}},
	/* operator new: again: call malloc; test %rax,%rax; je handler; ret; handler: call other; jmp again
	 */
	{"a loop around the target", true, true, 18,
		{0xe8, REL32(MALLOC, 5), 0x48, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0xe8, REL32(OTHER, 16), 0xeb,
			0xee}},
	/* test %rdi,%rdi; je fail; call malloc; ret; fail: call other, which does not return */
	{"a call that does not return at the end", true, true, 16,
		{0x48, 0x85, 0xff, 0x74, 0x06, 0xe8, REL32(MALLOC, 10), 0xc3, 0xe8, REL32(OTHER, 16)}},
	/* the same with ud2 */
	{"a trap at the end", true, true, 13,
		{0x48, 0x85, 0xff, 0x74, 0x06, 0xe8, REL32(MALLOC, 10), 0xc3, 0x0f, 0x0b}},
	{"a jump out of the code", true, false, 15,
		{0x48, 0x85, 0xff, 0x0f, 0x84, REL32(OTHER, 9), 0xe8, REL32(MALLOC, 14), 0xc3}},
	{"an indirect jump", true, false, 12,
		{0x48, 0x85, 0xff, 0x74, 0x02, 0xff, 0xe0, 0xe9, REL32(MALLOC, 12)}},
	{"an indirect call first", true, true, 8, {0xff, 0xd0, 0xe8, REL32(MALLOC, 7), 0xc3}},
	{"an endless loop", false, false, 2, {0xeb, 0xfe}},
	{"an endless loop before a target", true, false, 7, {0xeb, 0xfe, 0xe9, REL32(MALLOC, 7)}},
	{"undecodable code before a target", true, false, 6, {0x06, 0xe9, REL32(MALLOC, 6)}},
	{"a call cut off", false, false, 4, {0xe8, 0xfb, 0x00, 0x00}},
	{"a branch cut off", false, false, 8, {0x48, 0x85, 0xff, 0x0f, 0x85, REL32(MALLOC, 9)}},
	{"a fall out of the code", true, false, 9, {0x48, 0x85, 0xff, 0x0f, 0x85, REL32(MALLOC, 9)}},
};

static void test_calls(void **state)
{
	static const uint64_t targets[] = {MALLOC, CALLOC};
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const struct calls *c = &calls[i];

		if (code_calls_any(c->code, c->size, HERE, targets, 2) != c->any) {
			print_error("%s: code_calls_any() is wrong\n", c->name);
			wrong++;
		}
		if (code_always_calls(c->code, c->size, HERE, targets, 2) != c->always) {
			print_error("%s: code_always_calls() is wrong\n", c->name);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* Addresses wrap around, and the call's own address counts, not only the distance. */
static void test_calls_at_the_end_of_the_address_space(void **state)
{
	static const uint8_t code[] = {0xe8, 0x0b, 0x00, 0x00, 0x00, 0xc3}; /* call .+0x10 */
	static const uint64_t low[] = {0x8}, high[] = {UINT64_MAX - 7};

	(void)state;
	assert_true(code_calls_any(code, sizeof(code), UINT64_MAX - 7, low, 1));
	assert_true(code_always_calls(code, sizeof(code), UINT64_MAX - 7, low, 1));
	assert_false(code_calls_any(code, sizeof(code), UINT64_MAX - 8, low, 1));
	assert_true(code_calls_any(code, sizeof(code), UINT64_MAX - 23, high, 1));
	assert_false(code_calls_any(code, sizeof(code), UINT64_MAX - 7, NULL, 0));
	assert_false(code_always_calls(code, sizeof(code), UINT64_MAX - 7, NULL, 0));
}

/* More branches than code_always_calls() follows at once: it must not be certain, nor write out of its
 * bounds. */
static void test_calls_behind_many_branches(void **state)
{
	const size_t branches = 1000;
	uint8_t code[2005];
	uint64_t target = HERE + sizeof(code) + 16;

	(void)state;
	for (size_t i = 0; i < branches; i++) {
		code[2 * i] = 0x74; /* je .+4: the next branch but one */
		code[2 * i + 1] = 0x02;
	}
	memcpy(&code[branches * 2], (const uint8_t[]){0xe9, 0x10, 0x00, 0x00, 0x00}, 5);
	assert_true(code_calls_any(code, sizeof(code), HERE, &target, 1));
	assert_false(code_always_calls(code, sizeof(code), HERE, &target, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distributed_prologues),
		cmocka_unit_test(test_made_up_prologues),
		cmocka_unit_test(test_null_code_pointer_of_size_zero),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_calls_at_the_end_of_the_address_space),
		cmocka_unit_test(test_calls_behind_many_branches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
