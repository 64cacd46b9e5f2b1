// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "compile.h"
#include "elf/symbolize.h"

static const char program[] = "static __attribute__((noinline)) int hidden(int x) { return x * 7; }\n"
			      "__attribute__((noinline)) int visible(int x) { return hidden(x) + 1; }\n"
			      "int main(int argc, char **argv) { (void)argv; return visible(argc); }\n";

static void test_reads_its_own_code(void **state)
{
	struct elf_file *file = open_elf("/proc/self/exe", "");
	unsigned char code[32];
	struct elf_symbol found;
	size_t size;

	(void)state;
	assert_string_equal(elf_file_path(file), "/proc/self/exe");
	assert_non_null(elf_file_build_id(file, &size));
	assert_int_equal(size, 20);
	assert_true(find_function(file, "test_reads_its_own_code", &found) >= 1);
	assert_false(found.global);
	assert_true(found.size > sizeof(code));
	assert_int_equal(elf_file_read_code(file, found.address, code, sizeof(code)), sizeof(code));
	assert_memory_equal(code, (void *)test_reads_its_own_code, sizeof(code));
	elf_file_close(file);
}

static void check_translation(struct elf_file *file, const char *name, uint64_t address)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	uint64_t offset, back;
	unsigned char code[8];
	size_t size;

	bytes = read_file(name, &size);
	assert_true(elf_file_address_to_offset(file, address, &offset));
	assert_true(elf_file_offset_to_address(file, offset, &back));
	assert_int_equal(back, address);
	assert_true(offset + sizeof(code) <= size);
	assert_int_equal(elf_file_read_code(file, address, code, sizeof(code)), sizeof(code));
	assert_memory_equal(code, bytes + offset, sizeof(code));
}

static void test_kinds_of_programs(void **state)
{
	static const struct {
		const char *compiler, *flags;
		bool dynamic, has_hidden, has_visible;
	} kinds[] = {
		{"gcc", "-O2 -pie -fPIE", true, true, true},
		{"gcc", "-O2 -no-pie", true, true, true},
		{"gcc", "-O2 -static", false, true, true},
		{"gcc", "-O2 -static -s", false, false, false},
		{"gcc", "-O2 -shared -fPIC -s", true, false, true},
		{"gcc", "-O2 -Wl,-z,noseparate-code", true, true, true},
		{"clang", "-O2", true, true, true},
		{"musl-gcc", "-O2 -static", false, true, true},
	};

	(void)state;
	write_text("kinds.c", program);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct elf_symbol found;
		struct elf_file *file;

		if (!have(kinds[i].compiler))
			continue;
		run_command("%s %s kinds.c -o kinds", kinds[i].compiler, kinds[i].flags);
		file = open_elf("kinds", "");
		assert_int_equal(elf_file_is_dynamic(file), kinds[i].dynamic);
		assert_int_equal(find_function(file, "hidden", NULL) > 0, kinds[i].has_hidden);
		assert_int_equal(find_function(file, "visible", &found) > 0, kinds[i].has_visible);
		assert_int_equal(elf_file_has_functions(file), kinds[i].has_visible);
		if (kinds[i].has_visible) {
			assert_true(found.global);
			assert_true(found.size > 0);
			check_translation(file, "kinds", found.address);
		}
		elf_file_close(file);
	}
}

static void test_code_ends_with_its_segment(void **state)
{
	struct elf_file *file;
	unsigned char code[1 << 16];
	uint64_t address, offset;
	size_t size;

	(void)state;
	write_text("end.c", program);
	run_command("gcc -O2 end.c -o end");
	file = open_elf("end", "");
	address = address_of(file, "visible");
	size = elf_file_read_code(file, address, code, sizeof(code));
	assert_in_range(size, 16, 4096);
	assert_int_equal(elf_file_read_code(file, address + size - 1, code, sizeof(code)), 1);
	assert_int_equal(elf_file_read_code(file, address + size, code, sizeof(code)), 0);
	assert_int_equal(elf_file_read_code(file, UINT64_MAX, code, sizeof(code)), 0);
	assert_false(elf_file_address_to_offset(file, UINT64_MAX, &offset));
	assert_false(elf_file_offset_to_address(file, UINT64_MAX, &offset));
	elf_file_close(file);
}

