// SPDX-License-Identifier: GPL-2.0-or-later
/* libdw's view of call frame information beside ours: it reads and interprets it with code of its own. */
#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>
#include <sys/auxv.h>

#include "unwind_check.h"

/* What libdw has to say of a register: the same in our words. */
static enum unwind_saved oracle_saved(Dwarf_Frame *frame, int number, int64_t *offset)
{
	Dwarf_Op memory[3], *ops;
	size_t count;

	*offset = 0;
	assert_int_equal(dwarf_frame_register(frame, number, memory, &ops, &count), 0);
	/* It takes rbx, when nothing is said of it, for lost; the ABI keeps it. */
	if (!count)
		return ops && number != 3 ? SAVED_UNKNOWN : SAVED_NOT;
	if (ops[0].atom != DW_OP_call_frame_cfa || count > 2)
		return SAVED_UNKNOWN;
	if (count == 1)
		return SAVED_AT_CFA;
	*offset = (int64_t)ops[1].number;
	if (ops[1].atom == DW_OP_plus_uconst)
		return SAVED_AT_CFA;
	if (ops[1].atom == DW_OP_breg6)
		return SAVED_AT_BP;
	*offset = 0;
	return SAVED_UNKNOWN;
}

static uint64_t oracle_cfa(const Dwarf_Op *ops, size_t count, bool signal)
{
	static const uint8_t plt[] = {DW_OP_breg7, DW_OP_breg16, DW_OP_lit15, DW_OP_and, 0, DW_OP_ge,
		DW_OP_lit3, DW_OP_shl, DW_OP_plus};

	if (count == 1 && ops[0].atom == DW_OP_bregx)
		switch (ops[0].number) {
		case 3:
			return plain(UNWIND_BX, (int64_t)ops[0].number2);
		case 6:
			return plain(UNWIND_BP, (int64_t)ops[0].number2);
		case 7:
			return plain(UNWIND_SP, (int64_t)ops[0].number2);
		default:
			return plain(UNWIND_UNSUPPORTED, 0);
		}
	if (count == 1 && ops[0].atom == DW_OP_breg7)
		return plain(UNWIND_SP, (int64_t)ops[0].number);
	if (count == 1 && ops[0].atom == DW_OP_breg6)
		return plain(UNWIND_BP, (int64_t)ops[0].number);
	if (count == 1 && ops[0].atom == DW_OP_breg3)
		return plain(UNWIND_BX, (int64_t)ops[0].number);
	if (count == 2 && ops[0].atom == DW_OP_breg6 && ops[1].atom == DW_OP_deref)
		return plain(UNWIND_BP_DEREF, (int64_t)ops[0].number);
	if (signal && count == 2 && ops[0].atom == DW_OP_breg7 && ops[0].number == 160 &&
		ops[1].atom == DW_OP_deref)
		return plain(UNWIND_SIGNAL, 0);
	if (count != sizeof(plt))
		return plain(UNWIND_UNSUPPORTED, 0);
	for (size_t i = 0; i < count; i++)
		if (ops[i].atom != plt[i] && i != 4)
			return plain(UNWIND_UNSUPPORTED, 0);
	return plain(UNWIND_PLT, (ops[4].atom - DW_OP_lit0) * 8);
}

/* @return the rule that libdw's view of a frame comes to; what it means in memory is left to others */
static uint64_t oracle_rule(Dwarf_Frame *frame, Dwarf_Addr *end)
{
	int64_t bp_offset, bx_offset, back_offset;
	Dwarf_Op memory[3], *ops;
	enum unwind_saved bp, bx;
	Dwarf_Addr start;
	uint64_t rule;
	size_t count;
	bool signal;
	int back;

	back = dwarf_frame_info(frame, &start, end, &signal);
	assert_int_equal(back, 16);
	assert_int_equal(dwarf_frame_register(frame, back, memory, &ops, &count), 0);
	if (!count && ops)
		return plain(UNWIND_END, 0);
	assert_int_equal(dwarf_frame_cfa(frame, &ops, &count), 0);
	rule = oracle_cfa(ops, count, signal);
	if (unwind_rule_kind(rule) == UNWIND_SIGNAL || unwind_rule_kind(rule) == UNWIND_UNSUPPORTED)
		return rule;
	if (oracle_saved(frame, back, &back_offset) != SAVED_AT_CFA || back_offset != -8)
		return plain(UNWIND_UNSUPPORTED, 0);
	bp = oracle_saved(frame, 6, &bp_offset);
	bx = oracle_saved(frame, 3, &bx_offset);
	return unwind_rule(unwind_rule_kind(rule), unwind_rule_offset(rule), bp, bp_offset, bx, bx_offset);
}

/* Compare every stretch of code that libdw knows a frame for with our rows, and every byte that it does not.
 */
static size_t compare_segment(
	struct elf_file *file, const struct unwind_rows *rows, Dwarf_CFI *cfi, uint64_t address, uint64_t end)
{
	size_t frames = 0;

