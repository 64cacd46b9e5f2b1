// SPDX-License-Identifier: GPL-2.0-or-later
/* Which functions of an object are allocators: ELF files made up on the spot, and the allocators of this
 * machine. */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "probe/allocator.h"

#define LINK_BASE   0x400000ULL /* the file is linked here, so that addresses are not offsets */
#define LOW_BASE    0x200000ULL /* the same code is mapped here once more, */
#define DATA_BASE   0x100000ULL /* and here, where it may not be executed */
#define CODE_OFFSET 0x1000ULL
#define CODE_SIZE   0x40000ULL
#define SLOT	    40ULL /* bytes from one made-up function to the next */

#define PUSH_POP_RET 0x53, 0x5b, 0xc3 /* push %rbx; pop %rbx; ret */

/* One symbol and the code at its address. */
struct symbol {
	const char *name;
	unsigned int slot;
	unsigned int code_size;
	uint8_t code[32];
	uint64_t size;	       /* in the symbol table; 0 for code_size */
	bool unsized;	       /* really 0 in the symbol table */
	unsigned char binding; /* 0 (STB_LOCAL) for STB_GLOBAL */
	unsigned char type;    /* 0 for STT_FUNC */
	bool local, undefined;
	uint64_t address; /* when not that of the slot */
};

static uint64_t slot_offset(unsigned int slot)
{
	return CODE_OFFSET + (uint64_t)slot * SLOT;
}

static void write_at(int fd, uint64_t offset, const void *bytes, size_t size)
{
	assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
}

/* Make an ELF file of a code segment, .symtab and .strtab. @return its descriptor, which the caller closes */
static int make_object(const struct symbol *symbols, size_t count)
{
	static const char section_names[] = "\0.text\0.symtab\0.strtab\0.shstrtab";
	uint64_t symbols_offset = CODE_OFFSET + CODE_SIZE;
	uint64_t strings_offset = symbols_offset + (count + 1) * sizeof(Elf64_Sym);
	uint64_t strings_size = 1, sections_offset;
	Elf64_Sym null_symbol = {0};
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 5,
		.e_shstrndx = 4,
	};
	const Elf64_Phdr segment = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = CODE_OFFSET,
		.p_filesz = CODE_SIZE,
		.p_memsz = CODE_SIZE,
		.p_align = 0x1000,
	};
	Elf64_Phdr segments[3] = {segment, segment, segment};
	int fd = memfd_create("object", MFD_CLOEXEC);

	assert_true(fd >= 0);
	write_at(fd, symbols_offset, &null_symbol, sizeof(null_symbol));
	write_at(fd, strings_offset, "", 1);
	for (size_t i = 0; i < count; i++) {
		const struct symbol *symbol = &symbols[i];
		Elf64_Sym entry = {
			.st_name = (Elf64_Word)strings_size,
			.st_info = ELF64_ST_INFO(symbol->local ? STB_LOCAL : (symbol->binding ?: STB_GLOBAL),
				symbol->type ?: STT_FUNC),
			.st_shndx = symbol->undefined ? SHN_UNDEF : 1,
			.st_value = symbol->address ?: LINK_BASE + slot_offset(symbol->slot),
			.st_size = symbol->unsized ? 0 : (symbol->size ?: symbol->code_size),
		};

		write_at(fd, symbols_offset + (i + 1) * sizeof(entry), &entry, sizeof(entry));
		write_at(fd, strings_offset + strings_size, symbol->name, strlen(symbol->name) + 1);
		strings_size += strlen(symbol->name) + 1;
		if (symbol->code_size)
			write_at(fd, slot_offset(symbol->slot), symbol->code, symbol->code_size);
	}

	write_at(fd, strings_offset + strings_size, section_names, sizeof(section_names));
	sections_offset = (strings_offset + strings_size + sizeof(section_names) + 7) & ~7ULL;
	Elf64_Shdr sections[5] = {
		[1] = {.sh_name = 1,
			.sh_type = SHT_PROGBITS,
			.sh_flags = SHF_ALLOC | SHF_EXECINSTR,
			.sh_addr = LINK_BASE + CODE_OFFSET,
			.sh_offset = CODE_OFFSET,
			.sh_size = CODE_SIZE},
		[2] = {.sh_name = 7,
			.sh_type = SHT_SYMTAB,
			.sh_offset = symbols_offset,
			.sh_size = (count + 1) * sizeof(Elf64_Sym),
			.sh_link = 3,
			.sh_info = 1,
			.sh_addralign = 8,
			.sh_entsize = sizeof(Elf64_Sym)},
		[3] = {.sh_name = 15,
			.sh_type = SHT_STRTAB,
			.sh_offset = strings_offset,
			.sh_size = strings_size},
		[4] = {.sh_name = 23,
			.sh_type = SHT_STRTAB,
			.sh_offset = strings_offset + strings_size,
			.sh_size = sizeof(section_names)},
	};
	header.e_shoff = sections_offset;
	write_at(fd, sections_offset, sections, sizeof(sections));
	write_at(fd, 0, &header, sizeof(header));
	segments[0].p_vaddr = DATA_BASE + CODE_OFFSET;
	segments[0].p_flags = PF_R;
	segments[1].p_vaddr = LOW_BASE + CODE_OFFSET;
	segments[2].p_vaddr = LINK_BASE + CODE_OFFSET;
	write_at(fd, header.e_phoff, segments, sizeof(segments));
	return fd;
}

