// SPDX-License-Identifier: GPL-2.0-or-later
#include <time.h>

#include "base/array.h"
#include "compile.h"
#include "elf/line_table.h"
#include "elf/symbolize.h"

/*
 * An inlined call in an inlined call. The label `here` stands for an instruction of the innermost function;
 * the comments mark the lines that must be found.
 */
static const char chain_source[] = "static inline __attribute__((always_inline)) int leaf(int x)\n"
				   "{\n"
				   "	__asm__ volatile(\".globl here\\n"
				   ".type here,@function\\nhere: nop\"); /* LEAF */\n"
				   "	return x + 1;\n"
				   "}\n"
				   "static inline __attribute__((always_inline)) int middle(int x)\n"
				   "{\n"
				   "	if (x > 3)\n"
				   "		return leaf(x * 3); /* MIDDLE */\n"
				   "	return 0;\n"
				   "}\n"
				   "__attribute__((noinline)) int outer(int x)\n"
				   "{\n"
				   "	int result = middle(x + 2); /* OUTER */\n"
				   "\n"
				   "	return result ^ x;\n"
				   "}\n"
				   "int main(int argc, char **argv) { (void)argv; return outer(argc); }\n";

/* @return the number of the line that holds a text */
static int line_of(const char *source, const char *text)
{
	const char *place = strstr(source, text);
	int line = 1;

	assert_non_null(place);
	for (const char *at = source; at < place; at++)
		line += *at == '\n';
	return line;
}

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void assert_frame(
	const struct source_frame *frame, const char *function, const char *file, int line, bool inlined)
{
	assert_non_null(frame->function);
	assert_string_equal(frame->function, function);
	assert_non_null(frame->file);
	if (!ends_with(frame->file, file))
		fail_msg("%s does not end with %s", frame->file, file);
	assert_int_equal(frame->line, line);
	assert_int_equal(frame->inlined, inlined);
}

static void resolve(struct elf_file *file, uint64_t address, struct source_frames *frames)
{
	*frames = (struct source_frames){0};
	assert_int_equal(symbolize(file, address, frames), 0);
}

static void assert_chain(const char *name, const char *root, const char *source_name)
{
	struct elf_file *file = open_elf(name, root);
	uint64_t here = address_of(file, "here");
	struct source_frames frames;

	resolve(file, here, &frames);
	assert_int_equal(frames.count, 3);
	assert_frame(&frames.items[0], "leaf", source_name, line_of(chain_source, "LEAF"), true);
	assert_frame(&frames.items[1], "middle", source_name, line_of(chain_source, "MIDDLE"), true);
	assert_frame(&frames.items[2], "outer", source_name, line_of(chain_source, "OUTER"), false);
	source_frames_free(&frames);
	elf_file_close(file);
}

static void test_inlined_calls(void **state)
{
	static const struct {
		const char *compiler, *flags;
	} ways[] = {
		{"gcc", "-O2 -g"},
		{"gcc", "-O2 -gdwarf-5"},
		{"gcc", "-O2 -gdwarf-4"},
		{"gcc", "-O2 -gdwarf-3 -gstrict-dwarf"},
		{"gcc", "-O2 -gdwarf-5 -gdwarf64"},
		{"gcc", "-O2 -g -gz=zlib"},
		{"gcc", "-O2 -g -gz=zlib-gnu"},
		{"gcc", "-O2 -g -no-pie"},
		{"gcc", "-O2 -g -static"},
		{"gcc", "-O2 -g -ffunction-sections -Wl,--gc-sections"},
		{"gcc", "-O2 -gdwarf-4 -fdebug-types-section"},
		{"gcc", "-O3 -g -flto"},
		{"gcc", "-O1 -g"},
		{"clang", "-O2 -g"},
		{"clang", "-O2 -gdwarf-5"},
		{"clang", "-O2 -gdwarf-4"},
		{"clang", "-O2 -gdwarf-5 -fdebug-types-section -ffunction-sections"},
		{"musl-gcc", "-O2 -g -static"},
	};

	(void)state;
	write_text("chain.c", chain_source);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!have(ways[i].compiler))
			continue;
		run_command("%s %s chain.c -o chain", ways[i].compiler, ways[i].flags);
		assert_chain("chain", "", "/chain.c");
	}
}

