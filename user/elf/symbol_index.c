// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/symbol_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "elf/range_index.h"

struct indexed_symbol {
	const char *name;
	uint64_t start, size;
	uint64_t limit; /* a symbol without a size ends here at the latest */
	bool function;
	bool global;
};

struct symbol_index {
	struct {
		struct indexed_symbol *items;
		size_t count, capacity;
	} symbols;
	struct range_index ranges;	   /* values are positions in `symbols` */
	struct elf_symbol_table tables[3]; /* the names live here */
};

size_t leading_underscores(const char *name)
{
	return strspn(name, "_");
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The better name is the greater one. */
static int compare_names(const char *a, const char *b)
{
	int order = compare_numbers(leading_underscores(b), leading_underscores(a));

	if (!order)
		order = compare_numbers(strlen(b), strlen(a));
	return order ? order : strcmp(b, a);
}

/* From the least to the most wanted: later positions win where ranges overlap. */
static int compare_symbols(const void *left, const void *right)
{
	const struct indexed_symbol *a = left, *b = right;
	int order = compare_numbers(a->size > 0, b->size > 0);

	if (!order)
		order = compare_numbers(a->start, b->start);
	if (!order)
		order = compare_numbers(a->function, b->function);
	if (!order)
		order = compare_numbers(a->global, b->global);
	return order ? order : compare_names(a->name, b->name);
}

/* Untyped symbols are hand-written code (`_start`) as well as marks of linker and assembler, which name
 * nothing. */
static bool is_code_symbol(const Elf64_Sym *symbol, const char *name)
{
	switch (ELF64_ST_TYPE(symbol->st_info)) {
	case STT_FUNC:
	case STT_GNU_IFUNC:
		return true;
	case STT_NOTYPE:
		return symbol->st_shndx < SHN_LORESERVE && name[0] != '$' && name[0] != '.';
	default:
		return false;
	}
}

static uint64_t end_of_section(const struct elf_object *object, const Elf64_Sym *symbol)
{
	const Elf64_Shdr *section;

	if (symbol->st_shndx >= object->section_count)
		return UINT64_MAX;
	section = &object->sections[symbol->st_shndx];
	if (symbol->st_value < section->sh_addr || symbol->st_value - section->sh_addr >= section->sh_size)
		return UINT64_MAX;
	if (section->sh_size > UINT64_MAX - section->sh_addr)
		return UINT64_MAX;
	return section->sh_addr + section->sh_size;
}

static int add_symbol(struct symbol_index *index, const struct elf_file *file,
	const struct elf_object *object, struct elf_symbol_table *table, const Elf64_Sym *symbol)
{
	const Elf64_Phdr *segment;
	struct indexed_symbol *added;
	const char *name;
	uint64_t limit;

	if (symbol->st_shndx == SHN_UNDEF)
		return 0;
	segment = elf_file_code_segment(file, symbol->st_value);
	if (!segment)
		return 0;
	name = elf_symbol_name(table, symbol);
	if (!name || !is_code_symbol(symbol, name))
		return 0;
	limit = end_of_section(object, symbol);
	/* A mark like `_etext` stands behind the last byte of its section. */
	if (!symbol->st_size && limit == UINT64_MAX && symbol->st_shndx < object->section_count)
		return 0;
	if (limit > segment->p_vaddr + segment->p_memsz)
		limit = segment->p_vaddr + segment->p_memsz;
	added = array_push(&index->symbols);
	if (!added)
		return -1;
	*added = (struct indexed_symbol){
		.name = name,
		.start = symbol->st_value,
		.size = symbol->st_size,
		.limit = limit,
		.function = ELF64_ST_TYPE(symbol->st_info) != STT_NOTYPE,
		.global = ELF64_ST_BIND(symbol->st_info) != STB_LOCAL,
	};
	if (added->size > segment->p_vaddr + segment->p_memsz - added->start)
		added->size = segment->p_vaddr + segment->p_memsz - added->start;
	return 0;
}

static int add_table(struct symbol_index *index, const struct elf_file *file, const struct elf_object *object,
	uint32_t type, struct elf_symbol_table *table)
{
	if (elf_object_read_symbols(object, type, table))
		return 0;
	for (size_t i = 0; i < table->count; i++)
		if (add_symbol(index, file, object, table, &table->symbols[i]))
			return -1;
	free(table->symbols);
	table->symbols = NULL;
	table->count = 0;
	return 0;
}

/*
 * Symbols without a size stand first; each reaches to the next symbol of either kind. Of several at the same
 * start only the last, the most wanted one, is given a range.
 */
static int add_unsized_ranges(struct symbol_index *index, size_t unsized)
{
	const struct indexed_symbol *symbols = index->symbols.items;
	size_t sized = unsized;

	for (size_t i = 0; i < unsized; i++) {
		uint64_t start = symbols[i].start, end = symbols[i].limit;

		if (i + 1 < unsized && symbols[i + 1].start == start)
			continue;
		if (i + 1 < unsized && symbols[i + 1].start < end)
			end = symbols[i + 1].start;
		while (sized < index->symbols.count && symbols[sized].start <= start)
			sized++;
		if (sized < index->symbols.count && symbols[sized].start < end)
			end = symbols[sized].start;
		if (range_index_add(&index->ranges, start, end, (uint32_t)i))
			return -1;
	}
	return 0;
}

static int add_ranges(struct symbol_index *index)
{
	const struct indexed_symbol *symbols = index->symbols.items;
	size_t unsized = 0;

	while (unsized < index->symbols.count && !symbols[unsized].size)
		unsized++;
	if (add_unsized_ranges(index, unsized))
		return -1;
	for (size_t i = unsized; i < index->symbols.count; i++)
		if (range_index_add(&index->ranges, symbols[i].start, symbols[i].start + symbols[i].size,
			    (uint32_t)i))
			return -1;
	return range_index_flatten(&index->ranges);
}

static int build(struct symbol_index *index, struct elf_file *file)
{
	const struct elf_object *debug = elf_file_debug_object(file);

	if (add_table(index, file, &file->object, SHT_SYMTAB, &index->tables[0]) ||
		add_table(index, file, &file->object, SHT_DYNSYM, &index->tables[1]))
		return -1;
	if (debug && add_table(index, file, debug, SHT_SYMTAB, &index->tables[2]))
		return -1;
	if (!index->symbols.count)
		return 0;
	qsort(index->symbols.items, index->symbols.count, sizeof(*index->symbols.items), compare_symbols);
	return add_ranges(index);
}

struct symbol_index *symbol_index_new(struct elf_file *file)
{
	struct symbol_index *index = calloc(1, sizeof(*index));

	if (index && build(index, file)) {
		symbol_index_free(index);
		return NULL;
	}
	return index;
}

void symbol_index_free(struct symbol_index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < sizeof(index->tables) / sizeof(index->tables[0]); i++)
		elf_symbol_table_free(&index->tables[i]);
	array_free(&index->symbols);
	array_free(&index->ranges);
	free(index);
}

bool symbol_index_find(const struct symbol_index *index, uint64_t address, struct symbol_place *place)
{
	const struct address_range *range = range_index_find(&index->ranges, address);
	const struct indexed_symbol *symbol;

	if (!range)
		return false;
	symbol = &index->symbols.items[range->value];
	*place =
		(struct symbol_place){.name = symbol->name, .start = symbol->start, .global = symbol->global};
	return true;
}
