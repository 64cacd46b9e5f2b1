// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/dwarf_image.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "elf/dwarf_check.h"

#define DEBUG_DATA_MAX                                                                                       \
	(2ULL << 30)	 /* bytes of the sections below; the largest browsers stay below half of it */
#define GROWTH_MAX    64 /* times; debug info compresses to a fifth, a bomb to a thousandth */
#define GROWTH_ALWAYS (1ULL << 20) /* bytes up to which the growth does not matter */
#define PADDING	      64	   /* zero bytes behind every section */
#define ALIGNMENT     16

static const struct {
	const char *name, *old_name; /* the old name is that of a section compressed the GNU way */
	bool needed;
} wanted_sections[] = {
	{".debug_info", ".zdebug_info", true},
	{".debug_abbrev", ".zdebug_abbrev", true},
	{".debug_line", ".zdebug_line", false},
	{".debug_line_str", ".zdebug_line_str", false},
	{".debug_str", ".zdebug_str", false},
	{".debug_str_offsets", ".zdebug_str_offsets", false},
	{".debug_addr", ".zdebug_addr", false},
	{".debug_ranges", ".zdebug_ranges", false},
	{".debug_rnglists", ".zdebug_rnglists", false},
};

enum { INFO, ABBREVIATIONS, LINE, LINE_STRINGS, STRINGS, WANTED = 9 };
_Static_assert(sizeof(wanted_sections) / sizeof(wanted_sections[0]) == WANTED, "one number a section");

enum compression { PLAIN, COMPRESSED, COMPRESSED_OLD };

/* One wanted section in the file and in the image. */
struct piece {
	const Elf64_Shdr *section; /* NULL when the file does not have it */
	enum compression compression;
	uint64_t size;	 /* decompressed */
	uint64_t offset; /* in the image */
};

/* The header of a section compressed the GNU way: "ZLIB" and the size, most significant byte first. */
struct old_header {
	char magic[4];
	unsigned char size[8];
};

static int measure(const struct elf_object *object, struct piece *piece)
{
	const Elf64_Shdr *section = piece->section;
	struct old_header old;
	Elf64_Chdr header;

	switch (piece->compression) {
	case COMPRESSED:
		if (elf_object_read(object, section->sh_offset, &header, sizeof(header)) != sizeof(header) ||
			header.ch_type != ELFCOMPRESS_ZLIB)
			return -1;
		piece->size = header.ch_size;
		break;
	case COMPRESSED_OLD:
		if (elf_object_read(object, section->sh_offset, &old, sizeof(old)) != sizeof(old) ||
			memcmp(old.magic, "ZLIB", sizeof(old.magic)) != 0)
			return -1;
		memcpy(&piece->size, old.size, sizeof(piece->size));
		piece->size = be64toh(piece->size);
		break;
	default:
		piece->size = section->sh_size;
	}
	if (section->sh_offset > object->size || section->sh_size > object->size - section->sh_offset)
		return -1;
	if (piece->size > DEBUG_DATA_MAX)
		return -1;
	if (piece->compression != PLAIN && piece->size > GROWTH_ALWAYS &&
		piece->size / GROWTH_MAX > section->sh_size)
		return -1;
	return 0;
}

static void find_piece(const struct elf_object *object, size_t number, struct piece *piece)
{
	piece->compression = PLAIN;
	piece->section = elf_object_find_section(object, wanted_sections[number].name);
	if (piece->section && piece->section->sh_flags & SHF_COMPRESSED)
		piece->compression = COMPRESSED;
	if (!piece->section) {
		piece->section = elf_object_find_section(object, wanted_sections[number].old_name);
		piece->compression = COMPRESSED_OLD;
	}
}

