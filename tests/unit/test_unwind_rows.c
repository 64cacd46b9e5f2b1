// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>

#include "unwind_check.h"

struct expected {
	const char *label;
	uint64_t rule;
};

/* Each label must begin its rule: the byte before it must still have the rule of the label before. */
static void check_labels(const char *name, const struct expected *expected, size_t count)
{
	struct elf_file *file = open_elf(name, "");
	struct unwind_rows rows;

	build_rows(file, &rows);
	for (size_t i = 0; i < count; i++) {
		uint64_t address = address_of(file, expected[i].label);
		uint64_t before = i ? expected[i - 1].rule : 0;

		if (rule_at(file, &rows, address) != expected[i].rule ||
			rule_at(file, &rows, address - 1) != before)
			fail_msg("%s at %s: rules %llx, %llx before it; expected %llx, %llx", name,
				expected[i].label, (unsigned long long)rule_at(file, &rows, address),
				(unsigned long long)rule_at(file, &rows, address - 1),
				(unsigned long long)expected[i].rule, (unsigned long long)before);
	}
	unwind_rows_free(&rows);
	elf_file_close(file);
}

#define CHECK_LABELS(name, expected) check_labels(name, expected, sizeof(expected) / sizeof((expected)[0]))

/* Labels are function symbols two bytes apart; directives behind one hold from it on. */
static const char label_macro[] = ".macro at name\nnop\nnop\n.globl \\name\n.type \\name,@function\n\\name:\n"
				  ".endm\n.section .note.GNU-stack,\"\"\n.text\n";

static void assemble(const char *name, const char *directives, const char *source, const char *flags)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text, "%s%s%s.text 9\nnop\nnop\n", directives, label_macro, source) > 0);
	write_text("golden.s", text);
	run_command("gcc -shared -nostdlib %s golden.s -o %s", flags, name);
}

/* A function that pushes, makes room, and returns early. */
static const char pushes[] = "at entry\n.cfi_startproc\n"
			     "at pushed_bp\n.cfi_def_cfa_offset 16\n.cfi_offset 6,-16\n"
			     "at pushed_bx\n.cfi_def_cfa_offset 24\n.cfi_offset 3,-24\n"
			     "at made_room\n.cfi_adjust_cfa_offset 1000\n.cfi_offset 12,-32\n"
			     "at early_return\n.cfi_remember_state\n.cfi_def_cfa_offset 8\n"
			     ".cfi_restore 3\n.cfi_same_value 6\n"
			     "at after_return\n.cfi_restore_state\n"
			     "at behind\n.cfi_endproc\n"
			     "at neighbour\n.cfi_startproc\n"
			     "at adjacent\n.cfi_endproc\n.cfi_startproc\n.cfi_def_cfa_offset 24\n"
			     "at end\n.cfi_endproc\n";

static const struct expected pushes_rules[] = {
	{"entry", 0x1000001}, /* the encoding itself: kind 1, offset 1 * 8 */
	{"pushed_bp", 0x2000001 | SAVED_AT_CFA << 4 | 0xfe << 6},
	{"pushed_bx", 0x3000001 | SAVED_AT_CFA << 4 | 0xfe << 6 | SAVED_AT_CFA << 14 | 0xfd << 16},
	{"made_room", 0x80000001 | SAVED_AT_CFA << 4 | 0xfe << 6 | SAVED_AT_CFA << 14 | 0xfd << 16},
	{"early_return", 0x1000001},
	{"after_return", 0x80000001 | SAVED_AT_CFA << 4 | 0xfe << 6 | SAVED_AT_CFA << 14 | 0xfd << 16},
	{"behind", 0},
	{"neighbour", 0x1000001},
	{"adjacent", 0x3000001},
	{"end", 0},
};

static void test_pushes(void **state)
{
	(void)state;
	assemble("pushes.so", "", pushes, "");
	CHECK_LABELS("pushes.so", pushes_rules);
}

static void test_rules_are_decoded_as_encoded(void **state)
{
	const int64_t offsets[] = {0, 8, -8, 1016, -1024}, cfas[] = {0, 8, -8, 8 * 0x7fffff, -8 * 0x800000LL};

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		uint64_t rule = unwind_rule(
			UNWIND_BP_DEREF, cfas[i], SAVED_AT_BP, offsets[i], SAVED_UNKNOWN, offsets[4 - i]);

		assert_int_equal(unwind_rule_kind(rule), UNWIND_BP_DEREF);
		assert_int_equal(unwind_rule_offset(rule), cfas[i]);
		assert_int_equal(unwind_rule_bp(rule), SAVED_AT_BP);
		assert_int_equal(unwind_rule_bp_offset(rule), offsets[i]);
		assert_int_equal(unwind_rule_bx(rule), SAVED_UNKNOWN);
		assert_int_equal(unwind_rule_bx_offset(rule), offsets[4 - i]);
		assert_int_equal(rule >> UNWIND_RULE_BITS, 0);
	}
}

