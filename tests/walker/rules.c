// SPDX-License-Identifier: GPL-2.0-or-later
/* Each kind of rule, and the registers it restores. */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/walker/walker.h"

#define STACK_REACH (8U << 20) /* bytes; see bpf/stack.h */
#define SA_RESTORER 0x04000000UL

static void test_sp(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_SP, 32), rule(UNWIND_SP, 1 << 20), END);
	stack[0] = in_rule(1);
	stack[1 + 3] = in_rule(2);
	stack[5 + (1 << 20) / 8 - 1] = in_rule(3);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2), in_rule(3));
	assert_false(walk()->frame_pointers);
}

static void test_bp(void **state)
{
	uint64_t framed = rule_bp(UNWIND_BP, 16, SAVED_AT_CFA, -16);

	(void)state;
	use_rules(framed, framed, rule(UNWIND_BP, 512), END);
	stage.bp = word(&stack[6]);
	stack[6] = word(&stack[20]);
	stack[7] = in_rule(1);
	stack[20] = word(&stack[30]);
	stack[21] = in_rule(2);
	stack[30 + 63] = in_rule(3);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2), in_rule(3));
	assert_false(walk()->frame_pointers);
}

static void test_bx_from_the_start(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_BX, 24), END);
	stage.bx = word(&stack[4]);
	stack[0] = in_rule(1);
	stack[6] = in_rule(2);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2));
}

/* Saved at the CFA, kept by the next frame, needed and saved at rbp, needed again. The walk begins anew when
 * it meets the first rule about rbx, and has each frame once. */
static void test_bx_restored(void **state)
{
	(void)state;
	use_rules(unwind_rule(UNWIND_SP, 16, SAVED_NOT, 0, SAVED_AT_CFA, -16), rule(UNWIND_SP, 8),
		unwind_rule(UNWIND_BX, 24, SAVED_AT_CFA, -16, SAVED_AT_BP, -8), rule(UNWIND_BX, 8), END);
	stage.bp = word(&stack[30]);
	stack[0] = word(&stack[10]);
	stack[1] = in_rule(1);
	stack[2] = in_rule(2);
	stack[12] = in_rule(3);
	stack[29] = word(&stack[40]); /* the frame's own rbp counts, not the one it restores from stack[11] */
	stack[40] = in_rule(4);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2), in_rule(3), in_rule(4));
}

static void test_bx_lost(void **state)
{
	(void)state;
	use_rules(unwind_rule(UNWIND_SP, 8, SAVED_NOT, 0, SAVED_UNKNOWN, 0), rule(UNWIND_BX, 24), END);
	stage.bx = word(&stack[4]);
	stack[0] = in_rule(1);
	stack[6] = in_rule(2);
	assert_walk(STACK_BROKEN, in_rule(0), in_rule(1));
}

/* Nothing says what the code that was passed along the frame pointer has done to rbx. */
static void test_bx_lost_behind_frame_pointer(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_NONE, 0), rule(UNWIND_BX, 24), END);
	stage.bp = word(&stack[0]);
	stage.bx = word(&stack[4]);
	stack[1] = in_rule(1);
	stack[6] = in_rule(2);
	assert_walk(STACK_BROKEN, in_rule(0), in_rule(1));
}

static void test_bp_deref(void **state)
{
	(void)state;
	use_rules(rule_bp(UNWIND_BP_DEREF, -24, SAVED_AT_BP, 0), rule(UNWIND_BP, 16), END);
	stage.bp = word(&stack[10]);
	stack[7] = word(&stack[20]); /* the CFA */
	stack[19] = in_rule(1);
	stack[10] = word(&stack[30]);
	stack[31] = in_rule(2);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2));
	stage.bp = GARBAGE;
	assert_walk(STACK_UNREADABLE, in_rule(0));
}

/* Behind `push`, 11 bytes into an entry of 16, there is a word more. */
static void test_plt(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_PLT, 11 * 8), END);
	for (unsigned int i = 0; i < 16; i++) {
		stage.ip = (in_rule(0) & ~15ULL) + i;
		stack[0] = i < 11 ? in_rule(1) : GARBAGE;
		stack[1] = i < 11 ? GARBAGE : in_rule(1);
		assert_walk(STACK_COMPLETE, stage.ip, in_rule(1));
	}
}