	while (address < end) {
		Dwarf_Frame *frame = NULL;
		Dwarf_Addr until = address + 1;
		uint64_t expected = 0;

		if (dwarf_cfi_addrframe(cfi, address, &frame) == 0) {
			expected = oracle_rule(frame, &until);
			free(frame);
			frames++;
		}
		assert_true(until > address);
		if (rule_at(file, rows, address) != expected || rule_at(file, rows, until - 1) != expected)
			fail_msg("%s: %llx: rules %llx, %llx; libdw: %llx", elf_file_path(file),
				(unsigned long long)address, (unsigned long long)rule_at(file, rows, address),
				(unsigned long long)rule_at(file, rows, until - 1),
				(unsigned long long)expected);
		address = until;
	}
	return frames;
}

static void compare_with_libdw(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct elf_file *file = open_elf(path, "");
	struct unwind_rows rows;
	size_t frames = 0, count;
	Dwarf_CFI *cfi;
	Elf *elf;

	build_rows(file, &rows);
	assert_true(fd >= 0 && elf_version(EV_CURRENT) != EV_NONE);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	cfi = dwarf_getcfi_elf(elf);
	assert_non_null(cfi);
	assert_int_equal(elf_getphdrnum(elf, &count), 0);
	for (size_t i = 0; i < count; i++) {
		const Elf64_Phdr *segment = elf64_getphdr(elf) + i;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X)
			frames += compare_segment(
				file, &rows, cfi, segment->p_vaddr, segment->p_vaddr + segment->p_filesz);
	}
	print_message(
		"%s: %zu frames, %zu rows, %zu rules\n", path, frames, rows.rows.count, rows.rules.count);
	assert_true(frames >= rows.rows.count / 2);
	dwarf_cfi_end(cfi);
	elf_end(elf);
	unwind_rows_free(&rows);
	elf_file_close(file);
}

/* @return the path of one of the compiler's libraries, to be freed */
static char *library(const char *name)
{
	char path[4096] = "";
	FILE *output;

	run_command("gcc -print-file-name=%s >library", name);
	output = fopen("library", "re");
	assert_non_null(output);
	assert_non_null(fgets(path, sizeof(path), output));
	fclose(output);
	path[strcspn(path, "\n")] = '\0';
	return strdup(path);
}

static void test_agrees_with_libdw(void **state)
{
	static const char *const names[] = {"libc.so.6", "libstdc++.so.6", "ld-linux-x86-64.so.2"};

	(void)state;
	compare_with_libdw("/proc/self/exe");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *path = library(names[i]);

		if (*path == '/')
			compare_with_libdw(path);
	}
}

static void test_signal_trampoline_of_libc(void **state)
{
	static const unsigned char sigreturn[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5};
	_cleanup_free_ char *path = library("libc.so.6");
	_cleanup_free_ unsigned char *bytes = NULL;
	struct unwind_rows rows;
	struct elf_file *file;
	size_t size, found = 0;

	(void)state;
	file = open_elf(path, "");
	bytes = read_file(path, &size);
	build_rows(file, &rows);
	for (size_t i = 0; i < rows.rows.count; i++) {
		const struct unwind_row *row = &rows.rows.items[i];

		if (unwind_rule_kind(rows.rules.items[row->rule]) != UNWIND_SIGNAL)
			continue;
		/* The description begins a byte before the code: return addresses are looked up one before.
		 */
		assert_memory_equal(bytes + row->offset + 1, sigreturn, sizeof(sigreturn));
		found++;
	}
	assert_int_equal(found, 1);
	unwind_rows_free(&rows);
	elf_file_close(file);
}

static void test_vdso(void **state)
{
	const Elf64_Ehdr *image = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	struct unwind_rows rows, file_rows;
	struct elf_file *file;
	struct error err = {0};
	size_t size;

	(void)state;
	if (!image) {
		skip();
		return;
	}
	size = image->e_shoff + (size_t)image->e_shnum * image->e_shentsize;
	if (unwind_rows_build_image(image, size, &rows, &err))
		fail_msg("%s", err.message);
	assert_true(rows.rows.count > 5);
	write_file("vdso.so", image, size);
	file = open_elf("vdso.so", "");
	build_rows(file, &file_rows);
	assert_same_rows(&rows, &file_rows);
	assert_int_equal(rule_at(file, &rows, address_of(file, "__vdso_gettimeofday")), plain(UNWIND_SP, 8));
	compare_with_libdw("vdso.so");
	unwind_rows_free(&rows);
	unwind_rows_free(&file_rows);
	elf_file_close(file);
	assert_int_equal(unwind_rows_build_image("nothing", 7, &rows, &err), -1);
	assert_int_equal(err.code, ERROR_INPUT);
	unwind_rows_free(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agrees_with_libdw),
		cmocka_unit_test(test_signal_trampoline_of_libc),
		cmocka_unit_test(test_vdso),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
