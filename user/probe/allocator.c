// SPDX-License-Identifier: GPL-2.0-or-later
#include "probe/allocator.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

#define SYMBOLS_MAX  1024  /* allocator symbols looked at in one object; real ones have some 200 */
#define CODE_MAX     65536 /* bytes of a function that are decoded */
#define CODE_UNSIZED 4096  /* the same where the symbol table does not say where the function ends */
#define START_SIZE   4	   /* characters by which nearly all other symbols are told from known names */
#define STARTS	     4096  /* hashes of them */

/* Families of names: which prefixes a name occurs with. */
#define PLAIN	 (1U << 0)
#define OPERATOR (1U << 1)
#define GLIBC	 (1U << 2)
#define JEMALLOC (1U << 3)
#define TCMALLOC (1U << 4)
#define MIMALLOC (1U << 5)
#define ANY	 (PLAIN | GLIBC | JEMALLOC | TCMALLOC | MIMALLOC)

/* From the plainest on: of several names of one function the first one is shown. */
static const struct prefix {
	const char *text;
	unsigned int family;
} prefixes[] = {
	{"", PLAIN},
	{"", OPERATOR},
	{"__libc_", GLIBC},
	{"je_", JEMALLOC},    /* as programs that bundle jemalloc configure it */
	{"_rjem_", JEMALLOC}, /* as Rust's crates configure it */
	{"tc_", TCMALLOC},
	{"mi_", MIMALLOC},
};

static const struct known_function {
	const char *name; /* without the prefix */
	enum allocator_kind kind;
	unsigned int families;
} known_functions[] = {
	{"malloc", ALLOCATOR_SIZE_1, ANY},
	{"calloc", ALLOCATOR_PRODUCT, ANY},
	{"realloc", ALLOCATOR_RESIZE, ANY},
	{"reallocarray", ALLOCATOR_RESIZE_PRODUCT, ANY},
	{"posix_memalign", ALLOCATOR_OUT, ANY},
	{"aligned_alloc", ALLOCATOR_SIZE_2, ANY},
	{"memalign", ALLOCATOR_SIZE_2, ANY},
	{"valloc", ALLOCATOR_SIZE_1, ANY},
	{"pvalloc", ALLOCATOR_SIZE_1, ANY},
	{"free", ALLOCATOR_RELEASE, ANY},
	{"cfree", ALLOCATOR_RELEASE, ANY},
	{"free_sized", ALLOCATOR_RELEASE, ANY},		/* C23 */
	{"free_aligned_sized", ALLOCATOR_RELEASE, ANY}, /* C23 */

	{"mallocx", ALLOCATOR_SIZE_1, PLAIN | JEMALLOC}, /* (size, flags) */
	{"rallocx", ALLOCATOR_RESIZE, PLAIN | JEMALLOC}, /* (block, size, flags) */
	{"dallocx", ALLOCATOR_RELEASE, PLAIN | JEMALLOC},
	{"sdallocx", ALLOCATOR_RELEASE, PLAIN | JEMALLOC},

	/* operator new, new[], delete and delete[]: a size, an alignment, std::nothrow, in this order */
	{"_Znwm", ALLOCATOR_THROWING, OPERATOR},
	{"_Znam", ALLOCATOR_THROWING, OPERATOR},
	{"_ZnwmRKSt9nothrow_t", ALLOCATOR_SIZE_1, OPERATOR},
	{"_ZnamRKSt9nothrow_t", ALLOCATOR_SIZE_1, OPERATOR},
	{"_ZnwmSt11align_val_t", ALLOCATOR_THROWING, OPERATOR},
	{"_ZnamSt11align_val_t", ALLOCATOR_THROWING, OPERATOR},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", ALLOCATOR_SIZE_1, OPERATOR},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", ALLOCATOR_SIZE_1, OPERATOR},
	{"_ZdlPv", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdaPv", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdlPvm", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdaPvm", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdlPvRKSt9nothrow_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdaPvRKSt9nothrow_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdlPvSt11align_val_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdaPvSt11align_val_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdlPvmSt11align_val_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdaPvmSt11align_val_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdlPvSt11align_val_tRKSt9nothrow_t", ALLOCATOR_RELEASE, OPERATOR},
	{"_ZdaPvSt11align_val_tRKSt9nothrow_t", ALLOCATOR_RELEASE, OPERATOR},

	/* the same for C, as tcmalloc and mimalloc name them; mimalloc's alignment comes last */
	{"new", ALLOCATOR_THROWING, TCMALLOC | MIMALLOC},
	{"new_nothrow", ALLOCATOR_SIZE_1, TCMALLOC | MIMALLOC},
	{"new_aligned", ALLOCATOR_THROWING, TCMALLOC | MIMALLOC},
	{"new_aligned_nothrow", ALLOCATOR_SIZE_1, TCMALLOC | MIMALLOC},
	{"newarray", ALLOCATOR_THROWING, TCMALLOC},
	{"newarray_nothrow", ALLOCATOR_SIZE_1, TCMALLOC},
	{"newarray_aligned", ALLOCATOR_THROWING, TCMALLOC},
	{"newarray_aligned_nothrow", ALLOCATOR_SIZE_1, TCMALLOC},
	{"delete", ALLOCATOR_RELEASE, TCMALLOC},
	{"delete_nothrow", ALLOCATOR_RELEASE, TCMALLOC},
	{"delete_sized", ALLOCATOR_RELEASE, TCMALLOC},
	{"delete_aligned", ALLOCATOR_RELEASE, TCMALLOC},
	{"delete_aligned_nothrow", ALLOCATOR_RELEASE, TCMALLOC},
	{"delete_sized_aligned", ALLOCATOR_RELEASE, TCMALLOC},
	{"deletearray", ALLOCATOR_RELEASE, TCMALLOC},
	{"deletearray_nothrow", ALLOCATOR_RELEASE, TCMALLOC},
	{"deletearray_sized", ALLOCATOR_RELEASE, TCMALLOC},
	{"deletearray_aligned", ALLOCATOR_RELEASE, TCMALLOC},
	{"deletearray_aligned_nothrow", ALLOCATOR_RELEASE, TCMALLOC},
	{"deletearray_sized_aligned", ALLOCATOR_RELEASE, TCMALLOC},

	{"malloc_skip_new_handler", ALLOCATOR_SIZE_1, TCMALLOC},
	{"zalloc", ALLOCATOR_SIZE_1, MIMALLOC},
	{"malloc_small", ALLOCATOR_SIZE_1, MIMALLOC},
	{"zalloc_small", ALLOCATOR_SIZE_1, MIMALLOC},
	{"malloc_aligned", ALLOCATOR_SIZE_1, MIMALLOC},
	{"zalloc_aligned", ALLOCATOR_SIZE_1, MIMALLOC},
	{"calloc_aligned", ALLOCATOR_PRODUCT, MIMALLOC},
	{"mallocn", ALLOCATOR_PRODUCT, MIMALLOC},
	{"realloc_aligned", ALLOCATOR_RESIZE, MIMALLOC},
	{"rezalloc", ALLOCATOR_RESIZE, MIMALLOC},
	{"reallocn", ALLOCATOR_RESIZE_PRODUCT, MIMALLOC},
	{"recalloc", ALLOCATOR_RESIZE_PRODUCT, MIMALLOC},
	{"free_size", ALLOCATOR_RELEASE, MIMALLOC},
	{"free_aligned", ALLOCATOR_RELEASE, MIMALLOC},
	{"free_size_aligned", ALLOCATOR_RELEASE, MIMALLOC},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* How many argument registers a kind reads, from the first one on. */