/* The file name is put together from three parts, of which each may be relative or absolute. */
static void test_source_paths(void **state)
{
	const char *directory = *state;
	char absolute[256];

	run_command("mkdir -p sub/inner");
	write_text("sub/inner/chain.c", chain_source);
	for (int version = 4; version <= 5; version++) {
		snprintf(absolute, sizeof(absolute), "%s/sub/inner/chain.c", directory);
		run_command("cd sub && gcc -O2 -gdwarf-%d inner/chain.c -o ../paths", version);
		assert_chain("paths", "", absolute);
		run_command(
			"cd sub && gcc -O2 -gdwarf-%d %s/sub/inner/chain.c -o ../paths", version, directory);
		assert_chain("paths", "", absolute);
		run_command("cd sub && gcc -O2 -gdwarf-%d -fdebug-prefix-map=$PWD=/mapped inner/chain.c -o "
			    "../paths",
			version);
		assert_chain("paths", "", "/mapped/inner/chain.c");
	}
}

static void test_separate_debug_file(void **state)
{
	(void)state;
	write_text("chain.c", chain_source);
	run_command("gcc -O2 -g chain.c -o apart && objcopy --only-keep-debug apart apart.debug && strip "
		    "apart && "
		    "objcopy --add-gnu-debuglink=apart.debug apart");
	assert_chain("apart", "", "/chain.c");
	/* The program keeps its symbols and gives away only its debug info; here that is compressed as well.
	 */
	run_command("gcc -O2 -g chain.c -Wl,--build-id=0x0123456789abcdef -o apart && "
		    "mkdir -p root/usr/lib/debug/.build-id/01 && objcopy --only-keep-debug "
		    "--compress-debug-sections apart root/usr/lib/debug/.build-id/01/23456789abcdef.debug && "
		    "strip -g apart");
	assert_chain("apart", "root", "/chain.c");
	run_command("rm -r root");
}

static void test_shared_debug_file(void **state)
{
	(void)state;
	if (!have("dwz"))
		skip();
	write_text("chain.c", chain_source);
	/* Enough of the same in both to be worth sharing. */
	run_command("printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\n"
		    "#include <signal.h>\\n#include <pthread.h>\\n#include <time.h>\\n' > many.h");
	run_command("gcc -O2 -g -include ./many.h chain.c -o one && gcc -O2 -g -include ./many.h chain.c -o "
		    "two && "
		    "dwz -m $PWD/shared.debug one two && readelf -SW one | grep -q gnu_debugaltlink");
	assert_chain("one", "", "/chain.c");
	/* Without it the lines are still there. */
	run_command("rm shared.debug");
	{
		struct elf_file *file = open_elf("one", "");
		struct source_frames frames;

		resolve(file, address_of(file, "here"), &frames);
		assert_true(frames.count > 0);
		assert_int_equal(frames.items[0].line, line_of(chain_source, "LEAF"));
		source_frames_free(&frames);
		elf_file_close(file);
	}
}

/* The .dwo file is not opened: no inlined calls, but the line is right and the symbol table gives the
 * function. */
static void test_split_dwarf(void **state)
{
	struct source_frames frames;
	struct elf_file *file;

	(void)state;
	write_text("chain.c", chain_source);
	run_command("gcc -O2 -gdwarf-5 -gsplit-dwarf chain.c -o split");
	file = open_elf("split", "");
	resolve(file, address_of(file, "here"), &frames);
	assert_int_equal(frames.count, 1);
	assert_int_equal(frames.items[0].line, line_of(chain_source, "LEAF"));
	assert_false(frames.items[0].inlined);
	source_frames_free(&frames);
	resolve(file, address_of(file, "outer"), &frames);
	assert_int_equal(frames.count, 1);
	assert_string_equal(frames.items[0].function, "outer");
	source_frames_free(&frames);
	elf_file_close(file);
}

static void assert_function(struct elf_file *file, uint64_t address, const char *name)
{
	struct source_frames frames;

	resolve(file, address, &frames);
	if (!name) {
		if (frames.count && frames.items[0].function)
			fail_msg("%#lx is %s", address, frames.items[0].function);
	} else {
		assert_true(frames.count > 0);
		assert_non_null(frames.items[0].function);
		assert_string_equal(frames.items[0].function, name);
		assert_false(frames.items[frames.count - 1].inlined);
	}
	source_frames_free(&frames);
}

