// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/debug_file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DEBUG_ROOT	"/usr/lib/debug"
#define CHECKSUM_MAX	(4ULL << 30) /* bytes of a debug file that are read for its checksum */
#define LINK_MAX_LENGTH 4096

/* What makes a file found under a likely name the right one. */
struct wanted {
	const uint8_t *build_id;
	size_t build_id_size;
	uint32_t checksum; /* used when there is no build ID to compare */
	bool has_checksum;
};

/*
 * A container's file system is the target's to arrange. RESOLVE_IN_ROOT keeps its symbolic links below its
 * root; O_NONBLOCK keeps a fifo from stopping us (elf_object_open() then refuses it).
 */
static int open_below(const char *root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int directory = open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return -1;
	return (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
}

/* The CRC-32 of ISO 3309 over the whole file, as .gnu_debuglink has it. */
static bool has_checksum(const struct elf_object *object, uint32_t wanted)
{
	_cleanup_free_ unsigned char *buffer = NULL;
	const size_t buffer_size = 256 << 10;
	uint32_t table[256], sum = ~0U;
	uint64_t offset = 0;
	size_t size;

	if (object->size > CHECKSUM_MAX)
		return false;
	buffer = malloc(buffer_size);
	if (!buffer)
		return false;
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320U : 0);
	}
	while ((size = elf_object_read(object, offset, buffer, buffer_size)) > 0) {
		for (size_t i = 0; i < size; i++)
			sum = table[(sum ^ buffer[i]) & 0xff] ^ sum >> 8;
		offset += size;
	}
	return ~sum == wanted;
}

/* A link may lead back to the stripped file itself, which has the right build ID but nothing to tell. */
static bool has_debug_data(const struct elf_object *object)
{
	return elf_object_find_section(object, ".symtab") || elf_object_find_section(object, ".debug_info") ||
	       elf_object_find_section(object, ".zdebug_info") ||
	       elf_object_find_section(object, ".debug_str");
}

static bool is_wanted(const struct elf_object *object, const struct wanted *wanted)
{
	uint8_t id[BUILD_ID_MAX];
	size_t size = elf_object_build_id(object, id);

	if (!has_debug_data(object))
		return false;
	if (size && wanted->build_id_size)
		return size == wanted->build_id_size && memcmp(id, wanted->build_id, size) == 0;
	return wanted->has_checksum && has_checksum(object, wanted->checksum);
}

static int try_path(
	const char *root, const char *path, const struct wanted *wanted, struct elf_object *object)
{
	_cleanup_close_ int fd = open_below(root, path);

	if (fd < 0)
		return -1;
	if (elf_object_open(fd, path, object, NULL) == 0 && is_wanted(object, wanted))
		return 0;
	elf_object_close(object);
	return -1;
}

static int try_build_id(const char *root, const struct wanted *wanted, struct elf_object *object)
{
	char path[sizeof(DEBUG_ROOT "/.build-id/") + 2 * BUILD_ID_MAX + sizeof("/.debug")];
	char *end;

	if (wanted->build_id_size < 2)
		return -1;
	end = stpcpy(path, DEBUG_ROOT "/.build-id/");
	for (size_t i = 0; i < wanted->build_id_size; i++) {
		if (i == 1)
			*end++ = '/';
		end += snprintf(end, 3, "%02x", wanted->build_id[i]);
	}
	memcpy(end, ".debug", sizeof(".debug"));
	return try_path(root, path, wanted, object);
}

/* DIRECTORY/NAME, DIRECTORY/.debug/NAME and /usr/lib/debug/DIRECTORY/NAME. */
static int try_link(const char *root, const char *directory, const char *name, const struct wanted *wanted,
	struct elf_object *object)
{
	static const struct {
		const char *before, *after;
	} places[] = {{"", "/"}, {"", "/.debug/"}, {DEBUG_ROOT, "/"}};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int length = snprintf(
			path, sizeof(path), "%s%s%s%s", places[i].before, directory, places[i].after, name);

		if (length > 0 && (size_t)length < sizeof(path) && try_path(root, path, wanted, object) == 0)
			return 0;
	}
	return -1;
}

/* @return the directory part of the file's path, to be freed: absolute, "" for the root directory; or NULL */
static char *directory_of(const struct elf_file *file)
{
	char *path = file->path[0] == '/' ? strdup(file->path) : realpath(file->path, NULL);
	char *slash = path ? strrchr(path, '/') : NULL;

	if (!slash) {
		free(path);
		return NULL;
	}
	*slash = '\0';
	return path;
}

/* .gnu_debuglink: a file name, NUL bytes up to a multiple of four, the checksum. */
static char *read_debuglink(const struct elf_object *object, uint32_t *checksum)
{
	const Elf64_Shdr *section = elf_object_find_section(object, ".gnu_debuglink");
	size_t length, at;
	char *name;

	if (!section)
		return NULL;
	name = elf_object_read_new(object, section->sh_offset, section->sh_size, LINK_MAX_LENGTH);
	if (!name)
		return NULL;
	length = strlen(name);
	at = (length + 4) & ~(size_t)3;
	if (!length || length > NAME_MAX || strchr(name, '/') || at + sizeof(*checksum) > section->sh_size) {
		free(name);
		return NULL;
	}
	memcpy(checksum, name + at, sizeof(*checksum));
	return name;
}

int debug_file_open(const struct elf_file *file, struct elf_object *debug)
{
	const char *roots[] = {file->root, ""};
	size_t root_count = *file->root ? 2 : 1;
	struct wanted wanted = {.build_id = file->build_id, .build_id_size = file->build_id_size};
	_cleanup_free_ char *directory = NULL, *name = NULL;

	*debug = (struct elf_object){.fd = -1};
	for (size_t i = 0; i < root_count; i++)
		if (try_build_id(roots[i], &wanted, debug) == 0)
			return 0;
	name = read_debuglink(&file->object, &wanted.checksum);
	if (!name)
		return -1;
	directory = directory_of(file);
	if (!directory)
		return -1;
	wanted.has_checksum = true;
	for (size_t i = 0; i < root_count; i++)
		if (try_link(roots[i], directory, name, &wanted, debug) == 0)
			return 0;
	return -1;
}

/* .gnu_debugaltlink: a path, a NUL byte, the build ID. */
int debug_file_open_shared(
	const struct elf_file *file, const struct elf_object *object, struct elf_object *shared)
{
	const Elf64_Shdr *section = elf_object_find_section(object, ".gnu_debugaltlink");
	const char *roots[] = {file->root, ""};
	size_t root_count = *file->root ? 2 : 1, length;
	_cleanup_free_ char *link = NULL;
	struct wanted wanted = {0};

	*shared = (struct elf_object){.fd = -1};
	if (!section)
		return -1;
	link = elf_object_read_new(
		object, section->sh_offset, section->sh_size, LINK_MAX_LENGTH + BUILD_ID_MAX);
	if (!link)
		return -1;
	length = strlen(link);
	if (!length || length + 1 >= section->sh_size || section->sh_size - length - 1 > BUILD_ID_MAX)
		return -1;
	wanted.build_id = (const uint8_t *)link + length + 1;
	wanted.build_id_size = section->sh_size - length - 1;
	for (size_t i = 0; i < root_count; i++) {
		if (try_build_id(roots[i], &wanted, shared) == 0)
			return 0;
		if (link[0] == '/' && try_path(roots[i], link, &wanted, shared) == 0)
			return 0;
	}
	return -1;
}