/* @return the number of bytes up to the section headers of the image, or 0 */
static uint64_t lay_out(const struct elf_object *object, struct piece *pieces)
{
	uint64_t size = sizeof(Elf64_Ehdr);

	for (size_t i = 0; i < WANTED; i++) {
		struct piece *piece = &pieces[i];

		find_piece(object, i, piece);
		if (piece->section && measure(object, piece))
			piece->section = NULL;
		if (!piece->section) {
			if (wanted_sections[i].needed)
				return 0;
			continue;
		}
		piece->offset = size;
		size = (size + piece->size + PADDING + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
		if (size > DEBUG_DATA_MAX)
			return 0;
	}
	return size;
}

/* libelf knows how to decompress; a handle of our own gives the memory back right after. */
static int decompress(const struct elf_object *object, const struct piece *piece, unsigned char *target)
{
	Elf *elf = elf_begin(object->fd, ELF_C_READ, NULL);
	Elf_Scn *section = elf ? elf_getscn(elf, (size_t)(piece->section - object->sections)) : NULL;
	Elf_Data *data = NULL;
	int status = -1;

	if (!section)
		goto out;
	if ((piece->compression == COMPRESSED ? elf_compress(section, 0, 0)
					      : elf_compress_gnu(section, 0, 0)) != 1)
		goto out;
	data = elf_getdata(section, NULL);
	if (!data || !data->d_buf || data->d_size != piece->size)
		goto out;
	memcpy(target, data->d_buf, data->d_size);
	status = 0;
out:
	elf_end(elf);
	return status;
}

static int fill(const struct elf_object *object, const struct piece *pieces, unsigned char *bytes)
{
	for (size_t i = 0; i < WANTED; i++) {
		const struct piece *piece = &pieces[i];

		if (!piece->section)
			continue;
		if (piece->compression != PLAIN) {
			if (decompress(object, piece, bytes + piece->offset))
				return -1;
		} else if (elf_object_read(object, piece->section->sh_offset, bytes + piece->offset,
				   piece->size) != piece->size) {
			return -1;
		}
	}
	return 0;
}

/* Behind the sections: the section headers and, as the last section, their names. */
struct image_tail {
	Elf64_Shdr sections[1 + WANTED + 1];
	char names[256];
};

static void write_headers(unsigned char *bytes, uint64_t tail_offset, const struct piece *pieces)
{
	struct image_tail *tail = (struct image_tail *)(bytes + tail_offset);
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
	Elf64_Shdr *section = &tail->sections[1];
	char *name = tail->names + 1;

	for (size_t i = 0; i < WANTED; i++) {
		if (!pieces[i].section)
			continue;
		*section++ = (Elf64_Shdr){
			.sh_name = (Elf64_Word)(name - tail->names),
			.sh_type = SHT_PROGBITS,
			.sh_offset = pieces[i].offset,
			.sh_size = pieces[i].size,
			.sh_addralign = 1,
		};
		name = stpcpy(name, wanted_sections[i].name) + 1;
	}
	*section = (Elf64_Shdr){
		.sh_type = SHT_STRTAB,
		.sh_offset = tail_offset + offsetof(struct image_tail, names),
		.sh_size = sizeof(tail->names),
		.sh_addralign = 1,
	};
	*header = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_shoff = tail_offset,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)(section - tail->sections + 1),
		.e_shstrndx = (Elf64_Half)(section - tail->sections),
	};
}

static struct dwarf_bytes part(const struct dwarf_image *image, const struct piece *piece)
{
	if (!piece->section)
		return (struct dwarf_bytes){0};
	return (struct dwarf_bytes){.data = image->bytes + piece->offset, .size = piece->size};
}

int dwarf_image_open(const struct elf_object *object, struct dwarf_image *image)
{
	struct piece pieces[WANTED];
	uint64_t tail;

	*image = (struct dwarf_image){0};
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -1;
	tail = lay_out(object, pieces);
	if (!tail)
		return -1;
	image->bytes = calloc(1, tail + sizeof(struct image_tail));
	if (!image->bytes || fill(object, pieces, image->bytes))
		goto fail;
	image->info = part(image, &pieces[INFO]);
	image->abbreviations = part(image, &pieces[ABBREVIATIONS]);
	image->line = part(image, &pieces[LINE]);
	image->line_strings = part(image, &pieces[LINE_STRINGS]);
	image->strings = part(image, &pieces[STRINGS]);
	if (dwarf_check(&image->info, &image->abbreviations))
		goto fail;
	write_headers(image->bytes, tail, pieces);
	image->elf = elf_memory((char *)image->bytes, tail + sizeof(struct image_tail));
	if (!image->elf)
		goto fail;
	image->dwarf = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
	if (!image->dwarf)
		goto fail;
	return 0;
fail:
	dwarf_image_close(image);
	return -1;
}

void dwarf_image_close(struct dwarf_image *image)
{
	dwarf_end(image->dwarf);
	elf_end(image->elf);
	free(image->bytes);
	*image = (struct dwarf_image){0};
}

bool dwarf_image_exists(const struct elf_object *object)
{
	return elf_object_find_section(object, wanted_sections[INFO].name) ||
	       elf_object_find_section(object, wanted_sections[INFO].old_name);
}