/* A function in a function is found only when one looks there. */
static void test_nested_function(void **state)
{
	struct elf_file *file;

	(void)state;
	write_text("nested.c",
		"int outer(int x)\n{\n	__attribute__((noinline)) int nested(int y)\n	{\n"
		"		__asm__ volatile(\".globl here\\n.type here,@function\\nhere: nop\");\n"
		"		return x + y;\n	}\n	return nested(x) + nested(7);\n}\n");
	run_command("gcc -O2 -g -shared -fPIC nested.c -o nested.so");
	file = open_elf("nested.so", "");
	/* The symbol is `nested.0`. */
	assert_function(file, address_of(file, "here"), "nested");
	elf_file_close(file);
}

static void test_stripped_library(void **state)
{
	struct source_frames frames;
	struct elf_file *file;
	uint64_t outer;

	(void)state;
	write_text("chain.c", chain_source);
	run_command("gcc -O2 -g -shared -fPIC chain.c -o bare.so && strip bare.so");
	file = open_elf("bare.so", "");
	outer = address_of(file, "outer");
	resolve(file, outer + 1, &frames);
	assert_int_equal(frames.count, 1);
	assert_string_equal(frames.items[0].function, "outer");
	assert_null(frames.items[0].file);
	assert_int_equal(frames.items[0].line, 0);
	assert_false(frames.items[0].inlined);
	source_frames_free(&frames);
	resolve(file, 1, &frames);
	assert_int_equal(frames.count, 0);
	elf_file_close(file);
}

/* Hand-written symbols for each rule of which symbol names an address. */
static const char symbols_source[] =
	".text\n"
	".globl base\n.type base,@function\n.size base,32\nbase: .skip 8\n"
	/* the innermost of sized symbols */
	".type inner,@function\n.size inner,8\ninner: .skip 8\n"
	/* a size before none */
	"label: .skip 16\n"
	/* offset 32: aliases */
	".globl __libc_thing\n.type __libc_thing,@function\n.size __libc_thing,8\n"
	".globl thing\n.type thing,@function\n.size thing,8\n"
	".type a_local_thing,@function\n.size a_local_thing,8\n"
	".globl __t\n.type __t,@function\n.size __t,8\n"
	".type loc,@function\n.size loc,8\n"
	"__libc_thing: thing: a_local_thing: __t: loc: .skip 8\n"
	/* offset 40: nothing */
	".skip 8\n"
	/* offset 48: without a size, to the next symbol */
	".globl open_end\n.type open_end,@function\nopen_end: .skip 16\n"
	/* offset 64 */
	".globl closed\n.type closed,@function\n.size closed,4\nclosed: .skip 16\n"
	/* offset 80: without a size, to the end of the section */
	".globl last\nlast: .skip 16\n"
	".section .text.next,\"ax\"\n.skip 64\n";

static void test_choice_of_symbols(void **state)
{
	struct elf_file *file;
	uint64_t base;

	(void)state;
	write_text("symbols.s", symbols_source);
	write_text("symbols.ld",
		"PHDRS { code PT_LOAD FLAGS(5); } SECTIONS { . = 0x10000; .text : { *(.text) } :code "
		".next : { *(.text.next) } :code }\n");
	run_command("gcc -nostdlib -static -Wl,--build-id=none -Wl,-T,symbols.ld -Wl,-e,base symbols.s -o "
		    "symbols");
	file = open_elf("symbols", "");
	base = address_of(file, "base");
	assert_function(file, base, "base");
	assert_function(file, base + 7, "base");
	assert_function(file, base + 8, "inner");
	assert_function(file, base + 15, "inner");
	assert_function(file, base + 16, "base");
	assert_function(file, base + 31, "base");
	assert_function(file, base + 32, "thing");
	assert_function(file, base + 39, "thing");
	assert_function(file, base + 40, NULL);
	assert_function(file, base + 48, "open_end");
	assert_function(file, base + 63, "open_end");
	assert_function(file, base + 64, "closed");
	assert_function(file, base + 68, NULL);
	assert_function(file, base + 80, "last");
	assert_function(file, base + 95, "last");
	assert_function(file, base + 96, NULL);
	assert_function(file, base - 1, NULL);
	elf_file_close(file);
}