static void find_in(int fd, const char *path, struct allocator_functions *functions)
{
	struct error err = {0};
	struct elf_file *file = elf_file_open(fd, path, "", &err);

	if (!file)
		fail_msg("%s", err.message);
	assert_int_equal(allocator_functions_find(file, functions, &err), 0);
	elf_file_close(file);
}

static void find_in_object(
	const struct symbol *symbols, size_t count, const char *path, struct allocator_functions *functions)
{
	_cleanup_close_ int fd = make_object(symbols, count);

	find_in(fd, path, functions);
}

static const struct allocator_function *find_name(
	const struct allocator_functions *functions, const char *name)
{
	for (size_t i = 0; i < functions->count; i++)
		if (strcmp(functions->items[i].name, name) == 0)
			return &functions->items[i];
	return NULL;
}

static const struct {
	const char *name;
	enum allocator_kind kind;
} taken[] = {
	{"malloc", ALLOCATOR_SIZE_1},
	{"calloc", ALLOCATOR_PRODUCT},
	{"realloc", ALLOCATOR_RESIZE},
	{"reallocarray", ALLOCATOR_RESIZE_PRODUCT},
	{"posix_memalign", ALLOCATOR_OUT},
	{"aligned_alloc", ALLOCATOR_SIZE_2},
	{"memalign", ALLOCATOR_SIZE_2},
	{"valloc", ALLOCATOR_SIZE_1},
	{"pvalloc", ALLOCATOR_SIZE_1},
	{"free", ALLOCATOR_RELEASE},
	{"cfree", ALLOCATOR_RELEASE},
	{"_Znwm", ALLOCATOR_THROWING},
	{"_Znam", ALLOCATOR_THROWING},
	{"_ZnwmRKSt9nothrow_t", ALLOCATOR_SIZE_1},
	{"_ZnamRKSt9nothrow_t", ALLOCATOR_SIZE_1},
	{"_ZnwmSt11align_val_t", ALLOCATOR_THROWING},
	{"_ZnamSt11align_val_t", ALLOCATOR_THROWING},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", ALLOCATOR_SIZE_1},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", ALLOCATOR_SIZE_1},
	{"_ZdlPv", ALLOCATOR_RELEASE},
	{"_ZdaPv", ALLOCATOR_RELEASE},
	{"_ZdlPvm", ALLOCATOR_RELEASE},
	{"_ZdaPvm", ALLOCATOR_RELEASE},
	{"_ZdlPvRKSt9nothrow_t", ALLOCATOR_RELEASE},
	{"_ZdaPvRKSt9nothrow_t", ALLOCATOR_RELEASE},
	{"_ZdlPvSt11align_val_t", ALLOCATOR_RELEASE},
	{"_ZdaPvSt11align_val_t", ALLOCATOR_RELEASE},
	{"_ZdlPvmSt11align_val_t", ALLOCATOR_RELEASE},
	{"_ZdaPvmSt11align_val_t", ALLOCATOR_RELEASE},
	{"_ZdlPvSt11align_val_tRKSt9nothrow_t", ALLOCATOR_RELEASE},
	{"_ZdaPvSt11align_val_tRKSt9nothrow_t", ALLOCATOR_RELEASE},
	{"__libc_malloc", ALLOCATOR_SIZE_1},
	{"__libc_memalign", ALLOCATOR_SIZE_2},
	{"__libc_reallocarray", ALLOCATOR_RESIZE_PRODUCT},
	{"mallocx", ALLOCATOR_SIZE_1},
	{"rallocx", ALLOCATOR_RESIZE},
	{"dallocx", ALLOCATOR_RELEASE},
	{"sdallocx", ALLOCATOR_RELEASE},
	{"je_malloc", ALLOCATOR_SIZE_1},
	{"je_posix_memalign", ALLOCATOR_OUT},
	{"je_sdallocx", ALLOCATOR_RELEASE},
	{"_rjem_calloc", ALLOCATOR_PRODUCT},
	{"_rjem_rallocx", ALLOCATOR_RESIZE},
	{"tc_malloc", ALLOCATOR_SIZE_1},
	{"tc_new", ALLOCATOR_THROWING},
	{"tc_newarray_nothrow", ALLOCATOR_SIZE_1},
	{"tc_deletearray_sized_aligned", ALLOCATOR_RELEASE},
	{"tc_free_sized", ALLOCATOR_RELEASE},
	{"mi_zalloc", ALLOCATOR_SIZE_1},
	{"mi_calloc_aligned", ALLOCATOR_PRODUCT},
	{"mi_recalloc", ALLOCATOR_RESIZE_PRODUCT},
	{"mi_free_size_aligned", ALLOCATOR_RELEASE},
	{"mi_new_aligned", ALLOCATOR_THROWING},
};

