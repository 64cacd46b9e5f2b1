/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Test programs made at test time: a working directory that is removed at the end, and compilers to fill it.
 */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "elf/elf_file.h"

/** Group set-up: make a directory and go there. */
static inline int enter_directory(void **state)
{
	char *directory = strdup("/tmp/leaktop-test-XXXXXX");

	if (!directory || !mkdtemp(directory) || chdir(directory))
		return -1;
	*state = directory;
	return 0;
}

static inline int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

/** Group tear-down: remove the directory and all in it. */
static inline int leave_directory(void **state)
{
	int status = chdir("/") ? -1 : nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return status;
}

/** Run a shell command. @return whether it succeeded */
__attribute__((format(printf, 1, 2))) static inline bool try_command(const char *format, ...)
{
	char command[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command) == 0;
}

#define run_command(...) assert_true(try_command(__VA_ARGS__))

/** @return whether a program can be run */
static inline bool have(const char *program)
{
	return try_command("command -v %s >/dev/null 2>&1", program);
}

static inline void write_file(const char *name, const void *bytes, size_t size)
{
	_cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
}

static inline void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

/** @return a file's bytes, to be freed */
static inline unsigned char *read_file(const char *name, size_t *size)
{
	_cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes;
	struct stat status;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	*size = (size_t)status.st_size;
	bytes = malloc(*size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, *size), *size);
	return bytes;
}

/** Open a file that may be refused. */
static inline struct elf_file *try_open_elf(const char *name, const char *root, struct error *err)
{
	_cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	*err = (struct error){0};
	return elf_file_open(fd, name, root, err);
}

/** Open a file that must not be refused. */
static inline struct elf_file *open_elf(const char *name, const char *root)
{
	struct error err;
	struct elf_file *file = try_open_elf(name, root, &err);

	if (!file)
		fail_msg("%s", err.message);
	return file;
}

struct function_search {
	const char *name;
	struct elf_symbol found;
	size_t seen, count; /* functions in all, functions of that name */
};

static inline bool search_function(const struct elf_symbol *symbol, void *data)
{
	struct function_search *search = data;

	search->seen++;
	if (strcmp(symbol->name, search->name) == 0) {
		search->found = *symbol;
		search->count++;
	}
	return true;
}

/** Walk all functions. @return how many have that name; the last of them is put to `found`, without its name
 */
static inline size_t find_function(struct elf_file *file, const char *name, struct elf_symbol *found)
{
	struct function_search search = {.name = name};

	elf_file_for_each_function(file, search_function, &search);
	search.found.name = NULL;
	if (found)
		*found = search.found;
	return search.count;
}

/** @return the address of a function that must be there */
static inline uint64_t address_of(struct elf_file *file, const char *name)
{
	struct elf_symbol found;

	if (!find_function(file, name, &found))
		fail_msg("no function %s", name);
	return found.address;
}