static const unsigned int kind_arguments[] = {
	[ALLOCATOR_SIZE_1] = 1,
	[ALLOCATOR_SIZE_2] = 2,
	[ALLOCATOR_PRODUCT] = 2,
	[ALLOCATOR_OUT] = 3,
	[ALLOCATOR_RESIZE] = 2,
	[ALLOCATOR_RESIZE_PRODUCT] = 3,
	[ALLOCATOR_THROWING] = 1,
	[ALLOCATOR_RELEASE] = 1,
};

/* A symbol with a known name. */
struct match {
	uint64_t address;
	uint64_t size;	   /* 0: not known */
	uint64_t next;	   /* where the next function begins */
	unsigned int rank; /* of the name; the plainest one has the lowest */
	const struct prefix *prefix;
	const struct known_function *known;
};

struct matches {
	struct match *items;
	size_t count, capacity;
	bool out_of_memory;
	bool locals_too;     /* local symbols count as well */
	bool locals_seen;    /* there is one with a known name */
	bool has_start;	     /* there is a _start */
	bool own_operators;  /* see has_own_operators() */
	bool starts[STARTS]; /* by the hash of a name's start: whether a known name has it */
};

static size_t hash_start(const char *first, const char *second)
{
	size_t length = strnlen(first, START_SIZE);
	unsigned char bytes[START_SIZE] = {0};
	uint32_t word;

	memcpy(bytes, first, length);
	memcpy(bytes + length, second, strnlen(second, START_SIZE - length));
	memcpy(&word, bytes, sizeof(word));
	return word * 0x9e3779b1U >> 20;
}

static void note_starts(bool *starts)
{
	_Static_assert(STARTS == 1 << 12 && START_SIZE == sizeof(uint32_t), "as hash_start() has them");
	for (size_t p = 0; p < COUNT(prefixes); p++)
		for (size_t k = 0; k < COUNT(known_functions); k++)
			if (known_functions[k].families & prefixes[p].family)
				starts[hash_start(prefixes[p].text, known_functions[k].name)] = true;
}