/* Names that look like those above. */
static const char *const left_out[] = {
	"malloc_usable_size",
	"xmalloc",
	"mallocx_",
	"Malloc",
	"nallocx",
	"xallocx",
	"new",
	"delete",
	"zalloc",
	"je_new",
	"je_",
	"tc_",
	"tc_zalloc",
	"mi_mallocx",
	"mi_reallocf",
	"mi_heap_malloc",
	"__libc_mallocx",
	"__libc__Znwm",
	"_Znwj",
	"_ZdlPvj",
	"free_",
	"_free",
};

static void test_names_and_kinds(void **state)
{
	enum { TAKEN = sizeof(taken) / sizeof(taken[0]), LEFT_OUT = sizeof(left_out) / sizeof(left_out[0]) };
	struct symbol symbols[TAKEN + LEFT_OUT] = {0};
	struct allocator_functions functions = {0};

	(void)state;
	for (unsigned int i = 0; i < TAKEN + LEFT_OUT; i++)
		symbols[i] = (struct symbol){.name = i < TAKEN ? taken[i].name : left_out[i - TAKEN],
			.slot = i,
			.code_size = 3,
			.code = {PUSH_POP_RET}};
	find_in_object(symbols, TAKEN + LEFT_OUT, "/bin/program", &functions);
	assert_int_equal(functions.count, TAKEN);
	for (unsigned int i = 0; i < TAKEN; i++) { /* the slots make the order of offsets that of the table */
		assert_string_equal(functions.items[i].name, taken[i].name);
		assert_int_equal(functions.items[i].kind, taken[i].kind);
		assert_int_equal(functions.items[i].offset, slot_offset(i));
		assert_int_equal(functions.items[i].site.offset, 0);
		assert_true(functions.items[i].site.emulated);
		assert_string_equal(functions.items[i].site.instruction, "push %rbx");
	}
	array_free(&functions);
}

static void test_kinds_that_return(void **state)
{
	(void)state;
	for (int kind = ALLOCATOR_SIZE_1; kind < ALLOCATOR_RELEASE; kind++)
		assert_true(allocator_kind_returns((enum allocator_kind)kind));
	assert_false(allocator_kind_returns(ALLOCATOR_RELEASE));
}