static void test_frame_pointers_and_realigned_stacks(void **state)
{
	static const char source[] =
		"at framed\n.cfi_startproc\n"
		"at pushed\n.cfi_def_cfa_offset 16\n.cfi_offset 6,-16\n"
		"at has_frame\n.cfi_def_cfa_register 6\n"
		"at left\n.cfi_def_cfa 7,8\n"
		"at by_bx\n.cfi_def_cfa 3,56\n.cfi_offset 3,-56\n"
		"at framed_end\n.cfi_endproc\n"
		"at realigned\n.cfi_startproc\n"
		"at in_r10\n.cfi_def_cfa 10,0\n"
		"at bp_saved\n.cfi_escape 0x10,6,2,0x76,0\n"
		"at deref\n.cfi_escape 0x0f,3,0x76,0x78,6\n"			    /* *(rbp - 8) */
		"at bx_saved\n.cfi_escape 0x10,3,2,0x76,0x70\n.cfi_offset 14,-40\n" /* *(rbp - 16) */
		"at realigned_end\n.cfi_endproc\n";
	static const int64_t saved = -16;
	const struct expected rules[] = {
		{"framed", plain(UNWIND_SP, 8)},
		{"pushed", unwind_rule(UNWIND_SP, 16, SAVED_AT_CFA, saved, SAVED_NOT, 0)},
		{"has_frame", unwind_rule(UNWIND_BP, 16, SAVED_AT_CFA, saved, SAVED_NOT, 0)},
		{"left", unwind_rule(UNWIND_SP, 8, SAVED_AT_CFA, saved, SAVED_NOT, 0)},
		{"by_bx", unwind_rule(UNWIND_BX, 56, SAVED_AT_CFA, saved, SAVED_AT_CFA, -56)},
		{"framed_end", 0},
		{"realigned", plain(UNWIND_SP, 8)},
		{"in_r10", plain(UNWIND_UNSUPPORTED, 0)},
		{"deref", unwind_rule(UNWIND_BP_DEREF, -8, SAVED_AT_BP, 0, SAVED_NOT, 0)},
		{"bx_saved", unwind_rule(UNWIND_BP_DEREF, -8, SAVED_AT_BP, 0, SAVED_AT_BP, -16)},
		{"realigned_end", 0},
	};

	(void)state;
	assemble("frames.so", "", source, "");
	CHECK_LABELS("frames.so", rules);
}