static const char cplusplus_source[] =
	"#define HERE(name) __asm__ volatile(\".globl \" #name \"\\n.type \" #name \",@function\\n\" #name "
	"\": nop\")\n"
	"namespace ns {\n"
	"template <class T> __attribute__((noinline)) T twice(T x) { HERE(in_template); return x + x; }\n"
	"struct counter {\n"
	"	int n;\n"
	"	__attribute__((noinline)) int add(int by) const;\n"
	"	__attribute__((always_inline)) int fast(int by) const { HERE(in_inlined_method); return n ^ "
	"by; }\n"
	"};\n"
	"int counter::add(int by) const { HERE(in_method); return n + by; }\n"
	"namespace { __attribute__((noinline)) int secret(int x) { HERE(in_anonymous); return x * 7; } }\n"
	"static __attribute__((noinline)) int quiet(int x) { HERE(in_static); return x * 9; }\n"
	"static inline __attribute__((always_inline)) int quick(int x) { HERE(in_inlined); return x * 11; }\n"
	"static __attribute__((noinline)) int use(int x) { counter c{x}; return twice(x) + c.add(2) + "
	"c.fast(5) + "
	"secret(x) + quiet(x) + quick(x); }\n"
	"}\n"
	"int main(int argc, char **) { return ns::use(argc); }\n";

static void test_cplusplus_names(void **state)
{
	static const char *const compilers[] = {"g++", "clang++"};
	static const char *const flags[] = {"-g", "-g -gdwarf-4", "-g0"};

	(void)state;
	write_text("names.cc", cplusplus_source);
	for (size_t i = 0; i < 6; i++) {
		struct elf_file *file;

		if (!have(compilers[i % 2]))
			continue;
		run_command("%s -std=c++11 -O2 %s names.cc -o names", compilers[i % 2], flags[i / 2]);
		file = open_elf("names", "");
		if (i < 4) {
			assert_function(file, address_of(file, "in_template"), "ns::twice<int>(int)");
			assert_function(file, address_of(file, "in_method"), "ns::counter::add(int) const");
			assert_function(file, address_of(file, "in_anonymous"),
				"ns::(anonymous namespace)::secret(int)");
			assert_function(file, address_of(file, "in_static"), "ns::quiet(int)");
			assert_function(
				file, address_of(file, "in_inlined_method"), "ns::counter::fast(int) const");
		} else {
			/* The labels are symbols too: of size 0, so that the function's is preferred. */
			assert_function(file, address_of(file, "in_template"), "ns::twice<int>(int)");
			assert_function(file, address_of(file, "in_static"), "ns::quiet(int)");
		}
		elf_file_close(file);
	}
}

static const char rust_source[] =
	"#![crate_type=\"cdylib\"]\n"
	"#![allow(named_asm_labels)]\n"
	"mod shapes {\n"
	"    pub struct Square { pub side: u64 }\n"
	"    impl Square {\n"
	"        #[inline(never)]\n"
	"        pub fn area(&self) -> u64 { unsafe { std::arch::asm!(\".globl in_method\", "
	"\".type in_method,@function\", \"in_method: nop\") }; self.side * self.side }\n"
	"    }\n"
	"}\n"
	"#[no_mangle] pub extern \"C\" fn area_of(side: u64) -> u64 { "
	"shapes::Square { side }.area() }\n";

static void test_rust_names(void **state)
{
	static const char *const manglings[] = {"", "-C symbol-mangling-version=v0"};

	(void)state;
	if (!have("rustc"))
		skip();
	write_text("shapes.rs", rust_source);
	for (size_t i = 0; i < 2; i++) {
		struct source_frames frames;
		struct elf_file *file;

		run_command("rustc -O -g %s shapes.rs -o libshapes.so 2>rust.log", manglings[i]);
		file = open_elf("libshapes.so", "");
		resolve(file, address_of(file, "in_method"), &frames);
		assert_int_equal(frames.count, 1);
		assert_non_null(strstr(frames.items[0].function, "shapes::Square"));
		assert_non_null(strstr(frames.items[0].function, "::area"));
		assert_null(strstr(frames.items[0].function, "::h"));
		assert_true(ends_with(frames.items[0].file, "/shapes.rs"));
		assert_int_equal(frames.items[0].line, 7);
		source_frames_free(&frames);
		elf_file_close(file);
	}
}

/* The address of a symbol of a library that this test uses, too. */
static uint64_t libc_address(struct elf_file **file, const char *name)
{
	*file = open_elf("/lib/x86_64-linux-gnu/libc.so.6", "");
	return address_of(*file, name);
}