static void test_aliases_are_one_function(void **state)
{
	static const struct symbol symbols[] = {
		{.name = "tc_malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "__libc_malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "tc_delete", .slot = 2, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "_ZdlPv", .slot = 2, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "tc_cfree", .slot = 2, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "tc_new", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "_Znam", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "_Znwm", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}},
	};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, sizeof(symbols) / sizeof(symbols[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, 3);
	assert_string_equal(functions.items[0].name, "malloc");
	assert_string_equal(functions.items[1].name, "_Znwm");
	assert_string_equal(functions.items[2].name, "_ZdlPv");
	array_free(&functions);
}

static void test_sizes_of_aliases(void **state)
{
	static const struct symbol symbols[] = {
		/* mov %rdi,%rax; push %rbx; pop %rbx; ret; what follows is not its own: jmp behind the mov */
		{.name = "malloc",
			.code_size = 8,
			.code = {0x48, 0x89, 0xf8, PUSH_POP_RET, 0xeb, 0xfb},
			.unsized = true},
		{.name = "__libc_malloc", .size = 6},
	};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, 2, "/bin/program", &functions);
	assert_int_equal(functions.count, 1);
	assert_string_equal(functions.items[0].name, "malloc");
	assert_int_equal(functions.items[0].site.offset, 3);
	array_free(&functions);
}

