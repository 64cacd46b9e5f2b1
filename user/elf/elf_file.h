/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One ELF file, open for reading: identity, segments, code bytes and symbols, its separate debug file
 * included.
 *
 * The file is hostile input: it may be corrupt, truncated or changed while it is read. Every function returns
 * an error or nothing rather than reading outside it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define BUILD_ID_MAX 64 /* bytes; the usual one is a 20-byte SHA-1 */

struct elf_file;

struct elf_symbol {
	const char *name; /* valid while the callback runs; the version suffix (@GLIBC_2.2.5) is cut off */
	uint64_t address; /* virtual address as linked */
	uint64_t size;	  /* bytes; 0 when the symbol table does not say */
	bool global;	  /* STB_GLOBAL or STB_WEAK */
};

/**
 * Open an ELF file for x86-64.
 *
 * @param fd    an open descriptor of it; it is duplicated, the caller keeps its own
 * @param path  its name as people know it: used in messages and to find `.gnu_debuglink` files; copied
 * @param root  directory to look for separate debug files under ("" for this machine's root, "/proc/PID/root"
 * for a process in a container); copied
 * @param err   ERROR_INPUT for what is no ELF file or a malformed one, ERROR_UNSUPPORTED for another machine
 * or a 32-bit file
 * @return the file, to be closed with elf_file_close(), or NULL
 */
struct elf_file *elf_file_open(int fd, const char *path, const char *root, struct error *err);

/** Close the file and free all that belongs to it. NULL is allowed. */
void elf_file_close(struct elf_file *file);

/** @return the path given to elf_file_open() */
const char *elf_file_path(const struct elf_file *file);

/**
 * @param size  where to put the number of bytes of the build ID
 * @return the build ID's bytes, owned by the file, or NULL when it has none
 */
const uint8_t *elf_file_build_id(const struct elf_file *file, size_t *size);

/** Translate a linked address to an offset in the file. @return false when no PT_LOAD segment holds it. */
bool elf_file_address_to_offset(const struct elf_file *file, uint64_t address, uint64_t *offset);

/** Translate an offset in the file to a linked address. @return false when no PT_LOAD segment maps it. */
bool elf_file_offset_to_address(const struct elf_file *file, uint64_t offset, uint64_t *address);

/**
 * Copy bytes of an executable segment.
 *
 * @param address   linked address of the first byte
 * @param buffer    at least `size` bytes
 * @return the number of bytes copied: less than `size` at the end of the segment or file, 0 outside of any
 */
size_t elf_file_read_code(const struct elf_file *file, uint64_t address, void *buffer, size_t size);

/**
 * Call a function for every defined function symbol (STT_FUNC, STT_GNU_IFUNC excluded) of .symtab, .dynsym
 * and the separate debug file, in no particular order; the same symbol may come more than once. The debug
 * file is searched only for a file whose .symtab was stripped. Symbols outside of executable segments are
 * left out.
 *
 * @param callback  returns false to stop
 * @param data      handed to it
 */
void elf_file_for_each_function(
	struct elf_file *file, bool (*callback)(const struct elf_symbol *symbol, void *data), void *data);

/** @return whether the file has any function symbol at all (a stripped static executable has none) */
bool elf_file_has_functions(struct elf_file *file);

/** @return the path of the dynamic linker that the program asks for, owned by the file, or NULL */
const char *elf_file_interpreter(const struct elf_file *file);

/** @return whether the file has a PT_INTERP or PT_DYNAMIC header, that is, takes part in dynamic linking */
bool elf_file_is_dynamic(const struct elf_file *file);
