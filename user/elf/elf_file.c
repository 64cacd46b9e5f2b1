// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/elf_file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "elf/debug_file.h"
#include "elf/debug_info.h"
#include "elf/elf_private.h"
#include "elf/symbol_index.h"

static int corrupt_segment(const char *path, struct error *err)
{
	return error_set(err, ERROR_INPUT,
		"cannot read %s: truncated or corrupt ELF file: a segment lies outside of it", path);
}

static bool segment_is_valid(const Elf64_Phdr *segment, uint64_t file_size)
{
	return segment->p_filesz <= segment->p_memsz && segment->p_offset <= file_size &&
	       segment->p_filesz <= file_size - segment->p_offset &&
	       segment->p_memsz <= UINT64_MAX - segment->p_vaddr;
}

static void take_interpreter(struct elf_file *file, const Elf64_Phdr *header)
{
	if (!file->interpreter)
		file->interpreter =
			elf_object_read_new(&file->object, header->p_offset, header->p_filesz, PATH_MAX);
}

/* Keep the PT_LOAD headers, and what the others tell. */
static int take_segments(struct elf_file *file, const Elf64_Phdr *headers, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		const Elf64_Phdr *header = &headers[i];

		switch (header->p_type) {
		case PT_LOAD:
			if (!segment_is_valid(header, file->object.size))
				return corrupt_segment(file->path, err);
			file->segments[file->segment_count++] = *header;
			break;
		case PT_INTERP:
			take_interpreter(file, header);
			file->dynamic = true;
			break;
		case PT_DYNAMIC:
			file->dynamic = true;
			break;
		case PT_GNU_EH_FRAME:
			file->frame_header = header->p_vaddr;
			file->frame_header_size = header->p_filesz;
			break;
		case PT_NOTE:
			if (!file->build_id_size)
				file->build_id_size = elf_object_note_build_id(&file->object,
					header->p_offset, header->p_filesz, header->p_align, file->build_id);
			break;
		default:
			break;
		}
	}
	if (!file->segment_count)
		return error_set(err, ERROR_INPUT,
			"cannot read %s: corrupt ELF file: it has no segment to load", file->path);
	if (!file->build_id_size)
		file->build_id_size = elf_object_build_id(&file->object, file->build_id);
	return 0;
}

static int read_segments(struct elf_file *file, struct error *err)
{
	_cleanup_free_ Elf64_Phdr *headers = NULL;
	const Elf64_Ehdr *header = &file->object.header;
	size_t size = header->e_phnum * sizeof(Elf64_Phdr);

	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot read %s: neither a program nor a shared library (give one of these)",
			file->path);
	if (header->e_phnum == PN_XNUM || (header->e_phnum && header->e_phentsize != sizeof(Elf64_Phdr)))
		return error_set(err, ERROR_INPUT, "cannot read %s: corrupt ELF file: odd program headers",
			file->path);
	headers = elf_object_read_new(&file->object, header->e_phoff, size, size);
	if (!headers)
		return error_set(err, ERROR_INPUT,
			"cannot read %s: truncated or corrupt ELF file: no program headers", file->path);
	file->segments = calloc(header->e_phnum + 1, sizeof(*file->segments));
	if (!file->segments)
		return error_set(err, ERROR_SYSTEM, "cannot read %s: out of memory", file->path);
	return take_segments(file, headers, header->e_phnum, err);
}

struct elf_file *elf_file_open(int fd, const char *path, const char *root, struct error *err)
{
	struct elf_file *file = calloc(1, sizeof(*file));

	if (!file) {
		error_set(err, ERROR_SYSTEM, "cannot read %s: out of memory", path);
		return NULL;
	}
	file->object.fd = file->debug.fd = -1;
	file->path = strdup(path);
	file->root = strdup(root);
	if (!file->path || !file->root) {
		error_set(err, ERROR_SYSTEM, "cannot read %s: out of memory", path);
		goto fail;
	}
	if (elf_object_open(fd, path, &file->object, err) || read_segments(file, err))
		goto fail;
	return file;
fail:
	elf_file_close(file);
	return NULL;
}

void elf_file_close(struct elf_file *file)
{
	if (!file)
		return;
	debug_info_free(file->debug_info);
	symbol_index_free(file->symbols);
	elf_object_close(&file->debug);
	elf_object_close(&file->object);
	free(file->segments);
	free(file->path);
	free(file->root);
	free(file->interpreter);
	free(file);
}

const char *elf_file_path(const struct elf_file *file)
{
	return file->path;
}

const uint8_t *elf_file_build_id(const struct elf_file *file, size_t *size)
{
	*size = file->build_id_size;
	return file->build_id_size ? file->build_id : NULL;
}