/* A probe stands at an offset in the file, however often and in which order segments map it. */
static void test_code_mapped_twice(void **state)
{
	static const struct symbol symbols[] = {
		{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "malloc", .size = 3, .address = LOW_BASE + CODE_OFFSET},
		{.name = "free", .slot = 1, .size = 3, .address = LOW_BASE + CODE_OFFSET + SLOT},
		{.name = "cfree", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "calloc", .slot = 2, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "realloc",
			.slot = 3,
			.code_size = 3,
			.code = {PUSH_POP_RET},
			.address = LOW_BASE + CODE_OFFSET + 3 * SLOT},
	};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, sizeof(symbols) / sizeof(symbols[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(functions.items[i].offset, slot_offset(i));
	assert_string_equal(functions.items[0].name, "malloc");
	assert_string_equal(functions.items[2].name, "calloc");
	assert_string_equal(functions.items[3].name, "realloc");
	array_free(&functions);
}

static void test_only_global_functions_are_taken(void **state)
{
	static const struct symbol symbols[] = {
		{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}, .binding = STB_WEAK},
		{.name = "free", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}, .local = true},
		{.name = "calloc", .slot = 2, .code_size = 3, .code = {PUSH_POP_RET}, .type = STT_GNU_IFUNC},
		{.name = "realloc", .slot = 3, .code_size = 3, .code = {PUSH_POP_RET}, .undefined = true},
		{.name = "memalign", .slot = 4, .code_size = 3, .code = {PUSH_POP_RET}, .type = STT_OBJECT},
		/* outside of the code */
		{.name = "valloc", .slot = 5, .code_size = 3, .code = {PUSH_POP_RET}, .address = 0x10},
		{.name = "pvalloc", .slot = 6, .code_size = 3, .address = UINT64_MAX - 1},
		{.name = "cfree", .slot = 7, .code_size = 3, .address = DATA_BASE + CODE_OFFSET + 7 * SLOT},
	};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, sizeof(symbols) / sizeof(symbols[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, 1);
	assert_string_equal(functions.items[0].name, "malloc");
	array_free(&functions);
}

static void test_the_dynamic_linker_is_left_out(void **state)
{
	static const struct symbol symbols[] = {{.name = "malloc", .code_size = 3, .code = {PUSH_POP_RET}}};
	static const struct {
		const char *path;
		size_t count;
	} objects[] = {
		{"/lib64/ld-linux-x86-64.so.2", 0},
		{"ld-linux-x86-64.so.2", 0},
		{"/usr/lib/x86_64-linux-gnu/ld-2.31.so", 0},
		{"/usr/lib/x86_64-linux-gnu/ld-2.31.so (deleted)", 0},
		{"/lib/ld-musl-x86_64.so.1", 1},
		{"/ld-2.31.so/program", 1},
		{"/bin/ld-tool", 1},
		{"", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		struct allocator_functions functions = {0};

		find_in_object(symbols, 1, objects[i].path, &functions);
		assert_int_equal(functions.count, objects[i].count);
		array_free(&functions);
	}
}

/* The distance of a call or jmp, `length` bytes long at `at` in one slot, to the beginning of another slot.
 */
#define DISTANCE(from, at, length, to) ((uint32_t)(to)*SLOT - (uint32_t)(from)*SLOT - (at) - (length))
#define TO_SLOT(from, at, length, to)                                                                        \
	(uint8_t) DISTANCE(from, at, length, to), (uint8_t)(DISTANCE(from, at, length, to) >> 8),            \
		(uint8_t)(DISTANCE(from, at, length, to) >> 16),                                             \
		(uint8_t)(DISTANCE(from, at, length, to) >> 24)

static const struct symbol operators[] = {
	{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
	{.name = "free", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}},
	/* push %rbx; call malloc; pop %rbx; ret */
	{.name = "_Znwm", .slot = 2, .code_size = 8, .code = {0x53, 0xe8, TO_SLOT(2, 1, 5, 0), 0x5b, 0xc3}},
	/* jmp _Znwm */
	{.name = "_Znam", .slot = 3, .code_size = 5, .code = {0xe9, TO_SLOT(3, 0, 5, 2)}},
	/* cmp %rax,%rdi; ja slow; ret; slow: jmp malloc */
	{.name = "_ZnwmRKSt9nothrow_t",
		.slot = 4,
		.code_size = 11,
		.code = {0x48, 0x39, 0xc7, 0x77, 0x01, 0xc3, 0xe9, TO_SLOT(4, 6, 5, 0)}},
	/* jmp free */
	{.name = "_ZdlPv", .slot = 5, .code_size = 5, .code = {0xe9, TO_SLOT(5, 0, 5, 1)}},
	/* what releases a block is not counted where one is born: jmp malloc */
	{.name = "_ZdlPvm", .slot = 6, .code_size = 5, .code = {0xe9, TO_SLOT(6, 0, 5, 0)}},
	/* jmp _Znwm: the operator may be left out, so this is kept */
	{.name = "tc_new", .slot = 8, .code_size = 5, .code = {0xe9, TO_SLOT(8, 0, 5, 2)}},
	/* not an operator: taken though it always calls malloc, which the nesting of calls takes care of */
	{.name = "calloc", .slot = 7, .code_size = 8, .code = {0x53, 0xe8, TO_SLOT(7, 1, 5, 0), 0x5b, 0xc3}},
};

static void test_operators_are_taken_where_they_do_the_work(void **state)
{
	static const char *const expected[] = {
		"malloc", "free", "_ZnwmRKSt9nothrow_t", "_ZdlPvm", "calloc", "tc_new"};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(operators, sizeof(operators) / sizeof(operators[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < functions.count; i++)
		assert_string_equal(functions.items[i].name, expected[i]);
	array_free(&functions);
}

/* libstdc++ defines them, and calls the malloc of another object. */
static void test_operators_without_malloc_are_left_out(void **state)
{
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(operators + 1, sizeof(operators) / sizeof(operators[0]) - 1, "/lib/libstdc++.so.6",
		&functions);
	assert_int_equal(functions.count, 3);
	assert_string_equal(functions.items[0].name, "free");
	assert_string_equal(functions.items[1].name, "calloc");
	assert_string_equal(functions.items[2].name, "tc_new");
	array_free(&functions);
}

static void test_jumps_to_a_function_of_the_same_kind_are_left_out(void **state)
{
	static const struct symbol symbols[] = {
		{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "aligned_alloc", .slot = 1, .code_size = 3, .code = {PUSH_POP_RET}},
		{.name = "__libc_free", .slot = 2, .code_size = 3, .code = {PUSH_POP_RET}},
		/* a short jmp to what is behind it: je aligned_alloc; ret */
		{.name = "je_memalign",
			.slot = 3,
			.code_size = 5,
			.code = {0xeb, 0x02, 0x74, (uint8_t)DISTANCE(3, 2, 2, 1), 0xc3}},
		/* endbr64; jmp malloc */
		{.name = "je_malloc",
			.slot = 4,
			.code_size = 9,
			.code = {0xf3, 0x0f, 0x1e, 0xfa, 0xe9, TO_SLOT(4, 4, 5, 0)}},
		/* test %rdi,%rdi; je ret; jmp __libc_free, a short one; ret */
		{.name = "free",
			.slot = 5,
			.code_size = 8,
			.code = {0x48, 0x85, 0xff, 0x74, 0x02, 0xeb, (uint8_t)DISTANCE(5, 5, 2, 2), 0xc3}},
		/* of another kind: jmp malloc */
		{.name = "calloc", .slot = 6, .code_size = 5, .code = {0xe9, TO_SLOT(6, 0, 5, 0)}},
		/* lea 0xfff(%rdi),%rdi; jmp malloc: the size is another one */
		{.name = "pvalloc",
			.slot = 7,
			.code_size = 12,
			.code = {0x48, 0x8d, 0xbf, 0xff, 0x0f, 0x00, 0x00, 0xe9, TO_SLOT(7, 7, 5, 0)}},
		/* push %rdi; jmp malloc: the jump is not the site */
		{.name = "valloc", .slot = 8, .code_size = 6, .code = {0x57, 0xe9, TO_SLOT(8, 1, 5, 0)}},
		/* je malloc; ret */
		{.name = "mi_zalloc",
			.slot = 9,
			.code_size = 7,
			.code = {0x0f, 0x84, TO_SLOT(9, 0, 6, 0), 0xc3}},
		/* call malloc; ret */
		{.name = "je_valloc", .slot = 11, .code_size = 6, .code = {0xe8, TO_SLOT(11, 0, 5, 0), 0xc3}},
		/* jmp aligned_alloc */
		{.name = "memalign", .slot = 12, .code_size = 5, .code = {0xe9, TO_SLOT(12, 0, 5, 1)}},
		/* jmp to itself */
		{.name = "realloc", .slot = 10, .code_size = 2, .code = {0xeb, 0xfe}},
	};
	static const char *const expected[] = {"malloc", "aligned_alloc", "__libc_free", "je_memalign",
		"calloc", "pvalloc", "valloc", "mi_zalloc", "realloc", "je_valloc"};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, sizeof(symbols) / sizeof(symbols[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < functions.count; i++)
		assert_string_equal(functions.items[i].name, expected[i]);
	array_free(&functions);
}

static void test_arguments_and_null_by_kind(void **state)
{
	static const struct symbol symbols[] = {
		/* mov %rdi,%rsi; push %rbx: of the arguments, malloc needs only the first */
		{.name = "malloc", .slot = 0, .code_size = 6, .code = {0x48, 0x89, 0xfe, PUSH_POP_RET}},
		{.name = "calloc", .slot = 1, .code_size = 6, .code = {0x48, 0x89, 0xfe, PUSH_POP_RET}},
		/* mov %rdi,%rdx; push %rbx */
		{.name = "realloc", .slot = 2, .code_size = 6, .code = {0x48, 0x89, 0xfa, PUSH_POP_RET}},
		{.name = "posix_memalign",
			.slot = 3,
			.code_size = 6,
			.code = {0x48, 0x89, 0xfa, PUSH_POP_RET}},
		{.name = "reallocarray", .slot = 4, .code_size = 6, .code = {0x48, 0x89, 0xfa, PUSH_POP_RET}},
		/* test %rdi,%rdi; je ret; push %rbx */
		{.name = "free",
			.slot = 5,
			.code_size = 8,
			.code = {0x48, 0x85, 0xff, 0x74, 0x02, PUSH_POP_RET}},
		{.name = "valloc",
			.slot = 6,
			.code_size = 8,
			.code = {0x48, 0x85, 0xff, 0x74, 0x02, PUSH_POP_RET}},
		/* mov %rdi,%rsi; push %rbx */
		{.name = "rallocx", .slot = 7, .code_size = 6, .code = {0x48, 0x89, 0xfe, PUSH_POP_RET}},
		{.name = "memalign", .slot = 8, .code_size = 6, .code = {0x48, 0x89, 0xfe, PUSH_POP_RET}},
		{.name = "_Znwm", .slot = 9, .code_size = 6, .code = {0x48, 0x89, 0xfe, PUSH_POP_RET}},
		{.name = "cfree", .slot = 10, .code_size = 6, .code = {0x48, 0x89, 0xfe, PUSH_POP_RET}},
		/* mov %rdi,%rdx; push %rbx */
		{.name = "aligned_alloc",
			.slot = 11,
			.code_size = 6,
			.code = {0x48, 0x89, 0xfa, PUSH_POP_RET}},
	};
	static const struct {
		uint32_t offset;
		bool emulated;
	} expected[] = {{3, true}, {0, false}, {3, true}, {0, false}, {0, false}, {5, true}, {3, true},
		{0, false}, {0, false}, {3, true}, {3, true}, {3, true}};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, sizeof(symbols) / sizeof(symbols[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < functions.count; i++) {
		assert_int_equal(functions.items[i].site.offset, expected[i].offset);
		assert_int_equal(functions.items[i].site.emulated, expected[i].emulated);
	}
	array_free(&functions);
}

/* Whose code it is decides whether a branch into the skipped range counts. */
static void test_functions_without_a_size_end_at_the_next(void **state)
{
	static const struct symbol symbols[] = {
		/* mov %rdi,%rax; push %rbx; pop %rbx; ret */
		{.name = "malloc",
			.slot = 0,
			.code_size = 6,
			.code = {0x48, 0x89, 0xf8, PUSH_POP_RET},
			.unsized = true},
		/* jmp into malloc, behind its first instruction */
		{.name = "helper", .slot = 1, .code_size = 2, .code = {0xeb, (uint8_t)(-SLOT - 2 + 3)}},
		/* the same again, but the jump is the function's own */
		{.name = "valloc",
			.slot = 2,
			.code_size = 8,
			.code = {0x48, 0x89, 0xf8, 0x53, 0x5b, 0xeb, (uint8_t)(-7 + 3), 0xc3},
			.unsized = true},
		{.name = "pvalloc",
			.slot = 3,
			.code_size = 6,
			.code = {0x48, 0x89, 0xf8, PUSH_POP_RET},
			.unsized = true},
	};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, sizeof(symbols) / sizeof(symbols[0]), "/bin/program", &functions);
	assert_int_equal(functions.count, 3);
	assert_int_equal(functions.items[0].site.offset, 3);
	assert_int_equal(functions.items[1].site.offset, 0);
	assert_false(functions.items[1].site.emulated);
	assert_int_equal(functions.items[2].site.offset, 3);
	array_free(&functions);
}

static void test_sizes_beyond_the_file(void **state)
{
	static const struct symbol symbols[] = {
		{.name = "malloc", .slot = 0, .code_size = 3, .code = {PUSH_POP_RET}, .size = UINT64_MAX},
		{.name = "free",
			.slot = CODE_SIZE / SLOT - 1,
			.code_size = 3,
			.code = {PUSH_POP_RET},
			.size = 4096},
	};
	struct allocator_functions functions = {0};

	(void)state;
	find_in_object(symbols, 2, "/bin/program", &functions);
	assert_int_equal(functions.count, 2);
	assert_true(functions.items[0].site.emulated);
	assert_true(functions.items[1].site.emulated);
	array_free(&functions);
}

static void test_too_many_symbols(void **state)
{
	enum { MANY = 3000 };
	struct symbol *symbols = calloc(MANY, sizeof(*symbols));
	struct allocator_functions functions = {0};

	(void)state;
	assert_non_null(symbols);
	for (unsigned int i = 0; i < MANY; i++)
		symbols[i] =
			(struct symbol){.name = "malloc", .slot = i, .code_size = 3, .code = {PUSH_POP_RET}};
	find_in_object(symbols, MANY, "/bin/program", &functions);
	assert_in_range(functions.count, 1, MANY - 1);
	array_free(&functions);
	free(symbols);
}

/* What is found in an allocator of this machine, when it is installed. */
struct installed {
	const char *path;
	const char *present; /* words */
	const char *absent;
};

static void check_installed(void **state)
{
	const struct installed *installed = *state;
	_cleanup_close_ int fd = open(installed->path, O_RDONLY | O_CLOEXEC);
	struct allocator_functions functions = {0};
	char words[512], *rest = words, *word;

	if (fd < 0)
		skip();
	find_in(fd, installed->path, &functions);
	for (size_t i = 0; i < functions.count; i++) {
		assert_true(i == 0 || functions.items[i - 1].offset < functions.items[i].offset);
		assert_string_not_equal(functions.items[i].site.instruction, "");
	}
	snprintf(words, sizeof(words), "%s", installed->present);
	while ((word = strsep(&rest, " ")))
		if (*word && !find_name(&functions, word))
			fail_msg("%s: %s was not found", installed->path, word);
	rest = words;
	snprintf(words, sizeof(words), "%s", installed->absent);
	while ((word = strsep(&rest, " ")))
		if (*word && find_name(&functions, word))
			fail_msg("%s: %s is counted elsewhere, but was found", installed->path, word);
	array_free(&functions);
}

#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"
#define COMMON	  "malloc calloc realloc free posix_memalign aligned_alloc valloc "

static struct installed glibc = {LIBRARIES "libc.so.6", COMMON "pvalloc reallocarray",
	"__libc_malloc __libc_free cfree __libc_calloc __libc_memalign _Znwm"};
static struct installed musl = {"/lib/ld-musl-x86_64.so.1", COMMON "memalign reallocarray", "_Znwm"};
static struct installed jemalloc = {LIBRARIES "libjemalloc.so.2",
	COMMON "memalign mallocx rallocx dallocx sdallocx _Znwm _ZdlPvm", "_Znam"};
static struct installed tcmalloc = {LIBRARIES "libtcmalloc_minimal.so.4",
	COMMON "pvalloc _Znwm _ZnwmRKSt9nothrow_t _ZnwmSt11align_val_t _ZdlPvm _ZdlPvmSt11align_val_t",
	"tc_malloc tc_new _Znam _ZdlPv tc_delete memalign cfree __libc_malloc"};
static struct installed mimalloc = {LIBRARIES "libmimalloc.so.2.0",
	COMMON "_Znwm mi_zalloc mi_malloc_aligned", "mi_malloc mi_free _ZdlPv"};
static struct installed libstdcxx = {LIBRARIES "libstdc++.so.6", "", "_Znwm _ZdlPv _Znam _ZdlPvm"};
static struct installed linker = {"/lib64/ld-linux-x86-64.so.2", "", "malloc free"};

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_kinds),
		cmocka_unit_test(test_kinds_that_return),
		cmocka_unit_test(test_aliases_are_one_function),
		cmocka_unit_test(test_sizes_of_aliases),
		cmocka_unit_test(test_code_mapped_twice),
		cmocka_unit_test(test_only_global_functions_are_taken),
		cmocka_unit_test(test_the_dynamic_linker_is_left_out),
		cmocka_unit_test(test_operators_are_taken_where_they_do_the_work),
		cmocka_unit_test(test_operators_without_malloc_are_left_out),
		cmocka_unit_test(test_jumps_to_a_function_of_the_same_kind_are_left_out),
		cmocka_unit_test(test_arguments_and_null_by_kind),
		cmocka_unit_test(test_functions_without_a_size_end_at_the_next),
		cmocka_unit_test(test_sizes_beyond_the_file),
		cmocka_unit_test(test_too_many_symbols),
		{"installed glibc", check_installed, NULL, NULL, &glibc},
		{"installed musl", check_installed, NULL, NULL, &musl},
		{"installed jemalloc", check_installed, NULL, NULL, &jemalloc},
		{"installed tcmalloc", check_installed, NULL, NULL, &tcmalloc},
		{"installed mimalloc", check_installed, NULL, NULL, &mimalloc},
		{"installed libstdc++", check_installed, NULL, NULL, &libstdcxx},
		{"installed dynamic linker", check_installed, NULL, NULL, &linker},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