static void test_what_no_rule_can_say(void **state)
{
	static const char source[] =
		"at odd\n.cfi_startproc\n.cfi_def_cfa_offset 16\n"
		"at bp_lost\n.cfi_undefined 6\n"
		"at bp_moved\n.cfi_register 6,12\n.cfi_offset 3,-16\n"
		"at bp_far\n.cfi_offset 6,-1032\n"
		"at bp_near\n.cfi_offset 6,-1024\n"
		"at bp_odd\n.cfi_offset 6,-24\n.cfi_escape 0x10,3,2,0x76,4\n"
		"at bp_value\n.cfi_restore 3\n.cfi_escape 0x16,6,2,0x76,0\n"
		"at odd_cfa\n.cfi_restore 6\n.cfi_def_cfa_offset 20\n"
		"at far_cfa\n.cfi_def_cfa_offset 0x3fffff8\n"
		"at too_far_cfa\n.cfi_def_cfa_offset 0x4000000\n"
		"at back_elsewhere\n.cfi_def_cfa_offset 16\n"
		"at back_moved\n.cfi_offset 16,-16\n"
		"at back_same\n.cfi_offset 16,-8\n"
		"at back_in_register\n.cfi_register 16,11\n"
		"at stack_saved\n.cfi_restore 16\n.cfi_offset 7,-24\n"
		"at outermost\n.cfi_undefined 16\n"
		"at malformed\n.cfi_restore 16\n.cfi_restore 7\n.cfi_escape 0x0b\n"
		"at odd_end\n.cfi_endproc\n"
		"at not_signal\n.cfi_startproc\n.cfi_escape 0x0f,4,0x77,0xa0,1,6\n"
		"at signal\n.cfi_endproc\n.cfi_startproc\n.cfi_signal_frame\n.cfi_escape "
		"0x0f,4,0x77,0xa0,1,6\n"
		"at other_signal\n.cfi_escape 0x0f,4,0x77,0xa8,1,6\n"
		"at plain_signal\n.cfi_def_cfa 7,8\n"
		"at signal_end\n.cfi_endproc\n";
	const uint64_t unsupported = plain(UNWIND_UNSUPPORTED, 0);
	const struct expected rules[] = {
		{"odd", plain(UNWIND_SP, 16)},
		{"bp_lost", unwind_rule(UNWIND_SP, 16, SAVED_UNKNOWN, 0, SAVED_NOT, 0)},
		{"bp_moved", unwind_rule(UNWIND_SP, 16, SAVED_UNKNOWN, 0, SAVED_AT_CFA, -16)},
		{"bp_near", unwind_rule(UNWIND_SP, 16, SAVED_AT_CFA, -1024, SAVED_AT_CFA, -16)},
		{"bp_odd", unwind_rule(UNWIND_SP, 16, SAVED_AT_CFA, -24, SAVED_UNKNOWN, 0)},
		{"bp_value", unwind_rule(UNWIND_SP, 16, SAVED_UNKNOWN, 0, SAVED_NOT, 0)},
		{"odd_cfa", unsupported},
		{"far_cfa", plain(UNWIND_SP, 0x3fffff8)},
		{"too_far_cfa", unsupported},
		{"back_elsewhere", plain(UNWIND_SP, 16)},
		{"back_moved", unsupported},
		{"back_same", plain(UNWIND_SP, 16)},
		{"back_in_register", unsupported},
		{"outermost", plain(UNWIND_END, 0)},
		{"malformed", unsupported},
		{"odd_end", 0},
		{"not_signal", unsupported},
		{"signal", plain(UNWIND_SIGNAL, 0)},
		{"other_signal", unsupported},
		{"plain_signal", plain(UNWIND_SP, 8)},
		{"signal_end", 0},
	};

	(void)state;
	assemble("odd.so", "", source, "");
	CHECK_LABELS("odd.so", rules);
}

/* Entries are sorted, and where they overlap the one that begins last holds, even behind its end. */
static void test_unsorted_and_overlapping_functions(void **state)
{
	static const char source[] =
		"at sooner\nat sooner_end\nat later\nat later_end\n"
		"at outer\nnop\nnop\nat inner\nnop\nnop\nat inner_end\nnop\nat outer_end\n"
		".section .eh_fram2,\"a\"\n"
		"cie: .long cie_end - . - 4, 0\n.byte 1\n.asciz \"zR\"\n"
		".byte 1, 0x78, 16, 1, 0x1b, 12, 7, 8, 0x90, 1\n.balign 4\ncie_end:\n"
		".macro fde first, last, offset\n"
		".long 20, . - cie, \\first - ., \\last - \\first, 0x000e00 + (\\offset << 16), 0\n.endm\n"
		"fde later, later_end, 48\nfde inner, inner_end, 64\nfde outer, outer_end, 16\n"
		"fde inner, outer_end, 24\nfde sooner, sooner_end, 32\n";
	const struct expected rules[] = {
		{"sooner", plain(UNWIND_SP, 32)},
		{"sooner_end", 0},
		{"later", plain(UNWIND_SP, 48)},
		{"later_end", 0},
		{"outer", plain(UNWIND_SP, 16)},
		{"inner", plain(UNWIND_SP, 64)},
		{"inner_end", 0},
		{"outer_end", 0},
	};

	(void)state;
	assemble("unsorted.so", "", source, "-Wl,-Bsymbolic");
	run_command("objcopy -R .eh_frame -R .eh_frame_hdr --rename-section .eh_fram2=.eh_frame unsorted.so "
		    "2>/dev/null");
	CHECK_LABELS("unsorted.so", rules);
}

static void test_debug_frame(void **state)
{
	static const char debug_only[] = ".cfi_sections .debug_frame\n";

	(void)state;
	assemble("debug.so", debug_only, pushes, "");
	CHECK_LABELS("debug.so", pushes_rules);
	run_command("objcopy --only-keep-debug debug.so separate.debug");
	run_command(
		"strip -o stripped.so debug.so && objcopy --add-gnu-debuglink=separate.debug stripped.so");
	run_command("! readelf -SW stripped.so | grep -q debug_frame");
	CHECK_LABELS("stripped.so", pushes_rules);
	assemble("wide.so", debug_only, pushes, "-Wl,--compress-debug-sections=zlib");
	run_command("readelf -tW wide.so | grep -A5 debug_frame | grep -q ZLIB");
	CHECK_LABELS("wide.so", pushes_rules);
}