const char *elf_file_interpreter(const struct elf_file *file)
{
	return file->interpreter;
}

bool elf_file_is_dynamic(const struct elf_file *file)
{
	return file->dynamic;
}

const Elf64_Phdr *elf_file_code_segment(const struct elf_file *file, uint64_t address)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *segment = &file->segments[i];

		if (segment->p_flags & PF_X && address >= segment->p_vaddr &&
			address - segment->p_vaddr < segment->p_memsz)
			return segment;
	}
	return NULL;
}

bool elf_file_address_to_offset(const struct elf_file *file, uint64_t address, uint64_t *offset)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *segment = &file->segments[i];

		if (address >= segment->p_vaddr && address - segment->p_vaddr < segment->p_filesz) {
			*offset = address - segment->p_vaddr + segment->p_offset;
			return true;
		}
	}
	return false;
}

static bool segment_holds_offset(const Elf64_Phdr *segment, uint64_t offset)
{
	return offset >= segment->p_offset && offset - segment->p_offset < segment->p_filesz;
}

/* Linkers may map one piece of the file twice; the offsets that we are asked for are those of code. */
bool elf_file_offset_to_address(const struct elf_file *file, uint64_t offset, uint64_t *address)
{
	const Elf64_Phdr *found = NULL;

	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *segment = &file->segments[i];

		if (segment_holds_offset(segment, offset) &&
			(!found || (segment->p_flags & ~found->p_flags & PF_X)))
			found = segment;
	}
	if (!found)
		return false;
	*address = offset - found->p_offset + found->p_vaddr;
	return true;
}

size_t elf_file_read_code(const struct elf_file *file, uint64_t address, void *buffer, size_t size)
{
	const Elf64_Phdr *segment = elf_file_code_segment(file, address);
	uint64_t within;

	if (!segment)
		return 0;
	within = address - segment->p_vaddr;
	if (within >= segment->p_filesz)
		return 0;
	if (size > segment->p_filesz - within)
		size = segment->p_filesz - within;
	return elf_object_read(&file->object, segment->p_offset + within, buffer, size);
}

const struct elf_object *elf_file_debug_object(struct elf_file *file)
{
	if (!file->debug_tried) {
		file->debug_tried = true;
		debug_file_open(file, &file->debug);
	}
	return file->debug.fd >= 0 ? &file->debug : NULL;
}

/* What a walk over the function symbols hands on. */
struct function_walk {
	const struct elf_file *file;
	bool (*callback)(const struct elf_symbol *symbol, void *data);
	void *data;
	bool stopped;
	bool found; /* any function at all */
};

static void walk_table(struct function_walk *walk, const struct elf_object *object, uint32_t type)
{
	struct elf_symbol_table table;

	if (elf_object_read_symbols(object, type, &table))
		return;
	for (size_t i = 0; i < table.count && !walk->stopped; i++) {
		const Elf64_Sym *symbol = &table.symbols[i];
		unsigned char binding = ELF64_ST_BIND(symbol->st_info);
		struct elf_symbol function;

		if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
			!elf_file_code_segment(walk->file, symbol->st_value))
			continue;
		function = (struct elf_symbol){
			.name = elf_symbol_name(&table, symbol),
			.address = symbol->st_value,
			.size = symbol->st_size,
			.global = binding == STB_GLOBAL || binding == STB_WEAK,
		};
		if (!function.name)
			continue;
		walk->found = true;
		walk->stopped = !walk->callback(&function, walk->data);
	}
	elf_symbol_table_free(&table);
}

/* A file that has its .symtab was not stripped: its debug file has nothing to add, and need not be searched.
 */
static void walk_functions(struct function_walk *walk, struct elf_file *file)
{
	walk_table(walk, &file->object, SHT_SYMTAB);
	if (!walk->found) {
		const struct elf_object *debug = elf_file_debug_object(file);

		if (debug)
			walk_table(walk, debug, SHT_SYMTAB);
	}
	if (!walk->stopped)
		walk_table(walk, &file->object, SHT_DYNSYM);
}

void elf_file_for_each_function(
	struct elf_file *file, bool (*callback)(const struct elf_symbol *symbol, void *data), void *data)
{
	struct function_walk walk = {.file = file, .callback = callback, .data = data};

	walk_functions(&walk, file);
}

static bool stop_at_first(const struct elf_symbol *symbol, void *data)
{
	(void)symbol;
	(void)data;
	return false;
}

bool elf_file_has_functions(struct elf_file *file)
{
	struct function_walk walk = {.file = file, .callback = stop_at_first};

	walk_functions(&walk, file);
	return walk.found;
}