static void handle(int number, uint64_t restorer)
{
	struct {
		void (*handler)(void);
		uint64_t flags, restorer, mask;
	} action = {walker_handler, SA_SIGINFO | SA_RESTORER, restorer, 0};

	assert_int_equal(syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask)), 0);
}

/*
 * A signal that this thread sends itself from code of the second rule. The instruction that is interrupted is
 * the first one of the third: its address counts, not the one before it.
 *
 * @param restorer  machine code that returns from a signal, of the rule `returning`
 */
static void check_signal(uint64_t returning, const char *restorer, size_t size)
{
	static const char send[] = "\x0f\x05\x41\xff\xe4"; /* syscall; jmp *%r12 */
	struct stage usual = stage;

	use_rules(returning, rule(UNWIND_UNSUPPORTED, 0), rule_bp(UNWIND_BP, 16, SAVED_AT_CFA, -16),
		rule(UNWIND_BX, 24), rule(UNWIND_BP, 32), END);
	code_write(&code, in_rule(0) - code.start, restorer, size);
	code_write(&code, 2 * RULE_SIZE - 2, send, sizeof(send) - 1);
	handle(SIGUSR1, in_rule(0));
	stage = (struct stage){.ip = SYS_tgkill,
		.sp = word(stack),
		.bp = word(&stack[6]),
		.bx = word(&stack[10]),
		.target = code.start + 2 * RULE_SIZE - 2,
		.arguments = {(uint64_t)getpid(), (uint64_t)gettid(), SIGUSR1}};
	stack[6] = word(&stack[20]);
	stack[7] = in_rule(3);
	stack[12] = in_rule(4);
	stack[23] = in_rule(5);
	assert_walk(STACK_COMPLETE, in_rule(0), (code.start + 2 * RULE_SIZE) | FRAME_INTERRUPTED, in_rule(3),
		in_rule(4), in_rule(5));
	stage = usual;
	signal(SIGUSR1, SIG_DFL);
}

#define RESTORER_GLIBC "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05" /* mov $15, %rax; syscall */
#define RESTORER_MUSL  "\xb8\x0f\x00\x00\x00\x0f\x05"	      /* mov $15, %eax; syscall */

static void test_signal(void **state)
{
	(void)state;
	check_signal(rule(UNWIND_SIGNAL, 0), RESTORER_GLIBC, 9);
}

/* Without unwind information the trampoline is known by its code. */
static void test_signal_by_its_code(void **state)
{
	(void)state;
	check_signal(rule(UNWIND_NONE, 0), RESTORER_GLIBC, 9);
}

static void test_signal_by_its_shorter_code(void **state)
{
	(void)state;
	check_signal(rule(UNWIND_NONE, 0), RESTORER_MUSL, 7);
}

static void test_signal_unreadable(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SIGNAL, 0));
	stage.sp = word(stack_end) - 128;
	assert_walk(STACK_UNREADABLE, in_rule(0));
}

static void test_outermost(void **state)
{
	(void)state;
	use_rules(END);
	assert_walk(STACK_COMPLETE, in_rule(0));
}

/* Behind a step along the frame pointer, rsp and rbp are what they are there. */
static void test_none(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_NONE, 0), rule(UNWIND_SP, 16), rule(UNWIND_BP, 16), END);
	stage.bp = word(&stack[4]);
	stack[4] = word(&stack[20]);
	stack[5] = in_rule(1);
	stack[7] = in_rule(2);
	stack[21] = in_rule(3);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2), in_rule(3));
	assert_true(walk()->frame_pointers);
}

static void test_none_within_reach(void **state)
{
	static const uint64_t distances[] = {0, STACK_REACH};

	(void)state;
	use_rules(rule(UNWIND_NONE, 0), END);
	for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		stage.bp = stage.sp + distances[i];
		stack[distances[i] / 8 + 1] = in_rule(1);
		assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1));
	}
}