static void test_system_library(void **state)
{
	struct source_frames frames;
	struct elf_file *file;
	uint64_t address;

	(void)state;
	if (access("/lib/x86_64-linux-gnu/libc.so.6", R_OK))
		skip();
	address = libc_address(&file, "malloc");
	resolve(file, address, &frames);
	assert_int_equal(frames.count, 1);
	assert_string_equal(frames.items[0].function, "malloc");
	if (frames.items[0].file) {
		assert_true(ends_with(frames.items[0].file, "/malloc.c"));
		assert_in_range(frames.items[0].line, 1000, 9999);
	}
	source_frames_free(&frames);
	elf_file_close(file);
}

struct addresses {
	uint64_t *items;
	size_t count, capacity;
};

static bool collect(const struct elf_symbol *symbol, void *data)
{
	uint64_t *address = array_push((struct addresses *)data);

	if (!address)
		return false;
	*address = symbol->address + symbol->size / 2;
	return true;
}

/* An index, not a search: a second or two of processor time would mean that every lookup walks the file. */
static void test_many_addresses_take_little_time(void **state)
{
	struct addresses addresses = {0};
	size_t named = 0;
	struct elf_file *file;
	clock_t start;

	(void)state;
	if (access("/lib/x86_64-linux-gnu/libc.so.6", R_OK))
		skip();
	libc_address(&file, "malloc");
	elf_file_for_each_function(file, collect, &addresses);
	assert_true(addresses.count > 1000);
	start = clock();
	for (size_t i = 0; i < 10000; i++) {
		struct source_frames frames;

		resolve(file, addresses.items[i % addresses.count], &frames);
		named += frames.count && frames.items[0].function;
		source_frames_free(&frames);
	}
	print_message("10000 addresses: %.3f s\n", (double)(clock() - start) / CLOCKS_PER_SEC);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	assert_int_equal(named, 10000);
	array_free(&addresses);
	elf_file_close(file);
}

/* --- hostile debug info --- */

/*
 * A library whose DWARF is written by hand: one unit of 4096 bytes of code at `start`, the given entries in
 * it and the given abbreviations from 2 on.
 */
static struct elf_file *open_hostile(const char *entries, const char *abbreviations)
{
	_cleanup_fclose_ FILE *source = fopen("hostile.s", "w");

	assert_non_null(source);
	fprintf(source,
		".text\n.globl start\n.type start,@function\n.size start,4096\nstart: .skip 4096\n"
		".section .debug_info\n.long end - begin\nbegin: .short 4\n.long 0\n.byte 8\n"
		".byte 1\n.quad start\n.quad 4096\n%s\n.ifndef end\nend:\n.endif\n"
		".section .debug_abbrev\n.byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0\n%s\n.byte 0\n",
		entries, abbreviations);
	fflush(source);
	run_command("gcc -shared -nostdlib hostile.s -o hostile.so");
	return open_elf("hostile.so", "");
}

#define ONE_FUNCTION  ".byte 2\n.asciz \"known\"\n.quad start\n.quad 4096\n"
#define SECOND_UNIT   "end: .long "
#define ABBREVIATIONS ".byte 2, 0x2e, 1, 0x03, 8, 0x11, 1, 0x12, 7, 0, 0\n.byte 3, 0x39, 1, 0, 0\n"

/* The writing by hand is right, so that what follows fails for the reason it names. */
static void test_debug_info_by_hand(void **state)
{
	struct elf_file *file = open_hostile(ONE_FUNCTION ".byte 0, 0", ABBREVIATIONS);

	(void)state;
	assert_function(file, address_of(file, "start") + 8, "known");
	elf_file_close(file);
	/* Linkers leave functions that they threw away at address 0 or 1. */
	file = open_hostile(ONE_FUNCTION
		".byte 0\n.byte 2\n.asciz \"gone\"\n.quad 0\n.quad 0x100000\n.byte 0\n"
		".byte 2\n.asciz \"gone\"\n.quad 1\n.quad 0x100000\n.byte 0, 0",
		ABBREVIATIONS);
	assert_function(file, address_of(file, "start") + 8, "known");
	elf_file_close(file);
}