static void test_symbol_versions_are_cut_off(void **state)
{
	struct elf_file *file;

	(void)state;
	write_text("versions.c", "__attribute__((symver(\"twin@OLD\"))) int old_twin(void) { return 1; }\n"
				 "__attribute__((symver(\"twin@@NEW\"))) int new_twin(void) { return 2; }\n");
	write_text("versions.map", "OLD { local: *_twin; }; NEW { global: twin; } OLD;\n");
	run_command("gcc -shared -fPIC versions.c -Wl,--version-script=versions.map -o versions.so");
	run_command("readelf -sW versions.so | grep -q 'twin@OLD'");
	file = open_elf("versions.so", "");
	assert_true(find_function(file, "twin", NULL) >= 2);
	assert_int_equal(find_function(file, "twin@OLD", NULL), 0);
	elf_file_close(file);
}

static bool stop_at_once(const struct elf_symbol *symbol, void *data)
{
	(void)symbol;
	++*(int *)data;
	return false;
}

static void test_callback_stops_the_walk(void **state)
{
	struct elf_file *file = open_elf("/proc/self/exe", "");
	int calls = 0;

	(void)state;
	elf_file_for_each_function(file, stop_at_once, &calls);
	assert_int_equal(calls, 1);
	elf_file_close(file);
}

/* --- separate debug files --- */

static bool finds_hidden(const char *name, const char *root)
{
	struct elf_file *file = open_elf(name, root);
	bool found = find_function(file, "hidden", NULL) > 0;

	elf_file_close(file);
	return found;
}

/* Make `stripped`, whose symbols are in `stripped.debug`. */
static void make_stripped(const char *flags)
{
	write_text("stripped.c", program);
	run_command("gcc -O2 -g %s stripped.c -o stripped && objcopy --only-keep-debug stripped "
		    "stripped.debug && "
		    "strip stripped && objcopy --add-gnu-debuglink=stripped.debug stripped",
		flags);
}

static void test_debuglink(void **state)
{
	const char *directory = *state;

	make_stripped("-Wl,--build-id=none");
	assert_true(finds_hidden("stripped", ""));
	run_command("mkdir .debug && mv stripped.debug .debug/");
	assert_true(finds_hidden("stripped", ""));
	run_command("mkdir -p root/usr/lib/debug%s && mv .debug/stripped.debug root/usr/lib/debug%s/",
		directory, directory);
	assert_false(finds_hidden("stripped", ""));
	assert_true(finds_hidden("stripped", "root"));
	run_command("rm -rf root .debug");
}

static void test_debuglink_checksum(void **state)
{
	(void)state;
	make_stripped("-Wl,--build-id=none");
	assert_true(finds_hidden("stripped", ""));
	run_command("printf x >> stripped.debug");
	assert_false(finds_hidden("stripped", ""));
	run_command("rm stripped.debug");
	assert_false(finds_hidden("stripped", ""));
}

static void test_debuglink_with_another_build_id(void **state)
{
	(void)state;
	make_stripped("-Wl,--build-id=0x0102030405060708");
	assert_true(finds_hidden("stripped", ""));
	/* The checksum is right, the build ID is not. */
	run_command("gcc -O2 -g -Wl,--build-id=0x0102030405060709 stripped.c -o other && strip -o stripped "
		    "other && "
		    "objcopy --add-gnu-debuglink=stripped.debug stripped");
	assert_false(finds_hidden("stripped", ""));
}

static void test_build_id(void **state)
{
	(void)state;
	make_stripped("-Wl,--build-id=0xabcdef0123456789");
	run_command("mkdir -p root/usr/lib/debug/.build-id/ab && "
		    "mv stripped.debug root/usr/lib/debug/.build-id/ab/cdef0123456789.debug");
	assert_false(finds_hidden("stripped", ""));
	assert_true(finds_hidden("stripped", "root"));
	/* A container's links lead to places in the container. */
	run_command("cd root/usr/lib/debug/.build-id/ab && mkdir -p ../../../../../store && "
		    "mv cdef0123456789.debug ../../../../../store/file && ln -s /store/file "
		    "cdef0123456789.debug");
	assert_true(finds_hidden("stripped", "root"));
	run_command("mv root/store/file outside.debug && ln -s $PWD/outside.debug root/store/file");
	assert_false(finds_hidden("stripped", "root"));
	run_command("rm -rf root outside.debug");
}

static void test_debug_file_that_is_a_fifo(void **state)
{
	(void)state;
	make_stripped("-Wl,--build-id=0xabcdef0123456789");
	run_command(
		"rm stripped.debug && mkfifo stripped.debug && mkdir -p root/usr/lib/debug/.build-id/ab && "
		"mkfifo root/usr/lib/debug/.build-id/ab/cdef0123456789.debug");
	alarm(20); /* rather than hang */
	assert_false(finds_hidden("stripped", "root"));
	alarm(0);
	run_command("rm -rf root stripped.debug");
}