static void test_none_with_garbage(void **state)
{
	const uint64_t others[] = {stage.sp - 8, stage.sp + 4, stage.sp + STACK_REACH + 8, 1, GARBAGE, ~7ULL};

	(void)state;
	use_rules(rule(UNWIND_NONE, 0), END);
	stack[0] = stack[STACK_REACH / 8 + 2] = in_rule(1);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		stage.bp = others[i];
		assert_walk(STACK_NO_RULE, in_rule(0));
		assert_false(walk()->frame_pointers);
	}
}

static void test_none_at_the_outermost(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_NONE, 0));
	stage.bp = 0;
	assert_walk(STACK_COMPLETE, in_rule(0));
	stage.bp = word(&stack[4]);
	stack[5] = 0;
	assert_walk(STACK_COMPLETE, in_rule(0));
}

static void test_none_unreadable(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_NONE, 0));
	stage.sp = word(stack_end) - 64;
	stage.bp = word(stack_end) - 8;
	assert_walk(STACK_UNREADABLE, in_rule(0));
}

static void test_unsupported(void **state)
{
	(void)state;
	use_rules(rule(UNWIND_SP, 8), rule(UNWIND_UNSUPPORTED, 0), END);
	stage.bp = word(&stack[4]);
	stack[0] = in_rule(1);
	stack[5] = in_rule(2);
	assert_walk(STACK_UNSUPPORTED, in_rule(0), in_rule(1));
}

static void test_bp_saved_at_cfa(void **state)
{
	(void)state;
	/* As far below as can be said. */
	use_rules(rule_bp(UNWIND_SP, 2048, SAVED_AT_CFA, -1024), rule(UNWIND_BP, 16), END);
	stack[255] = in_rule(1);
	stack[128] = word(&stack[300]);
	stack[301] = in_rule(2);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2));
}

static void test_bp_saved_at_bp(void **state)
{
	(void)state;
	/* As far above as can be said. */
	use_rules(rule_bp(UNWIND_SP, 8, SAVED_AT_BP, -24), rule_bp(UNWIND_SP, 8, SAVED_AT_BP, 1016),
		rule(UNWIND_BP, 16), END);
	stage.bp = word(&stack[10]);
	stack[0] = in_rule(1);
	stack[7] = word(&stack[20]);
	stack[1] = in_rule(2);
	stack[20 + 127] = word(&stack[30]);
	stack[31] = in_rule(3);
	assert_walk(STACK_COMPLETE, in_rule(0), in_rule(1), in_rule(2), in_rule(3));
}

static void test_bp_lost(void **state)
{
	(void)state;
	use_rules(rule_bp(UNWIND_SP, 8, SAVED_UNKNOWN, 0), rule(UNWIND_BP, 16), END);
	stage.bp = word(&stack[4]);
	stack[0] = in_rule(1);
	stack[5] = in_rule(2);
	assert_walk(STACK_BROKEN, in_rule(0), in_rule(1));
}

/* A saved register that cannot be read does not matter as long as no rule needs it. */
static void test_bp_unreadable(void **state)
{
	(void)state;
	use_rules(rule_bp(UNWIND_SP, 8, SAVED_AT_BP, 0), rule(UNWIND_SP, 8), rule(UNWIND_NONE, 0));
	stack[0] = in_rule(1);
	stack[1] = in_rule(2);
	assert_walk(STACK_NO_RULE, in_rule(0), in_rule(1), in_rule(2));
}

int rules_tests(void)
{
	const struct CMUnitTest tests[] = {
		scene_test(test_sp),
		scene_test(test_bp),
		scene_test(test_bx_from_the_start),
		scene_test(test_bx_restored),
		scene_test(test_bx_lost),
		scene_test(test_bx_lost_behind_frame_pointer),
		scene_test(test_bp_deref),
		scene_test(test_plt),
		scene_test(test_signal),
		scene_test(test_signal_by_its_code),
		scene_test(test_signal_by_its_shorter_code),
		scene_test(test_signal_unreadable),
		scene_test(test_outermost),
		scene_test(test_none),
		scene_test(test_none_within_reach),
		scene_test(test_none_with_garbage),
		scene_test(test_none_at_the_outermost),
		scene_test(test_none_unreadable),
		scene_test(test_unsupported),
		scene_test(test_bp_saved_at_cfa),
		scene_test(test_bp_saved_at_bp),
		scene_test(test_bp_lost),
		scene_test(test_bp_unreadable),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
