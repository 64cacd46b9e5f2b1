// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/elf_object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * Limits on what a file may make us read. They lie an order of magnitude above the largest programs known (a
 * browser with all its symbols), and keep a hostile or sparse file from taking all memory.
 */
#define SECTIONS_MAX	  65536
#define SECTION_NAMES_MAX (16 << 20)
#define SYMBOLS_MAX	  (192 << 20)
#define NAMES_MAX	  (1 << 30)
#define NOTES_MAX	  (1 << 20)
#define NAME_MAX_LENGTH	  (64 << 10)

size_t elf_object_read(const struct elf_object *object, uint64_t offset, void *buffer, size_t size)
{
	size_t done = 0;

	if (offset >= object->size)
		return 0;
	if (size > object->size - offset)
		size = object->size - offset;
	while (done < size) {
		ssize_t got = pread(object->fd, (char *)buffer + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

void *elf_object_read_new(const struct elf_object *object, uint64_t offset, uint64_t size, uint64_t limit)
{
	char *bytes;

	if (size > limit || offset > object->size || size > object->size - offset)
		return NULL;
	bytes = malloc(size + 1);
	if (!bytes)
		return NULL;
	if (elf_object_read(object, offset, bytes, size) != size) {
		free(bytes);
		return NULL;
	}
	bytes[size] = '\0';
	return bytes;
}

static int truncated(const char *path, struct error *err)
{
	return error_set(err, ERROR_INPUT, "cannot read %s: truncated or corrupt ELF file", path);
}

static int read_header(struct elf_object *object, const char *path, struct error *err)
{
	Elf64_Ehdr *header = &object->header;
	size_t size = elf_object_read(object, 0, header, sizeof(*header));

	if (size < EI_NIDENT || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return error_set(err, ERROR_INPUT,
			"cannot read %s: not an ELF file (give a program or a shared library)", path);
	if (header->e_ident[EI_CLASS] == ELFCLASS32)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot read %s: a 32-bit program (leaktop traces 64-bit x86 programs)", path);
	if (size < sizeof(*header))
		return truncated(path, err);
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return error_set(err, ERROR_INPUT, "cannot read %s: corrupt ELF header", path);
	if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_X86_64)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot read %s: built for another machine (leaktop traces 64-bit x86 programs)",
			path);
	return 0;
}

/* More than 65,279 sections are counted in the first section header. */
static int count_sections(struct elf_object *object, const char *path, struct error *err)
{
	const Elf64_Ehdr *header = &object->header;
	Elf64_Shdr first;

	object->section_count = header->e_shnum;
	if (!header->e_shoff) {
		object->section_count = 0;
		return 0;
	}
	if (header->e_shnum)
		return 0;
	if (elf_object_read(object, header->e_shoff, &first, sizeof(first)) != sizeof(first))
		return truncated(path, err);
	if (first.sh_size > SECTIONS_MAX)
		return error_set(err, ERROR_INPUT, "cannot read %s: corrupt ELF file: more than %d sections",
			path, SECTIONS_MAX);
	object->section_count = first.sh_size;
	return 0;
}

static int read_sections(struct elf_object *object, const char *path, struct error *err)
{
	const Elf64_Ehdr *header = &object->header;
	size_t names = header->e_shstrndx;
	const Elf64_Shdr *section;

	if (count_sections(object, path, err))
		return -1;
	if (!object->section_count)
		return 0;
	if (header->e_shentsize != sizeof(Elf64_Shdr))
		return error_set(
			err, ERROR_INPUT, "cannot read %s: corrupt ELF file: odd section headers", path);
	object->sections = elf_object_read_new(object, header->e_shoff,
		object->section_count * sizeof(Elf64_Shdr), SECTIONS_MAX * sizeof(Elf64_Shdr));
	if (!object->sections)
		return truncated(path, err);
	if (names == SHN_XINDEX)
		names = object->sections[0].sh_link;
	if (names == SHN_UNDEF || names >= object->section_count)
		return 0;
	section = &object->sections[names];
	object->section_names =
		elf_object_read_new(object, section->sh_offset, section->sh_size, SECTION_NAMES_MAX);
	if (!object->section_names)
		return truncated(path, err);
	object->section_names_size = section->sh_size;
	return 0;
}

int elf_object_open(int fd, const char *path, struct elf_object *object, struct error *err)
{
	struct stat status;

	*object = (struct elf_object){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
	if (object->fd < 0)
		return error_set_errno(err, errno, "cannot read %s", path);
	if (fstat(object->fd, &status))
		return error_set_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(status.st_mode))
		return error_set(err, ERROR_INPUT,
			"cannot read %s: not a regular file (give a program or a shared library)", path);
	object->size = (uint64_t)status.st_size;
	if (read_header(object, path, err))
		return -1;
	return read_sections(object, path, err);
}

void elf_object_close(struct elf_object *object)
{
	if (object->fd >= 0)
		close(object->fd);
	free(object->sections);
	free(object->section_names);
	*object = (struct elf_object){.fd = -1};
}

const char *elf_object_section_name(const struct elf_object *object, const Elf64_Shdr *section)
{
	if (section->sh_name >= object->section_names_size)
		return "";
	return object->section_names + section->sh_name;
}

const Elf64_Shdr *elf_object_find_section(const struct elf_object *object, const char *name)
{
	for (size_t i = 1; i < object->section_count; i++) {
		const Elf64_Shdr *section = &object->sections[i];

		if (section->sh_type != SHT_NULL && section->sh_type != SHT_NOBITS && section->sh_size &&
			strcmp(elf_object_section_name(object, section), name) == 0)
			return section;
	}
	return NULL;
}

static const Elf64_Shdr *find_section_of_type(const struct elf_object *object, uint32_t type)
{
	for (size_t i = 1; i < object->section_count; i++)
		if (object->sections[i].sh_type == type)
			return &object->sections[i];
	return NULL;
}

/*
 * Names end at the first '@'. Cutting them once, in place, is right for tails that several symbols share,
 * too: a name without a version cannot end in a tail that has one.
 */
static void cut_versions(char *names, size_t size)
{
	char *end = names + size;

	for (char *at = names; (at = memchr(at, '@', (size_t)(end - at))); at++)
		*at = '\0';
}

int elf_object_read_symbols(const struct elf_object *object, uint32_t type, struct elf_symbol_table *table)
{
	const Elf64_Shdr *section = find_section_of_type(object, type), *names;

	*table = (struct elf_symbol_table){0};
	if (!section || section->sh_entsize != sizeof(Elf64_Sym) || section->sh_link >= object->section_count)
		return -1;
	names = &object->sections[section->sh_link];
	if (names->sh_type != SHT_STRTAB)
		return -1;
	table->symbols = elf_object_read_new(object, section->sh_offset, section->sh_size, SYMBOLS_MAX);
	table->names = elf_object_read_new(object, names->sh_offset, names->sh_size, NAMES_MAX);
	if (!table->symbols || !table->names) {
		elf_symbol_table_free(table);
		return -1;
	}
	table->count = section->sh_size / sizeof(Elf64_Sym);
	table->names_size = names->sh_size;
	table->names_left = 8 * table->names_size + NAME_MAX_LENGTH;
	cut_versions(table->names, table->names_size);
	return 0;
}

void elf_symbol_table_free(struct elf_symbol_table *table)
{
	free(table->symbols);
	free(table->names);
	*table = (struct elf_symbol_table){0};
}

const char *elf_symbol_name(struct elf_symbol_table *table, const Elf64_Sym *symbol)
{
	const char *name;
	size_t length;

	if (symbol->st_name >= table->names_size)
		return NULL;
	name = table->names + symbol->st_name;
	length = strnlen(name, NAME_MAX_LENGTH);
	if (!length || length == NAME_MAX_LENGTH || length >= table->names_left)
		return NULL;
	table->names_left -= length + 1;
	return name;
}

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

size_t elf_object_note_build_id(
	const struct elf_object *object, uint64_t offset, uint64_t size, uint64_t alignment, uint8_t *id)
{
	_cleanup_free_ unsigned char *notes = elf_object_read_new(object, offset, size, NOTES_MAX);
	uint64_t at = 0;

	if (!notes)
		return 0;
	alignment = alignment == 8 ? 8 : 4;
	while (at < size && size - at >= sizeof(Elf64_Nhdr)) {
		uint64_t name, description;
		Elf64_Nhdr note;

		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		description = align_up(name + note.n_namesz, alignment);
		if (description > size || note.n_descsz > size - description)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
			memcmp(notes + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
			if (!note.n_descsz || note.n_descsz > BUILD_ID_MAX)
				return 0;
			memcpy(id, notes + description, note.n_descsz);
			return note.n_descsz;
		}
		at = align_up(description + note.n_descsz, alignment);
	}
	return 0;
}

size_t elf_object_build_id(const struct elf_object *object, uint8_t *id)
{
	for (size_t i = 1; i < object->section_count; i++) {
		const Elf64_Shdr *section = &object->sections[i];
		size_t size;

		if (section->sh_type != SHT_NOTE)
			continue;
		size = elf_object_note_build_id(
			object, section->sh_offset, section->sh_size, section->sh_addralign, id);
		if (size)
			return size;
	}
	return 0;
}