/* --- what is refused --- */

static void assert_refused(const char *name, enum error_code code, const char *reason)
{
	struct error err;
	struct elf_file *file = try_open_elf(name, "", &err);

	if (file)
		fail_msg("%s was not refused", name);
	assert_int_equal(err.code, code);
	if (!strstr(err.message, reason) || !strstr(err.message, name))
		fail_msg("\"%s\" does not say \"%s\" of %s", err.message, reason, name);
}

static void test_refuses_what_is_no_elf_file(void **state)
{
	(void)state;
	write_text("empty", "");
	write_text(
		"text", "#!/bin/sh\necho this is a script, and a long one, so that a header could be read\n");
	write_text("magic", ELFMAG);
	assert_refused("empty", ERROR_INPUT, "not an ELF file (");
	assert_refused("text", ERROR_INPUT, "not an ELF file (");
	assert_refused("magic", ERROR_INPUT, "not an ELF file (");
	assert_refused("/", ERROR_INPUT, "not a regular file (");
	assert_refused("/dev/zero", ERROR_INPUT, "not a regular file (");
}

static void test_refuses_a_bad_descriptor(void **state)
{
	struct error err = {0};

	(void)state;
	assert_null(elf_file_open(-1, "nowhere", "", &err));
	assert_int_equal(err.code, ERROR_SYSTEM);
	assert_null(elf_file_open(-1, "nowhere", "", NULL));
}

static void test_refuses_an_object_file(void **state)
{
	(void)state;
	write_text("object.c", program);
	run_command("gcc -c object.c -o object.o");
	assert_refused("object.o", ERROR_UNSUPPORTED, "neither a program nor a shared library");
}

/* A small program, for changing its headers. */
static unsigned char *small_program(size_t *size)
{
	write_text("small.c", program);
	run_command("gcc -O2 -g -shared -fPIC -nostdlib -Wl,-z,noseparate-code small.c -o small");
	return read_file("small", size);
}

static Elf64_Phdr *first_load(unsigned char *bytes)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
	Elf64_Phdr *segment = (Elf64_Phdr *)(bytes + header->e_phoff);

	while (segment->p_type != PT_LOAD)
		segment++;
	return segment;
}

static Elf64_Shdr *section_of_type(unsigned char *bytes, uint32_t type)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
	Elf64_Shdr *section = (Elf64_Shdr *)(bytes + header->e_shoff);

	while (section->sh_type != type)
		section++;
	return section;
}

static void test_corrupt_headers(void **state)
{
	_cleanup_free_ unsigned char *original = NULL, *bytes = NULL;
	static const struct {
		const char *what;
		enum error_code code;
		const char *reason;
	} cases[] = {
		{"class", ERROR_UNSUPPORTED, "a 32-bit program (leaktop traces 64-bit x86 programs)"},
		{"machine", ERROR_UNSUPPORTED, "built for another machine"},
		{"byte order", ERROR_UNSUPPORTED, "built for another machine"},
		{"no class", ERROR_INPUT, "corrupt ELF header"},
		{"phnum", ERROR_INPUT, "truncated or corrupt"},
		{"phnum extended", ERROR_INPUT, "odd program headers"},
		{"phentsize", ERROR_INPUT, "odd program headers"},
		{"phoff", ERROR_INPUT, "no program headers"},
		{"no load", ERROR_INPUT, "no segment to load"},
		{"p_offset", ERROR_INPUT, "a segment lies outside"},
		{"p_offset overflow", ERROR_INPUT, "a segment lies outside"},
		{"p_filesz", ERROR_INPUT, "a segment lies outside"},
		{"p_memsz", ERROR_INPUT, "a segment lies outside"},
		{"p_vaddr overflow", ERROR_INPUT, "a segment lies outside"},
		{"shoff", ERROR_INPUT, "truncated or corrupt"},
		{"shnum extended", ERROR_INPUT, "more than 65536 sections"},
		{"shentsize", ERROR_INPUT, "odd section headers"},
		{"names", ERROR_INPUT, "truncated or corrupt"},
	};
	size_t size;

	(void)state;
	original = small_program(&size);
	bytes = malloc(size);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
		const char *what = cases[i].what;
		Elf64_Phdr *segment;
		Elf64_Shdr *sections;

		memcpy(bytes, original, size);
		segment = first_load(bytes);
		sections = (Elf64_Shdr *)(bytes + header->e_shoff);
		if (strcmp(what, "class") == 0)
			header->e_ident[EI_CLASS] = ELFCLASS32;
		else if (strcmp(what, "machine") == 0)
			header->e_machine = EM_AARCH64;
		else if (strcmp(what, "byte order") == 0)
			header->e_ident[EI_DATA] = ELFDATA2MSB;
		else if (strcmp(what, "no class") == 0)
			header->e_ident[EI_CLASS] = 77;
		else if (strcmp(what, "phnum") == 0)
			header->e_phnum = 0xfffe;
		else if (strcmp(what, "phnum extended") == 0)
			header->e_phnum = PN_XNUM;
		else if (strcmp(what, "phentsize") == 0)
			header->e_phentsize = 32;
		else if (strcmp(what, "phoff") == 0)
			header->e_phoff = UINT64_MAX - 8;
		else if (strcmp(what, "no load") == 0)
			header->e_phnum = 0;
		else if (strcmp(what, "p_offset") == 0)
			segment->p_offset = size + 1;
		else if (strcmp(what, "p_offset overflow") == 0)
			segment->p_offset = UINT64_MAX - 8;
		else if (strcmp(what, "p_filesz") == 0)
			segment->p_filesz = segment->p_memsz = size + 1;
		else if (strcmp(what, "p_memsz") == 0)
			segment->p_memsz = segment->p_filesz - 1;
		else if (strcmp(what, "p_vaddr overflow") == 0)
			segment->p_vaddr = UINT64_MAX - 8;
		else if (strcmp(what, "shoff") == 0)
			header->e_shoff = size - 8;
		else if (strcmp(what, "shnum extended") == 0)
			header->e_shnum = 0, sections[0].sh_size = 1 << 20;
		else if (strcmp(what, "shentsize") == 0)
			header->e_shentsize = 40;
		else if (strcmp(what, "names") == 0)
			sections[header->e_shstrndx].sh_size = size;
		else
			fail_msg("%s", what);
		write_file("corrupt", bytes, size);
		assert_refused("corrupt", cases[i].code, cases[i].reason);
	}
}

