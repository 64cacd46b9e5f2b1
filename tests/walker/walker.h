/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walker: does the walk in the kernel follow each kind of rule, to the word? It is apart from the making of
 * rules: every one is written by hand, and so are the stacks, the registers and the code, which is a file
 * that no compiler has seen, mapped executable. The program traces itself.
 *
 *	stage.S		sets the registers and comes by the probe
 *	scene.c		what a test begins with: code with rules, a stack, registers; and running the walk
 *	rules.c		tests: kinds of rules, saved registers
 *	ends.c		tests: why walks end, the edges of the stack's memory
 *	rows.c		tests: files, their rows, the cache of rules
 *	memos.c		tests: recognizing stacks, sites
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "bpf/types.h"
#include "bpf/unwind_rule.h"
#include "probe/tracer.h"
#include "tests/walker/walked.h"

/* The registers that a walk begins with. stage.S knows the layout. */
struct stage {
	uint64_t ip; /* in rax */
	uint64_t sp, bp, bx;
	uint64_t target; /* where to go with them */
	uint64_t arguments[3];
};

void walker_stage(const struct stage *stage);
void walker_probed(void);
void walker_handler(void);
void walker_changed(void);

/* Code: a file of its own, mapped. */
#define CODE_SIZE   65536 /* bytes, of the mapping and of the file behind CODE_OFFSET */
#define CODE_OFFSET 8192  /* of the mapping, in the file */
#define RULE_SIZE   256	  /* bytes of code that each rule of use_rules() is for */

struct code {
	int fd;
	uint64_t start; /* address */
	uint32_t file;	/* in the table of files; nothing is known of its rows */
};

/** Map code that is in no file yet. @param where  the address, of another code; 0: anywhere */
struct code code_new(uint64_t where);
void code_free(struct code *code);

/** Give code rows. @param rows  their offsets are in the mapping, ascending; `rule` is an index into `rules`
 */
void code_give_rows(const struct code *code, const struct unwind_row *rows, size_t row_count,
	const uint64_t *rules, size_t rule_count);

/** Put machine code there. */
void code_write(const struct code *code, uint64_t offset, const void *bytes, size_t size);

/* What every test begins with. The rules of `code` are not known yet; `stack` has garbage in all words. */
extern struct code code;
extern struct stage stage; /* ip: in_rule(0), sp: stack; garbage in bp and bx */
extern uint64_t *stack;	   /* in the middle of mapped memory, with more than STACK_REACH above it */
extern uint64_t *stack_start, *stack_end; /* of that memory; around it nothing is mapped */
extern struct tracer *tracer;
extern const struct tracer_tables *tables;

#define GARBAGE 0x6a09e667f3bcc908ULL /* no address */

/** Let the i-th of these rules be that of the i-th RULE_SIZE bytes of `code`. */
#define use_rules(...)                                                                                       \
	use_rules_((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8)
void use_rules_(const uint64_t *rules, size_t count);

/** @return an address for which the i-th rule holds */
uint64_t in_rule(unsigned int i);

/** @return a rule with both registers unchanged */
uint64_t rule(enum unwind_kind kind, int64_t offset);

/** @return a rule with rbx unchanged */
uint64_t rule_bp(enum unwind_kind kind, int64_t offset, enum unwind_saved bp, int64_t bp_offset);

#define END rule(UNWIND_END, 0)

/** @return an address as a word */
static inline uint64_t word(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

/** Walk from the registers on stage. @return what came of it, valid until the next walk */
const struct walked *walk(void);

/** Walk, and check why it ended and which frames it found. */
#define assert_walk(end, ...)                                                                                \
	assert_walk_((end), (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8,    \
		__FILE__, __LINE__)
void assert_walk_(enum stack_end end, const uint64_t *frames, size_t count, const char *file, int line);

/** Find the site of the stack on stage. @return what came of it, valid until the next walk */
const struct walked *book(enum domain domain);

/**
 * Change what the cache of rules holds for an address.
 *
 * @param address     at which a rule was looked up: one before a return address
 * @param key_change  bits of the key to flip, above the address's
 * @param change      bits to flip of the rule and, above UNWIND_RULE_BITS, of its check
 */
void cache_change(uint64_t address, uint64_t key_change, uint64_t change);

/** @return what the kernel side has lost so far */
struct lost walker_lost(void);

/** Load and place the programs. @return 0, or -1 */
int scene_open(struct error *err);
void scene_close(void);

/* Before and after each test. */
int scene_begin(void **state);
int scene_end(void **state);

/* The tests. @return how many failed */
int rules_tests(void);
int ends_tests(void);
int rows_tests(void);
int memos_tests(void);

#define scene_test(function) cmocka_unit_test_setup_teardown(function, scene_begin, scene_end)