static void test_endless_nesting(void **state)
{
	struct source_frames frames;
	struct elf_file *file;
	clock_t start;

	(void)state;
	/* A known function, then millions of namespaces in each other: with and without an end. */
	for (int i = 0; i < 2; i++) {
		file = open_hostile(i ? ONE_FUNCTION ".byte 0\n.fill 4000000, 1, 3\n.fill 4000000, 1, 0\n"
				      : ONE_FUNCTION ".byte 0\n.fill 8000000, 1, 3\n",
			ABBREVIATIONS);
		start = clock();
		assert_function(file, address_of(file, "start") + 8, "known");
		assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
		elf_file_close(file);
	}
	/* Functions in each other, all at the same address. */
	file = open_hostile(".rept 100000\n" ONE_FUNCTION ".endr\n", ABBREVIATIONS);
	start = clock();
	resolve(file, address_of(file, "start") + 8, &frames);
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	source_frames_free(&frames);
	elf_file_close(file);
}

/* A function that is its own origin has no name: not an endless search for one. The symbol is shown in its
 * stead. */
static void test_reference_to_itself(void **state)
{
	struct elf_file *file =
		open_hostile(".byte 2\n.long . - begin + 4 - 1\n.quad start\n.quad 4096\n.byte 0, 0",
			".byte 2, 0x2e, 1, 0x31, 0x13, 0x11, 1, 0x12, 7, 0, 0\n");

	(void)state;
	assert_function(file, address_of(file, "start") + 8, "start");
	elf_file_close(file);
}

/* What is absurd is not handed to libdw at all; the symbol is still there. */
static void test_absurd_debug_info(void **state)
{
	static const struct {
		const char *entries, *abbreviations;
	} cases[] = {
		/* Attributes that take no bytes, by the hundred. */
		{ONE_FUNCTION ".byte 0, 0",
			ABBREVIATIONS ".byte 4, 0x2e, 0\n.rept 100\n.byte 0x3f, 0x19\n.endr\n.byte 0, 0\n"},
		/* Attributes without end. */
		{ONE_FUNCTION ".byte 0, 0", ABBREVIATIONS ".byte 4, 0x2e, 0\n.fill 1000, 1, 0x0b\n"},
		/* A second unit that is longer than the section. */
		{ONE_FUNCTION ".byte 0, 0\n" SECOND_UNIT "1000\n.short 4\n.long 0\n.byte 8, 1\n",
			ABBREVIATIONS},
		/* One that ends before its header does. */
		{ONE_FUNCTION ".byte 0, 0\n" SECOND_UNIT "3\n.short 4\n.byte 0\n", ABBREVIATIONS},
		/* One whose abbreviations are nowhere. */
		{ONE_FUNCTION ".byte 0, 0\n" SECOND_UNIT "8\n.short 4\n.long 10000\n.byte 8, 1\n",
			ABBREVIATIONS},
		/* One for another machine. */
		{ONE_FUNCTION ".byte 0, 0\n" SECOND_UNIT "8\n.short 4\n.long 0\n.byte 4, 1\n", ABBREVIATIONS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct elf_file *file = open_hostile(cases[i].entries, cases[i].abbreviations);

		assert_function(file, address_of(file, "start") + 8, "start");
		elf_file_close(file);
	}
}

/* --- line tables --- */

/* A DWARF 4 table: 2 directories, 2 files, rows at 0x1000 to 0x1010 and, in a second sequence, 0x800 to
 * 0x810. */
static const unsigned char line_program[] = {
	0x65, 0, 0, 0,			    /* length: 101 bytes follow */
	4, 0,				    /* version */
	0x2d, 0, 0, 0,			    /* 45 bytes of header follow */
	1, 1, 1,			    /* instruction length, operations, is_stmt */
	0xfb, 14, 13,			    /* line_base -5, line_range 14, opcode_base 13 */
	0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, /* operands of opcodes 1 to 12 */
	'/', 'i', 'n', 'c', 0, 0,	    /* directory 1: /inc */
	'a', '.', 'c', 0, 0, 0, 0,	    /* file 1: a.c in directory 0 */
	'b', '.', 'h', 0, 1, 0, 0,	    /* file 2: b.h in directory 1 */
	0,				    /* no more files */
	1, 1, 1, 0, 0,			    /* padding that the header length skips would be here */
};

static struct line_table *read_program(const unsigned char *opcodes, size_t size, uint64_t *budget)
{
	static unsigned char bytes[4096];
	struct dwarf_bytes line = {.data = bytes}, none = {0};
	const size_t header = 10 + 6 + 12 + 6 + 7 + 7 + 1;
	uint32_t length;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, line_program, header);
	memcpy(bytes + header, opcodes, size);
	line.size = header + size;
	length = (uint32_t)line.size - 4;
	memcpy(bytes, &length, sizeof(length));
	length = (uint32_t)header - 10;
	memcpy(bytes + 6, &length, sizeof(length));
	return line_table_read(&line, &none, &none, 0, "/build", budget);
}