/* Sections are not needed to trace a program: what is wrong with one costs what was in it, no more. */
static void test_corrupt_sections(void **state)
{
	_cleanup_free_ unsigned char *original = NULL, *bytes = NULL;
	size_t size;

	(void)state;
	original = small_program(&size);
	bytes = malloc(size);
	for (int kind = 0; kind < 8; kind++) {
		Elf64_Shdr *symbols, *dynamic;
		struct elf_file *file;

		memcpy(bytes, original, size);
		symbols = section_of_type(bytes, SHT_SYMTAB);
		dynamic = section_of_type(bytes, SHT_DYNSYM);
		switch (kind) {
		case 0:
			symbols->sh_size = dynamic->sh_size = UINT64_MAX;
			break;
		case 1:
			symbols->sh_offset = dynamic->sh_offset = UINT64_MAX - 8;
			break;
		case 2:
			symbols->sh_link = dynamic->sh_link = 0xffff;
			break;
		case 3:
			symbols->sh_entsize = dynamic->sh_entsize = 1;
			break;
		case 4:
			symbols->sh_link = dynamic->sh_link = 0; /* not a string table */
			break;
		case 5:
			symbols->sh_entsize = dynamic->sh_entsize = 0;
			break;
		case 6: /* names outside of the string table */
			for (uint64_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); i++)
				((Elf64_Sym *)(bytes + symbols->sh_offset))[i].st_name = UINT32_MAX;
			for (uint64_t i = 0; i < dynamic->sh_size / sizeof(Elf64_Sym); i++)
				((Elf64_Sym *)(bytes + dynamic->sh_offset))[i].st_name = UINT32_MAX;
			break;
		default: /* addresses outside of code */
			for (uint64_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); i++)
				((Elf64_Sym *)(bytes + symbols->sh_offset))[i].st_value = UINT64_MAX - i;
			for (uint64_t i = 0; i < dynamic->sh_size / sizeof(Elf64_Sym); i++)
				((Elf64_Sym *)(bytes + dynamic->sh_offset))[i].st_value = i;
		}
		write_file("corrupt", bytes, size);
		file = open_elf("corrupt", "");
		/* Offset 0 upwards is in the only segment here, so the last kind leaves names at low
		 * addresses. */
		if (kind < 7)
			assert_false(elf_file_has_functions(file));
		else
			assert_int_equal(find_function(file, "hidden", NULL), 0);
		elf_file_close(file);
	}
}