static bool match_name(const char *name, struct match *match)
{
	for (size_t p = 0; p < COUNT(prefixes); p++) {
		size_t length = strlen(prefixes[p].text);

		if (strncmp(name, prefixes[p].text, length) != 0)
			continue;
		for (size_t k = 0; k < COUNT(known_functions); k++) {
			if (!(known_functions[k].families & prefixes[p].family) ||
				strcmp(name + length, known_functions[k].name) != 0)
				continue;
			match->prefix = &prefixes[p];
			match->known = &known_functions[k];
			match->rank = (unsigned int)(p * COUNT(known_functions) + k);
			return true;
		}
	}
	return false;
}

/*
 * Allocators whose operators have a path of their own to the memory, known by the functions that only they
 * have. The operators of others are left alone: an operator new may throw for reasons of its own, a budget or
 * a pool that is spent, and must be able to.
 */
static bool has_own_operators(const struct match *match)
{
	return match->prefix->family & (JEMALLOC | TCMALLOC | MIMALLOC) ||
	       match->known->families == (PLAIN | JEMALLOC);
}

/* Local symbols are left out: a static function named free in some library is that library's own affair. */
static bool collect_match(const struct elf_symbol *symbol, void *data)
{
	struct matches *matches = data;
	struct match found = {.address = symbol->address, .size = symbol->size, .next = UINT64_MAX};
	struct match *match;

	matches->has_start = matches->has_start || !strcmp(symbol->name, "_start");
	if (!matches->starts[hash_start(symbol->name, "")] || !match_name(symbol->name, &found))
		return true;
	if (!symbol->global && !matches->locals_too) {
		matches->locals_seen = true;
		return true;
	}
	match = array_push(matches);
	if (!match) {
		matches->out_of_memory = true;
		return false;
	}
	*match = found;
	matches->own_operators = matches->own_operators || has_own_operators(&found);
	return matches->count < SYMBOLS_MAX;
}