#define SET_ADDRESS(low, high)	0, 9, 2, (low), (high), 0, 0, 0, 0, 0, 0
#define END_SEQUENCE		0, 1, 1
#define SPECIAL(address, lines) (13 + (address)*14 + (lines) + 5)

static void assert_row(const struct line_table *table, uint64_t address, const char *file, int line)
{
	const struct line_row *row = line_table_find(table, address);
	_cleanup_free_ char *path = NULL;

	if (!line) {
		assert_null(row);
		return;
	}
	assert_non_null(row);
	path = line_table_file(table, row->file);
	assert_non_null(path);
	assert_string_equal(path, file);
	assert_int_equal(row->line, line);
}

static void test_line_table(void **state)
{
	static const unsigned char opcodes[] = {
		SET_ADDRESS(0x00, 0x10), /* 0x1000 */
		SPECIAL(0, 4),		 /* line 5 */
		SPECIAL(4, -2),		 /* 0x1004: line 3 */
		4,
		2, /* file 2 */
		3,
		0xe4,
		0, /* advance_line 100 */
		2,
		4, /* advance_pc 4 */
		1, /* copy: 0x1008: line 103 of b.h */
		9,
		4,
		0, /* fixed_advance_pc 4 */
		3,
		0x7f, /* advance_line -1 */
		1,    /* 0x100c: line 102 */
		2,
		4,
		END_SEQUENCE,		 /* 0x1010 */
		SET_ADDRESS(0x00, 0x08), /* 0x800 */
		SPECIAL(0, 8),		 /* line 9 */
		2,
		0x10,
		END_SEQUENCE,		 /* 0x810 */
		SET_ADDRESS(0x00, 0x00), /* thrown away by the linker */
		SPECIAL(0, 1),
		2,
		0x7f,
		END_SEQUENCE,
	};
	uint64_t budget = 100;
	struct line_table *table = read_program(opcodes, sizeof(opcodes), &budget);

	(void)state;
	assert_non_null(table);
	assert_row(table, 0xfff, NULL, 0);
	assert_row(table, 0x1000, "/build/a.c", 5);
	assert_row(table, 0x1003, "/build/a.c", 5);
	assert_row(table, 0x1004, "/build/a.c", 3);
	assert_row(table, 0x1008, "/inc/b.h", 103);
	assert_row(table, 0x100f, "/inc/b.h", 102);
	assert_row(table, 0x1010, NULL, 0);
	assert_row(table, 0x7ff, NULL, 0);
	assert_row(table, 0x80f, "/build/a.c", 9);
	assert_row(table, 0x810, NULL, 0);
	assert_row(table, 0x10, NULL, 0);
	assert_null(line_table_file(table, 0));
	assert_null(line_table_file(table, 3));
	assert_null(line_table_file(table, UINT64_MAX));
	/* 6 rows, 2 directories, 3 files with the unused number 0. */
	assert_int_equal(budget, 100 - 6 - 2 - 3);
	line_table_free(table);
}

static void test_line_table_budget(void **state)
{
	unsigned char opcodes[1000];
	uint64_t budget = 1000 + 5;
	struct line_table *table;

	(void)state;
	memset(opcodes, 1, sizeof(opcodes)); /* a row each */
	table = read_program(opcodes, sizeof(opcodes), &budget);
	assert_non_null(table);
	line_table_free(table);
	budget = 999 + 5;
	assert_null(read_program(opcodes, sizeof(opcodes), &budget));
}

static void test_line_table_that_goes_back(void **state)
{
	static const unsigned char opcodes[] = {
		/* clang-format off */
		SET_ADDRESS(0x00, 0x10), SPECIAL(0, 0), SPECIAL(8, 0), SET_ADDRESS(0x04, 0x10), SPECIAL(0, 0),
		2, 8, END_SEQUENCE, /* 0x1000, 0x1008, 0x1004, to 0x100c */
		SET_ADDRESS(0x00, 0x20), SPECIAL(0, 1), 2, 8, END_SEQUENCE,
		/* clang-format on */
	};
	uint64_t budget = 100;
	struct line_table *table = read_program(opcodes, sizeof(opcodes), &budget);

	(void)state;
	assert_non_null(table);
	assert_row(table, 0x1000, NULL, 0);
	assert_row(table, 0x100a, NULL, 0);
	assert_row(table, 0x2004, "/build/a.c", 2);
	line_table_free(table);
}