/* Use everything that a file offers; only a crash or a wrong bound can fail here. */
static void use(struct elf_file *file)
{
	struct source_frames frames = {0};
	unsigned char code[256];
	uint64_t offset;
	size_t size;

	elf_file_build_id(file, &size);
	assert_true(size <= BUILD_ID_MAX);
	elf_file_has_functions(file);
	for (uint64_t address = 0; address < 0x5000; address += 0x100) {
		assert_true(elf_file_read_code(file, address, code, sizeof(code)) <= sizeof(code));
		elf_file_address_to_offset(file, address, &offset);
		elf_file_offset_to_address(file, address, &offset);
		assert_int_equal(symbolize(file, address, &frames), 0);
		source_frames_free(&frames);
	}
}

static void test_truncated_files(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	size_t size, refused = 0;

	(void)state;
	bytes = small_program(&size);
	for (size_t length = 0; length < size; length += 64) {
		struct error err;
		struct elf_file *file;

		write_file("truncated", bytes, length);
		file = try_open_elf("truncated", "", &err);
		if (file) {
			use(file);
		} else {
			assert_int_equal(err.code, ERROR_INPUT);
			assert_non_null(strstr(err.message, "truncated"));
			refused++;
		}
		elf_file_close(file);
	}
	/* The section headers are the last thing in it. */
	assert_int_equal(refused, (size + 63) / 64);
}

static void test_file_truncated_while_open(void **state)
{
	unsigned char code[64];
	struct elf_file *file;
	uint64_t address;
	size_t size;

	(void)state;
	free(small_program(&size));
	file = open_elf("small", "");
	address = address_of(file, "visible");
	assert_int_equal(truncate("small", 128), 0);
	assert_int_equal(elf_file_read_code(file, address, code, sizeof(code)), 0);
	assert_false(elf_file_has_functions(file));
	use(file);
	elf_file_close(file);
}

/* Every byte of a small program changed at random, again and again; the seed makes it the same each time. */
static void test_damaged_files(void **state)
{
	_cleanup_free_ unsigned char *original = NULL, *bytes = NULL;
	uint64_t random = 88172645463325252ULL;
	size_t size;

	(void)state;
	original = small_program(&size);
	bytes = malloc(size);
	for (int round = 0; round < 1500; round++) {
		struct error err;
		struct elf_file *file;

		memcpy(bytes, original, size);
		for (int change = 0; change < 1 + round % 16; change++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			bytes[random % size] = (unsigned char)(random >> 32);
		}
		write_file("damaged", bytes, size);
		file = try_open_elf("damaged", "", &err);
		if (file)
			use(file);
		elf_file_close(file);
	}
}

/* Gigabytes of nothing, said to be symbols and debug info, must not be read. */
static void test_sparse_file(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	const uint64_t huge = 3ULL << 30; /* little enough for malloc() to promise it */
	struct elf_file *file;
	struct rusage before, after;
	size_t size;

	(void)state;
	bytes = small_program(&size);
	for (uint16_t i = 1; i < ((Elf64_Ehdr *)bytes)->e_shnum; i++) {
		Elf64_Shdr *section = (Elf64_Shdr *)(bytes + ((Elf64_Ehdr *)bytes)->e_shoff) + i;

		if (!(section->sh_flags & SHF_ALLOC) && i != ((Elf64_Ehdr *)bytes)->e_shstrndx) {
			section->sh_offset = 1 << 20;
			section->sh_size = huge;
		}
	}
	section_of_type(bytes, SHT_DYNSYM)->sh_size = huge;
	write_file("sparse", bytes, size);
	if (truncate("sparse", 1LL << 40))
		skip();
	getrusage(RUSAGE_SELF, &before);
	file = open_elf("sparse", "");
	use(file);
	elf_file_close(file);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_its_own_code),
		cmocka_unit_test(test_kinds_of_programs),
		cmocka_unit_test(test_code_ends_with_its_segment),
		cmocka_unit_test(test_symbol_versions_are_cut_off),
		cmocka_unit_test(test_callback_stops_the_walk),
		cmocka_unit_test(test_debuglink),
		cmocka_unit_test(test_debuglink_checksum),
		cmocka_unit_test(test_debuglink_with_another_build_id),
		cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_debug_file_that_is_a_fifo),
		cmocka_unit_test(test_refuses_what_is_no_elf_file),
		cmocka_unit_test(test_refuses_a_bad_descriptor),
		cmocka_unit_test(test_refuses_an_object_file),
		cmocka_unit_test(test_corrupt_headers),
		cmocka_unit_test(test_corrupt_sections),
		cmocka_unit_test(test_truncated_files),
		cmocka_unit_test(test_file_truncated_while_open),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_sparse_file),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
