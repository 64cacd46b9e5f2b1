// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_source.h"

#include <dwarf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_private.h"

#define SECTION_MAX   (128ULL << 20) /* bytes; the largest browsers have a third of it */
#define GROWTH_MAX    64	     /* times, when decompressed: a bomb grows a thousandfold */
#define GROWTH_ALWAYS (1ULL << 20)   /* bytes up to which the growth does not matter */

uint64_t unwind_read_value(struct dwarf_cursor *cursor, uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return dwarf_cursor_fixed(cursor, 8);
	case DW_EH_PE_udata4:
		return dwarf_cursor_fixed(cursor, 4);
	case DW_EH_PE_sdata4:
		return (uint64_t)(int64_t)(int32_t)dwarf_cursor_fixed(cursor, 4);
	case DW_EH_PE_udata2:
		return dwarf_cursor_fixed(cursor, 2);
	case DW_EH_PE_sdata2:
		return (uint64_t)(int64_t)(int16_t)dwarf_cursor_fixed(cursor, 2);
	case DW_EH_PE_uleb128:
		return dwarf_cursor_unsigned(cursor);
	case DW_EH_PE_sleb128:
		return (uint64_t)dwarf_cursor_signed(cursor);
	default:
		cursor->failed = true;
		return 0;
	}
}

uint64_t unwind_read_pointer(struct dwarf_cursor *cursor, uint8_t encoding, uint64_t address)
{
	uint64_t value = unwind_read_value(cursor, encoding);

	switch (encoding & 0xf0) {
	case 0:
		return value;
	case DW_EH_PE_pcrel:
		return value + address;
	default:
		cursor->failed = true;
		return 0;
	}
}

static int corrupt(const struct elf_file *file, const char *what, struct error *err)
{
	return error_set(err, ERROR_INPUT, "cannot read %s: truncated or corrupt ELF file: %s",
		elf_file_path(file), what);
}

/* @return decompressed bytes, or NULL */
static unsigned char *decompress(const struct elf_object *object, const Elf64_Shdr *section, size_t *size)
{
	unsigned char *bytes = NULL;
	Elf64_Chdr header;
	Elf *elf = NULL;
	Elf_Scn *scn;
	Elf_Data *data;

	if (elf_object_read(object, section->sh_offset, &header, sizeof(header)) != sizeof(header) ||
		section->sh_size > object->size || header.ch_size > SECTION_MAX ||
		(header.ch_size > GROWTH_ALWAYS && header.ch_size / GROWTH_MAX > section->sh_size))
		return NULL;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	elf = elf_begin(object->fd, ELF_C_READ, NULL);
	scn = elf ? elf_getscn(elf, (size_t)(section - object->sections)) : NULL;
	if (!scn || elf_compress(scn, 0, 0) != 1)
		goto out;
	data = elf_getdata(scn, NULL);
	if (!data || !data->d_buf || data->d_size != header.ch_size)
		goto out;
	*size = data->d_size;
	bytes = malloc(*size + 1);
	if (bytes)
		memcpy(bytes, data->d_buf, *size);
out:
	elf_end(elf);
	return bytes;
}

/* Add a section, if there is such a one. */
static int add_section(const struct elf_file *file, const struct elf_object *object, const char *name,
	enum unwind_format format, struct unwind_sources *sources, struct error *err)
{
	const Elf64_Shdr *section = elf_object_find_section(object, name);
	struct unwind_source *source = &sources->items[sources->count];

	if (!section)
		return 0;
	*source = (struct unwind_source){.format = format, .size = section->sh_size};
	if (section->sh_flags & SHF_COMPRESSED)
		source->bytes = decompress(object, section, &source->size);
	else
		source->bytes =
			elf_object_read_new(object, section->sh_offset, section->sh_size, SECTION_MAX);
	if (!source->bytes)
		return corrupt(file, "its call frame information is unreadable", err);
	if (format != UNWIND_DEBUG_FRAME)
		source->address = section->sh_addr;
	sources->count++;
	return 0;
}

/* Without section headers, .eh_frame_hdr tells where .eh_frame begins. */
static int add_by_header(const struct elf_file *file, struct unwind_sources *sources, struct error *err)
{
	struct unwind_source *source = &sources->items[sources->count];
	unsigned char bytes[16] = {0};
	struct dwarf_cursor cursor = {.at = bytes + 4, .end = bytes + sizeof(bytes)};
	const Elf64_Phdr *segment = NULL;
	uint64_t offset, address;

	if (!file->frame_header_size)
		return 0;
	if (!elf_file_address_to_offset(file, file->frame_header, &offset) ||
		elf_object_read(&file->object, offset, bytes, sizeof(bytes)) < 8)
		return corrupt(file, "its .eh_frame_hdr is unreadable", err);
	address = unwind_read_pointer(&cursor, bytes[1], file->frame_header + 4);
	for (size_t i = 0; i < file->segment_count && !segment; i++)
		if (address >= file->segments[i].p_vaddr &&
			address - file->segments[i].p_vaddr < file->segments[i].p_filesz)
			segment = &file->segments[i];
	if (bytes[0] != 1 || cursor.failed || !segment)
		return corrupt(file, "its .eh_frame_hdr leads nowhere", err);
	offset = address - segment->p_vaddr;
	*source = (struct unwind_source){
		.format = UNWIND_EH_FRAME,
		.size = segment->p_filesz - offset,
		.address = address,
		.ends_at_zero = true,
	};
	if (source->size > SECTION_MAX)
		source->size = SECTION_MAX;
	source->bytes =
		elf_object_read_new(&file->object, segment->p_offset + offset, source->size, SECTION_MAX);
	if (!source->bytes)
		return corrupt(file, "its call frame information is unreadable", err);
	sources->count++;
	return 0;
}

/* A linker adds an .eh_frame that holds nothing but its end. */
static void drop_empty(struct unwind_sources *sources)
{
	struct unwind_source *last = &sources->items[sources->count - 1];

	for (size_t i = 0; i < last->size; i++)
		if (last->bytes[i])
			return;
	free(last->bytes);
	sources->count--;
}

int unwind_sources_read(struct elf_file *file, struct unwind_sources *sources, struct error *err)
{
	const struct elf_object *debug;

	*sources = (struct unwind_sources){0};
	if (file->object.section_count) {
		if (add_section(file, &file->object, ".eh_frame", UNWIND_EH_FRAME, sources, err))
			return -1;
	} else if (add_by_header(file, sources, err)) {
		return -1;
	}
	if (sources->count)
		drop_empty(sources);
	if (add_section(file, &file->object, ".debug_frame", UNWIND_DEBUG_FRAME, sources, err))
		return -1;
	if (sources->count)
		return 0;
	debug = elf_file_debug_object(file);
	if (debug && add_section(file, debug, ".debug_frame", UNWIND_DEBUG_FRAME, sources, err))
		return -1;
	if (sources->count)
		return 0;
	return add_section(file, &file->object, ".sframe", UNWIND_SFRAME, sources, err);
}

void unwind_sources_free(struct unwind_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		free(sources->items[i].bytes);
	*sources = (struct unwind_sources){0};
}
