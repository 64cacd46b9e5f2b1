/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One 64-bit x86 ELF file as it lies on disk: its header, section table and symbol tables. A program and its
 * separate debug file are one object each.
 *
 * Bytes are fetched with pread() into memory of our own and only when they are asked for. A mapping would be
 * cheaper, but whoever can write the file could truncate it under us, and a mapped page behind its end is a
 * SIGBUS. It also means that what was checked cannot change afterwards.
 */
#pragma once

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "elf/elf_file.h"

struct elf_object {
	int fd;	       /* our own duplicate, or -1 */
	uint64_t size; /* bytes in the file when it was opened */
	Elf64_Ehdr header;
	Elf64_Shdr *sections; /* unchecked beyond the table's own place */
	size_t section_count;
	char *section_names; /* `section_names_size` bytes and a NUL behind */
	size_t section_names_size;
};

struct elf_symbol_table {
	Elf64_Sym *symbols;
	size_t count;
	char *names; /* `names_size` bytes and a NUL behind */
	size_t names_size;
	uint64_t names_left; /* bytes of names that may still be looked at: see elf_symbol_name() */
};

/**
 * Read the header and the section table.
 *
 * @param fd      it is duplicated, the caller keeps its own
 * @param path    for messages
 * @param object  to be closed with elf_object_close(), also after a failure
 * @return 0, or -1 with an ERROR_INPUT, ERROR_UNSUPPORTED or ERROR_SYSTEM
 */
int elf_object_open(int fd, const char *path, struct elf_object *object, struct error *err);

/** Close an object; an object that is all zero but for `fd` = -1 is allowed. */
void elf_object_close(struct elf_object *object);

/**
 * Read bytes at an offset of the file.
 *
 * @return the number of bytes read: less than `size` at the end of the file or on an error
 */
size_t elf_object_read(const struct elf_object *object, uint64_t offset, void *buffer, size_t size);

/**
 * Read a piece of the file into new memory, with a NUL byte behind it.
 *
 * @param limit  refuse more bytes than this
 * @return the bytes, to be freed by the caller, or NULL: out of bounds, too large, unreadable or no memory
 */
void *elf_object_read_new(const struct elf_object *object, uint64_t offset, uint64_t size, uint64_t limit);

/** @return a section's name, "" when it has none that is valid */
const char *elf_object_section_name(const struct elf_object *object, const Elf64_Shdr *section);

/** @return the first section of that name that has bytes in the file, or NULL */
const Elf64_Shdr *elf_object_find_section(const struct elf_object *object, const char *name);

/**
 * Read the first symbol table of a type. The version suffixes of names ("@GLIBC_2.2.5") are cut off.
 *
 * @param type   SHT_SYMTAB or SHT_DYNSYM
 * @param table  filled; to be freed with elf_symbol_table_free()
 * @return 0; -1 when there is none, it is malformed, or memory ran out (the table is then empty)
 */
int elf_object_read_symbols(const struct elf_object *object, uint32_t type, struct elf_symbol_table *table);

/** Free the memory of a symbol table. */
void elf_symbol_table_free(struct elf_symbol_table *table);

/**
 * Look up a symbol's name. Millions of symbols that all point into one long name would take hours to walk; so
 * the bytes looked at are counted, and after several times the size of the string table no symbol has a name
 * any more.
 *
 * @return the name, owned by the table, or NULL when it has none or an unreasonable one
 */
const char *elf_symbol_name(struct elf_symbol_table *table, const Elf64_Sym *symbol);

/**
 * Find the build ID in a note segment or section.
 *
 * @param alignment  of the notes; 8 or, in all other cases, 4
 * @param id         at least BUILD_ID_MAX bytes
 * @return the number of bytes of the build ID, 0 when there is none
 */
size_t elf_object_note_build_id(
	const struct elf_object *object, uint64_t offset, uint64_t size, uint64_t alignment, uint8_t *id);

/** Find the build ID in the note sections. @return the number of bytes of it, 0 when there is none */
size_t elf_object_build_id(const struct elf_object *object, uint8_t *id);