/* What a program is linked with has .eh_frame, though the program itself has only .debug_frame. */
static void test_both_sections(void **state)
{
	static const char source[] = "int unused(int x) { return x; }\nint main(void) { return 0; }\n";
	struct elf_file *file;
	struct unwind_rows rows;

	(void)state;
	write_text("both.c", source);
	run_command("gcc -g -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -ffunction-sections "
		    "-Wl,--gc-sections,-z,noseparate-code both.c -o both");
	run_command("readelf -SW both | grep -q eh_frame && readelf -SW both | grep -q debug_frame");
	file = open_elf("both", "");
	build_rows(file, &rows);
	assert_int_equal(rule_at(file, &rows, address_of(file, "main")), plain(UNWIND_SP, 8));
	/* The linker left the entry of the function that it threw away, with address 0. */
	assert_int_equal(find_function(file, "unused", NULL), 0);
	assert_int_equal(unwind_rows_find(&rows, 0), 0);
	assert_int_equal(rule_at(file, &rows, address_of(file, "_start")), plain(UNWIND_END, 0));
	unwind_rows_free(&rows);
	elf_file_close(file);
}

static void test_without_section_headers(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	struct unwind_rows rows, stripped_rows;
	struct elf_file *file, *stripped;
	Elf64_Ehdr *header;
	size_t size;

	(void)state;
	write_text("headers.c", "int twice(int x) { return 2 * x; }\nint main(void) { return twice(3); }\n");
	run_command("gcc -O2 headers.c -o headers");
	bytes = read_file("headers", &size);
	header = (Elf64_Ehdr *)bytes;
	header->e_shoff = header->e_shnum = header->e_shstrndx = 0;
	write_file("headless", bytes, size);
	file = open_elf("headers", "");
	stripped = open_elf("headless", "");
	build_rows(file, &rows);
	build_rows(stripped, &stripped_rows);
	assert_true(rows.rows.count > 5);
	assert_same_rows(&rows, &stripped_rows);
	unwind_rows_free(&rows);
	unwind_rows_free(&stripped_rows);
	elf_file_close(file);
	elf_file_close(stripped);
}

static void test_without_any(void **state)
{
	struct elf_file *file;
	struct unwind_rows rows;

	(void)state;
	assemble("none.so", "", "at lonely\n", "");
	run_command("objcopy -R .eh_frame -R .eh_frame_hdr none.so 2>/dev/null");
	file = open_elf("none.so", "");
	build_rows(file, &rows);
	assert_int_equal(rows.rows.count, 0);
	assert_int_equal(unwind_rows_find(&rows, 4096), 0);
	unwind_rows_free(&rows);
	elf_file_close(file);
}

/* Programs of several linkers: their PLT's entries and what starts them. */
static void test_plt_and_start(void **state)
{
	static const char source[] =
		"#include <stdlib.h>\n"
		"__attribute__((noreturn, noinline)) void die(void) { abort(); }\n"
		"int main(int argc, char **argv) { if (argc > 9) die(); return atoi(argv[0]); }\n";
	static const struct {
		const char *linker, *flags;
		int64_t boundary; /* -1: it does not describe its PLT */
	} linkers[] = {{"ld.bfd", "-fuse-ld=bfd -fcf-protection=none", 11}, {"ld.gold", "-fuse-ld=gold", 11},
		{"ld.bfd", "-fuse-ld=bfd -Wl,-z,ibtplt", 9}, {"ld.lld", "-fuse-ld=lld", -1}};

	(void)state;
	write_text("plt.c", source);
	for (size_t i = 0; i < sizeof(linkers) / sizeof(linkers[0]); i++) {
		uint64_t expected = plain(UNWIND_PLT, linkers[i].boundary * 8);
		struct elf_symbol die = {0};
		struct unwind_rows rows;
		struct elf_file *file;
		bool found = false;

		if (!have(linkers[i].linker))
			continue;
		run_command("gcc -O2 -Wl,-z,lazy %s plt.c -o plt", linkers[i].flags);
		file = open_elf("plt", "");
		build_rows(file, &rows);
		for (size_t j = 0; j < rows.rules.count; j++)
			found |= rows.rules.items[j] == expected;
		assert_int_equal(found, linkers[i].boundary >= 0);
		assert_int_equal(rule_at(file, &rows, address_of(file, "_start")), plain(UNWIND_END, 0));
		/* A return address behind a call that does not return is still looked up one byte before. */
		assert_true(find_function(file, "die", &die));
		assert_int_equal(rule_at(file, &rows, die.address), plain(UNWIND_SP, 8));
		assert_int_equal(
			unwind_rule_kind(rule_at(file, &rows, die.address + die.size - 1)), UNWIND_SP);
		unwind_rows_free(&rows);
		elf_file_close(file);
	}
}