static int compare_matches(const void *left, const void *right)
{
	const struct match *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Sort by address and leave one match for each, with the plainest name. */
static void merge_aliases(struct matches *matches)
{
	size_t kept = 0;

	if (matches->count)
		qsort(matches->items, matches->count, sizeof(*matches->items), compare_matches);
	for (size_t i = 0; i < matches->count; i++) {
		struct match *match = &matches->items[i];

		if (kept == 0 || matches->items[kept - 1].address != match->address)
			matches->items[kept++] = *match;
		else if (matches->items[kept - 1].size < match->size)
			matches->items[kept - 1].size = match->size;
	}
	matches->count = kept;
}

/* A function without a size ends at the latest where the next one begins. */
static bool note_next_function(const struct elf_symbol *symbol, void *data)
{
	struct matches *matches = data;
	size_t low = 0, high = matches->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (matches->items[middle].address < symbol->address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0 && symbol->address < matches->items[low - 1].next)
		matches->items[low - 1].next = symbol->address;
	return true;
}

static bool knows_all_sizes(const struct matches *matches)
{
	for (size_t i = 0; i < matches->count; i++)
		if (!matches->items[i].size)
			return false;
	return true;
}

static size_t code_size(const struct match *match)
{
	uint64_t size = match->size;

	if (size == 0)
		size = match->next - match->address < CODE_UNSIZED ? match->next - match->address
								   : CODE_UNSIZED;
	return size < CODE_MAX ? (size_t)size : CODE_MAX;
}

/* Addresses of the functions that release blocks, or of those that do not, sorted. */
struct addresses {
	uint64_t items[SYMBOLS_MAX];
	size_t count;
};

/* What allocator_functions_find() works with. */
struct search {
	struct elf_file *file;
	struct matches matches;
	struct addresses releasing, allocating;
	uint8_t code[CODE_MAX];
};

static void select_addresses(const struct matches *matches, bool release, struct addresses *addresses)
{
	addresses->count = 0;
	for (size_t i = 0; i < matches->count; i++)
		if ((matches->items[i].known->kind == ALLOCATOR_RELEASE) == release)
			addresses->items[addresses->count++] = matches->items[i].address;
}

/*
 * The dynamic linker of older C libraries exports a malloc of its own, which serves until that of libc is
 * there and whose blocks are never freed. Musl's linker is its libc.
 */
static bool is_dynamic_linker(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strncmp(name, "ld-linux", 8) == 0 ||
	       (strncmp(name, "ld-", 3) == 0 && isdigit((unsigned char)name[3]));
}

static bool defines_malloc(const struct matches *matches)
{
	for (size_t i = 0; i < matches->count; i++)
		if (strcmp(matches->items[i].known->name, "malloc") == 0)
			return true;
	return false;
}

static int compare_functions(const void *left, const void *right)
{
	const struct allocator_function *a = left, *b = right;

	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Sort by offset; segments that map the same bytes twice would have them probed twice. */
static void sort_functions(struct allocator_functions *functions)
{
	size_t kept = 0;

	if (functions->count)
		qsort(functions->items, functions->count, sizeof(*functions->items), compare_functions);
	for (size_t i = 0; i < functions->count; i++)
		if (kept == 0 || functions->items[kept - 1].offset != functions->items[i].offset)
			functions->items[kept++] = functions->items[i];
	functions->count = kept;
}

/* Operators that always call another function of the table are counted there. */
static bool always_calls_another(const struct search *search, const struct match *match, size_t size)
{
	const struct addresses *others =
		match->known->kind == ALLOCATOR_RELEASE ? &search->releasing : &search->allocating;

	return match->prefix->family == OPERATOR &&
	       code_always_calls(search->code, size, match->address, others->items, others->count);
}

/*
 * A function that hands its arguments on to another of its kind by a mere jump, as musl's free does, is
 * counted there: the caller's frame is the same. Where it does more than that, as valloc does, the sizes may
 * differ.
 */
static bool is_jump_to_same_kind(
	const struct search *search, const struct match *match, size_t size, const struct probe_site *site)
{
	const uint8_t *jump = search->code + site->offset;
	size_t length;

	if (!site->emulated || site->offset >= size || (jump[0] != 0xeb && jump[0] != 0xe9))
		return false;
	length = jump[0] == 0xeb ? 2 : 5;
	for (size_t i = 0; i < search->matches.count; i++) {
		const struct match *other = &search->matches.items[i];

		if (other != match && other->known->kind == match->known->kind &&
			other->prefix->family != OPERATOR &&
			code_calls_any(jump, length, match->address + site->offset, &other->address, 1))
			return true;
	}
	return false;
}

static int add_function(
	struct search *search, const struct match *match, struct allocator_functions *functions)
{
	struct allocator_function *function;
	enum allocator_kind kind = match->known->kind;
	struct probe_site site;
	uint64_t offset;
	size_t size;

	size = elf_file_read_code(search->file, match->address, search->code, code_size(match));
	if (!size || !elf_file_address_to_offset(search->file, match->address, &offset))
		return 0;
	probe_site_choose(search->code, size, kind_arguments[kind], kind == ALLOCATOR_RELEASE, &site);
	if (always_calls_another(search, match, size) || is_jump_to_same_kind(search, match, size, &site))
		return 0;
	function = array_push(functions);
	if (!function)
		return -1;
	snprintf(function->name, sizeof(function->name), "%s%s", match->prefix->text, match->known->name);
	function->kind = kind;
	function->offset = offset;
	function->site = site;
	return 0;
}

/*
 * Linkers make some of libc's functions local in a static, position-independent executable, malloc among
 * them: there, once more with the local symbols.
 */
static void collect_matches(struct elf_file *file, struct matches *matches)
{
	note_starts(matches->starts);
	elf_file_for_each_function(file, collect_match, matches);
	if (!matches->locals_seen || !matches->has_start || elf_file_interpreter(file))
		return;
	matches->locals_too = true;
	matches->count = 0;
	elf_file_for_each_function(file, collect_match, matches);
}

static int find_functions(struct search *search, struct allocator_functions *functions)
{
	struct matches *matches = &search->matches;
	bool operators;

	collect_matches(search->file, matches);
	if (matches->out_of_memory)
		return -1;
	merge_aliases(matches);
	if (!knows_all_sizes(matches))
		elf_file_for_each_function(search->file, note_next_function, matches);
	select_addresses(matches, true, &search->releasing);
	select_addresses(matches, false, &search->allocating);

	/* Elsewhere, as in libstdc++, they call the malloc of another object. */
	operators = defines_malloc(matches) && matches->own_operators;
	for (size_t i = 0; i < matches->count; i++) {
		if (matches->items[i].prefix->family == OPERATOR && !operators)
			continue;
		if (add_function(search, &matches->items[i], functions) < 0)
			return -1;
	}
	sort_functions(functions);
	return 0;
}

int allocator_functions_find(struct elf_file *file, struct allocator_functions *functions, struct error *err)
{
	struct search *search;
	int result;

	if (is_dynamic_linker(elf_file_path(file)))
		return 0;
	search = calloc(1, sizeof(*search));
	if (!search)
		return error_set_errno(err, ENOMEM, "looking for allocators in %s", elf_file_path(file));
	search->file = file;
	result = find_functions(search, functions);
	if (result < 0)
		error_set_errno(err, ENOMEM, "looking for allocators in %s", elf_file_path(file));
	array_free(&search->matches);
	free(search);
	return result;
}

bool allocator_kind_returns(enum allocator_kind kind)
{
	return kind != ALLOCATOR_RELEASE;
}