/* --- names --- */

static void assert_demangled(const char *mangled, const char *expected)
{
	_cleanup_free_ char *name = demangle(mangled);

	assert_non_null(name);
	assert_string_equal(name, expected);
}

static void test_demangle(void **state)
{
	(void)state;
	assert_demangled("malloc", "malloc");
	assert_demangled("", "");
	assert_demangled("_", "_");
	assert_demangled("_Z", "_Z");
	assert_demangled("_ZN", "_ZN");
	assert_demangled("_Znwm", "operator new(unsigned long)");
	assert_demangled("_ZdlPvm", "operator delete(void*, unsigned long)");
	assert_demangled("_ZN2ns5twiceIiEET_S1_", "ns::twice<int>(int)");
	assert_demangled("_ZNSt6vectorIiSaIiEE9push_backERKi",
		"std::vector<int, std::allocator<int> >::push_back(int const&)");
	assert_demangled("_ZN3FooC4Ev", "Foo::Foo()");
	assert_demangled("_ZN12_GLOBAL__N_16secretEi", "(anonymous namespace)::secret(int)");
	assert_demangled("_Z3fooi.cold", "foo(int) [clone .cold]");
	assert_demangled("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad");
	assert_demangled("_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$"
			 "4drop17h0123456789abcdefE",
		"<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop");
	assert_demangled("_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example");
	assert_demangled(
		"_RNvXs_CsgvHtCgNMhQ_7mycrateNtB4_3FooNtB4_3Bar3baz", "<mycrate::Foo as mycrate::Bar>::baz");
}

/* A function whose every parameter is a pair of the one before: 2 to the power of `levels`, if it were
 * written out. */
static void write_bomb(char *name, size_t levels)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	name = stpcpy(name, "_Z1f1AIiiE");
	for (size_t i = 0; i < levels; i++)
		name += sprintf(name, "S_IS%c_S%c_E", digits[i], digits[i]);
}

static void test_demangle_hostile_names(void **state)
{
	_cleanup_free_ char *name = NULL, *copy = NULL;
	char bomb[512];

	(void)state;
	/* Longer than any real name. */
	name = malloc((80 << 10) + 1);
	assert_non_null(name);
	memset(name, 'N', 80 << 10);
	name[80 << 10] = '\0';
	memcpy(name, "_ZN", 3);
	copy = demangle(name);
	assert_string_equal(copy, name);
	/* Deep nesting. */
	name[60 << 10] = '\0';
	memset(name + 2, 'P', (60 << 10) - 2);
	free(copy);
	copy = demangle(name);
	assert_string_equal(copy, name);
	alarm(20); /* rather than hang */
	write_bomb(bomb, 8);
	free(copy);
	copy = demangle(bomb);
	assert_true(strlen(copy) > 3000 &&
		    strncmp(copy, "f(A<int, int>, A<A<int, int>, A<int, int> >, ", 20) == 0);
	write_bomb(bomb, 36);
	free(copy);
	copy = demangle(bomb);
	assert_string_equal(copy, bomb);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlined_calls),
		cmocka_unit_test(test_source_paths),
		cmocka_unit_test(test_separate_debug_file),
		cmocka_unit_test(test_shared_debug_file),
		cmocka_unit_test(test_nested_function),
		cmocka_unit_test(test_split_dwarf),
		cmocka_unit_test(test_stripped_library),
		cmocka_unit_test(test_choice_of_symbols),
		cmocka_unit_test(test_cplusplus_names),
		cmocka_unit_test(test_rust_names),
		cmocka_unit_test(test_system_library),
		cmocka_unit_test(test_many_addresses_take_little_time),
		cmocka_unit_test(test_debug_info_by_hand),
		cmocka_unit_test(test_endless_nesting),
		cmocka_unit_test(test_reference_to_itself),
		cmocka_unit_test(test_absurd_debug_info),
		cmocka_unit_test(test_line_table),
		cmocka_unit_test(test_line_table_budget),
		cmocka_unit_test(test_line_table_that_goes_back),
		cmocka_unit_test(test_demangle),
		cmocka_unit_test(test_demangle_hostile_names),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