/* .sframe as the assembler makes it (version 1 in binutils 2.40), and one of version 2 by hand. */
static void test_sframe(void **state)
{
	static const char frames[] = "at entry\n.cfi_startproc\n"
				     "at pushed\n.cfi_def_cfa_offset 16\n.cfi_offset 6,-16\n"
				     "at framed\n.cfi_def_cfa_register 6\n"
				     "at left\n.cfi_def_cfa 7,8\n.cfi_restore 6\n"
				     "at behind\n.cfi_endproc\n";
	static const char by_hand[] =
		"at plt\n.fill 62,1,0x90\n"
		"at entry\nat pushed\nat framed\nat left\nat behind\n"
		".section .sfram2,\"a\"\nstart: .short 0xdee2\n.byte 2, 5, 3, 0, -8, 0\n"
		".long 2, 6, 29, 0, 40\nfirst: .long plt - first, 64, 0, 2\n.byte 16, 16, 0, 0\n"
		"second: .long entry - second, behind - entry, 6, 4\n.byte 1, 0, 0, 0\n"
		".byte 0, 3, 8, 11, 3, 16\n"
		".short 0\n.byte 3, 8\n.short 2\n.byte 5, 16, -16\n"
		".short 4\n.byte 0x24\n.short 16, -16\n.short 6\n.byte 0x43\n.long 8\n";
	const struct expected rules[] = {
		{"entry", unwind_rule(UNWIND_SP, 8, SAVED_NOT, 0, SAVED_UNKNOWN, 0)},
		{"pushed", unwind_rule(UNWIND_SP, 16, SAVED_AT_CFA, -16, SAVED_UNKNOWN, 0)},
		{"framed", unwind_rule(UNWIND_BP, 16, SAVED_AT_CFA, -16, SAVED_UNKNOWN, 0)},
		{"left", unwind_rule(UNWIND_SP, 8, SAVED_NOT, 0, SAVED_UNKNOWN, 0)},
		{"behind", 0},
	};

	struct elf_file *file;
	struct unwind_rows rows;

	(void)state;
	if (try_command("as --gsframe /dev/null -o sframe.o 2>/dev/null")) {
		assemble("sframe.so", "", frames, "-Wa,--gsframe");
		run_command("objcopy -R .eh_frame -R .eh_frame_hdr sframe.so");
		CHECK_LABELS("sframe.so", rules);
	}
	assemble("sframe2.so", "", by_hand, "-Wl,-Bsymbolic");
	run_command("objcopy --rename-section .sfram2=.sframe sframe2.so");
	file = open_elf("sframe2.so", "");
	build_rows(file, &rows);
	assert_int_equal(rule_at(file, &rows, address_of(file, "plt")),
		unwind_rule(UNWIND_PLT, 88, SAVED_NOT, 0, SAVED_UNKNOWN, 0));
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		assert_int_equal(rule_at(file, &rows, address_of(file, rules[i].label)), rules[i].rule);
	unwind_rows_free(&rows);
	elf_file_close(file);
}

/* Lengths and places that lead out of the section, or the file. */
static void test_corrupt_frames_are_refused(void **state)
{
	static const char *const sources[] = {
		".section .eh_fram2,\"a\"\n.long 1000, 0\n",
		".section .eh_fram2,\"a\"\n.long 2\n.short 0\n",
		".section .eh_fram2,\"a\"\n.long -1\n.quad -1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct error err = {0};
		struct unwind_rows rows;
		struct elf_file *file;

		assemble("corrupt.so", "", sources[i], "");
		run_command("objcopy -R .eh_frame --rename-section .eh_fram2=.eh_frame corrupt.so");
		file = open_elf("corrupt.so", "");
		assert_int_equal(unwind_rows_build(file, &rows, &err), -1);
		assert_int_equal(err.code, ERROR_INPUT);
		unwind_rows_free(&rows);
		elf_file_close(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_are_decoded_as_encoded),
		cmocka_unit_test(test_pushes),
		cmocka_unit_test(test_frame_pointers_and_realigned_stacks),
		cmocka_unit_test(test_what_no_rule_can_say),
		cmocka_unit_test(test_unsorted_and_overlapping_functions),
		cmocka_unit_test(test_debug_frame),
		cmocka_unit_test(test_both_sections),
		cmocka_unit_test(test_without_section_headers),
		cmocka_unit_test(test_without_any),
		cmocka_unit_test(test_plt_and_start),
		cmocka_unit_test(test_sframe),
		cmocka_unit_test(test_corrupt_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
