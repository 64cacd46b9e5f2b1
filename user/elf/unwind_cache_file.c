// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_cache_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "elf/unwind_checksum.h"

#define VERSION 1 /* to be raised with every change of what rows and rules mean, or which are made */

/* At the start of a file; rules and rows follow. */
struct header {
	char magic[8];
	uint64_t version;
	uint64_t key;
	uint64_t rule_count, row_count;
	uint64_t checksum; /* of all of the file, with 0 here */
};

static const char magic[8] = "LeakRows";

/* @return a descriptor of a directory of ours that others cannot write to, or -1 */
static int open_directory(int above, const char *name, int flags)
{
	int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	struct stat status;

	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0 && status.st_uid == geteuid() && !(status.st_mode & (S_IWGRP | S_IWOTH)))
		return fd;
	close(fd);
	return -1;
}

/* As open_directory(), and made when it is missing. */
static int make_directory(int above, const char *name, int flags)
{
	mkdirat(above, name, 0700);
	return open_directory(above, name, flags);
}

int unwind_cache_open(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	_cleanup_close_ int above = -1, base = -1;

	if (cache && *cache == '/') {
		base = make_directory(AT_FDCWD, cache, 0);
	} else if (home && *home == '/') {
		above = open_directory(AT_FDCWD, home, 0);
		base = above < 0 ? -1 : make_directory(above, ".cache", 0);
	}
	return base < 0 ? -1 : make_directory(base, "leaktop", O_NOFOLLOW);
}

static uint64_t checksum_of(const struct header *header, const struct unwind_rows *rows)
{
	struct header plain = *header;
	uint64_t checksum;

	plain.checksum = 0;
	checksum = unwind_checksum(0, &plain, sizeof(plain));
	checksum = unwind_checksum(checksum, rows->rules.items, rows->rules.count * sizeof(uint64_t));
	return unwind_checksum(checksum, rows->rows.items, rows->rows.count * sizeof(struct unwind_row));
}

/* Whether rows are as unwind_rows_build() makes them: what uses them trusts in that. */
static bool are_valid(const struct unwind_rows *rows)
{
	for (size_t i = 0; i < rows->rules.count; i++)
		if (unwind_rule_kind(rows->rules.items[i]) >= UNWIND_KINDS ||
			rows->rules.items[i] >> UNWIND_RULE_BITS)
			return false;
	for (size_t i = 0; i < rows->rows.count; i++) {
		const struct unwind_row *row = &rows->rows.items[i];

		if (row->rule >= rows->rules.count)
			return false;
		if (i && (row->offset <= row[-1].offset || row->rule == row[-1].rule))
			return false;
	}
	return true;
}

static bool read_all(int fd, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = read(fd, (char *)bytes + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool header_is_valid(const struct header *header, uint64_t key, uint64_t size)
{
	if (memcmp(header->magic, magic, sizeof(magic)) != 0 || header->version != VERSION ||
		header->key != key || size > UNWIND_CACHE_SIZE)
		return false;
	return header->rule_count <= size / sizeof(uint64_t) &&
	       header->row_count <= size / sizeof(struct unwind_row) &&
	       sizeof(*header) + header->rule_count * sizeof(uint64_t) +
			       header->row_count * sizeof(struct unwind_row) ==
		       size;
}

static bool read_rows(int fd, uint64_t key, uint64_t size, struct unwind_rows *rows)
{
	struct header header;

	if (!read_all(fd, &header, sizeof(header)) || !header_is_valid(&header, key, size))
		return false;
	rows->rules.count = rows->rules.capacity = header.rule_count;
	rows->rows.count = rows->rows.capacity = header.row_count;
	rows->rules.items = calloc(header.rule_count + 1, sizeof(uint64_t));
	rows->rows.items = calloc(header.row_count + 1, sizeof(struct unwind_row));
	return rows->rules.items && rows->rows.items &&
	       read_all(fd, rows->rules.items, header.rule_count * sizeof(uint64_t)) &&
	       read_all(fd, rows->rows.items, header.row_count * sizeof(struct unwind_row)) &&
	       checksum_of(&header, rows) == header.checksum && are_valid(rows);
}

bool unwind_cache_load(int directory, const char *name, uint64_t key, struct unwind_rows *rows)
{
	_cleanup_close_ int fd =
		openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;

	*rows = (struct unwind_rows){0};
	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode))
		return false;
	if (!read_rows(fd, key, (uint64_t)status.st_size, rows)) {
		unwind_rows_free(rows);
		return false;
	}
	futimens(fd, NULL); /* it was used: see make_room() */
	return true;
}

static bool write_all(int fd, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t put = write(fd, (const char *)bytes + done, size - done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		done += (size_t)put;
	}
	return true;
}

struct old_file {
	char name[NAME_MAX + 1];
	struct timespec used;
	uint64_t size;
};

static int compare_used(const void *left, const void *right)
{
	const struct old_file *a = left, *b = right;

	if (a->used.tv_sec != b->used.tv_sec)
		return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
	return (a->used.tv_nsec > b->used.tv_nsec) - (a->used.tv_nsec < b->used.tv_nsec);
}

/* Remove the files that were not used for longest, until there is room for so many bytes more. */
static void make_room(int directory, uint64_t size)
{
	struct {
		struct old_file *items;
		size_t count, capacity;
	} files = {0};
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream))) {
		struct old_file *file;
		struct stat status;

		if (strncmp(entry->d_name, UNWIND_CACHE_PREFIX, strlen(UNWIND_CACHE_PREFIX)) != 0 ||
			fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
			continue;
		file = array_push(&files);
		if (!file)
			break;
		snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
		file->used = status.st_mtim;
		file->size = (uint64_t)status.st_size;
		size += file->size;
	}
	closedir(stream);
	if (files.count)
		qsort(files.items, files.count, sizeof(*files.items), compare_used);
	for (size_t i = 0; i < files.count && size > UNWIND_CACHE_SIZE; i++) {
		unlinkat(directory, files.items[i].name, 0);
		size -= files.items[i].size;
	}
	array_free(&files);
}

void unwind_cache_store(int directory, const char *name, uint64_t key, const struct unwind_rows *rows)
{
	struct header header = {
		.version = VERSION,
		.key = key,
		.rule_count = rows->rules.count,
		.row_count = rows->rows.count,
	};
	size_t rules_size = rows->rules.count * sizeof(uint64_t);
	size_t rows_size = rows->rows.count * sizeof(struct unwind_row);
	size_t size = sizeof(header) + rules_size + rows_size;
	char temporary[64];
	uint64_t number;
	bool written;
	int fd;

	if (size > UNWIND_CACHE_SIZE || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return;
	make_room(directory, size);
	memcpy(header.magic, magic, sizeof(magic));
	header.checksum = checksum_of(&header, rows);
	snprintf(temporary, sizeof(temporary), UNWIND_CACHE_PREFIX "%016llx.new", (unsigned long long)number);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	written = write_all(fd, &header, sizeof(header)) && write_all(fd, rows->rules.items, rules_size) &&
		  write_all(fd, rows->rows.items, rows_size);
	if (close(fd) || !written || renameat(directory, temporary, directory, name))
		unlinkat(directory, temporary, 0);
}
