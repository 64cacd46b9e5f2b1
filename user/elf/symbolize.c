// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/symbolize.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "elf/debug_info.h"
#include "elf/elf_private.h"
#include "elf/symbol_index.h"

#define NAME_MAX_LENGTH (64 << 10) /* bytes of a name that are shown; a hostile one may be gigabytes long */

static const struct symbol_index *symbols_of(struct elf_file *file)
{
	if (!file->symbols_tried) {
		file->symbols_tried = true;
		file->symbols = symbol_index_new(file);
	}
	return file->symbols;
}

static struct debug_info *debug_info_of(struct elf_file *file)
{
	if (!file->debug_info_tried) {
		file->debug_info_tried = true;
		file->debug_info = debug_info_new(file);
	}
	return file->debug_info;
}

static char *copy_name(const char *name)
{
	_cleanup_free_ char *copy = strndup(name, NAME_MAX_LENGTH);

	return copy ? demangle(copy) : NULL;
}

static bool is_mangled(const char *name)
{
	return strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0;
}

/*
 * The name to show for a place. A mangled name tells most. DWARF has none for C++ functions that are local to
 * a file, and of a function with aliases only the one it was written under (`__libc_malloc`); the symbol at
 * its entry then knows better.
 *
 * @return the name, not demangled, or NULL
 */
static const char *choose_name(struct elf_file *file, const struct code_place *place, uint64_t address)
{
	const char *name = place->name ? place->name : place->linkage_name;
	const struct symbol_index *symbols;
	struct symbol_place symbol;

	if (place->linkage_name && is_mangled(place->linkage_name))
		return place->linkage_name;
	if (place->inlined)
		return name;
	symbols = symbols_of(file);
	if (!symbols)
		return name;
	if (!name)
		return symbol_index_find(symbols, address, &symbol) ? symbol.name : NULL;
	if (!symbol_index_find(symbols, place->entry, &symbol) || symbol.start != place->entry)
		return name;
	if (is_mangled(symbol.name))
		return symbol.name;
	if (symbol.global && leading_underscores(symbol.name) < leading_underscores(name))
		return symbol.name;
	return name;
}

static int add_frame(
	struct elf_file *file, struct code_place *place, uint64_t address, struct source_frames *frames)
{
	const char *name = choose_name(file, place, address);
	struct source_frame *frame = array_push(frames);

	if (!frame)
		return -1;
	frame->file = place->file;
	frame->line = place->line;
	frame->inlined = place->inlined;
	place->file = NULL;
	if (!name)
		return 0;
	frame->function = copy_name(name);
	return frame->function ? 0 : -1;
}

static int add_frames(
	struct elf_file *file, struct code_places *places, uint64_t address, struct source_frames *frames)
{
	for (size_t i = 0; i < places->count; i++)
		if (add_frame(file, &places->items[i], address, frames))
			return -1;
	return 0;
}

/* No DWARF for this address: the symbol is all there is. */
static int add_symbol_frame(struct elf_file *file, uint64_t address, struct source_frames *frames)
{
	const struct symbol_index *symbols = symbols_of(file);
	struct code_place place = {.inlined = false};
	struct symbol_place symbol;

	if (!symbols || !symbol_index_find(symbols, address, &symbol))
		return 0;
	return add_frame(file, &place, address, frames);
}

int symbolize(struct elf_file *file, uint64_t address, struct source_frames *frames)
{
	struct debug_info *info = debug_info_of(file);
	struct code_places places = {0};
	int status = 0;

	if (info)
		status = debug_info_find(info, address, &places);
	if (!status)
		status = places.count ? add_frames(file, &places, address, frames)
				      : add_symbol_frame(file, address, frames);
	code_places_free(&places);
	if (status)
		source_frames_free(frames);
	return status;
}

void source_frames_free(struct source_frames *frames)
{
	for (size_t i = 0; i < frames->count; i++) {
		free(frames->items[i].function);
		free(frames->items[i].file);
	}
	array_free(frames);
}
