// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/perf_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "elf/range_index.h"

#define BYTES_MAX   (64 << 20)
#define ENTRIES_MAX (1 << 20)

struct perf_map {
	char *text; /* the file; each name in it ends in a NUL byte */
	struct {
		const char **items;
		size_t count, capacity;
	} names;
	struct range_index ranges; /* values are positions in `names` */
};

/* @return the file's bytes with a NUL byte behind, or NULL */
static char *read_all(int fd, size_t *size)
{
	size_t capacity = 64 << 10;
	char *text = malloc(capacity + 1);

	*size = 0;
	while (text) {
		ssize_t got = read(fd, text + *size, capacity - *size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		*size += (size_t)got;
		if (!got || *size == BYTES_MAX) {
			text[*size] = '\0';
			return text;
		}
		if (*size == capacity) {
			char *grown = realloc(text, 2 * capacity + 1);

			if (!grown)
				break;
			text = grown;
			capacity *= 2;
		}
	}
	free(text);
	return NULL;
}

static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* Read a hexadecimal number, with or without 0x, and the blanks behind it. @return false when there is none
 * or it is larger than 64 bits */
static bool read_number(char **at, uint64_t *number)
{
	char *digit = *at, *first;

	if (digit[0] == '0' && (digit[1] == 'x' || digit[1] == 'X'))
		digit += 2;
	first = digit;
	*number = 0;
	for (int value; (value = digit_value(*digit)) >= 0; digit++) {
		if (*number >> 60)
			return false;
		*number = *number << 4 | (unsigned)value;
	}
	if (digit == first || (*digit != ' ' && *digit != '\t'))
		return false;
	while (*digit == ' ' || *digit == '\t')
		digit++;
	*at = digit;
	return true;
}

/* A line, which ends in a NUL byte. @return -1 when memory ran out */
static int add_line(struct perf_map *map, char *line)
{
	uint64_t start, size;
	const char **name;

	if (!read_number(&line, &start) || !read_number(&line, &size))
		return 0;
	if (!size || size > UINT64_MAX - start || !*line || map->names.count == ENTRIES_MAX)
		return 0;
	name = array_push(&map->names);
	if (!name)
		return -1;
	*name = line;
	return range_index_add(&map->ranges, start, start + size, (uint32_t)(map->names.count - 1));
}

/* A last line without a newline is still being written: its name, or even its size, may be cut short. */
static int add_lines(struct perf_map *map, size_t size)
{
	char *line = map->text, *end = map->text + size, *newline;

	for (; (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
		*newline = '\0';
		if (newline > line && newline[-1] == '\r')
			newline[-1] = '\0';
		if (add_line(map, line))
			return -1;
	}
	return range_index_flatten(&map->ranges);
}

struct perf_map *perf_map_read(int fd)
{
	struct perf_map *map;
	struct stat status;
	size_t size;

	/* The name is the target's to choose in a folder all may write to: a fifo there would stop us for
	 * good. */
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		return NULL;
	map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	map->text = read_all(fd, &size);
	if (!map->text || add_lines(map, size)) {
		perf_map_free(map);
		return NULL;
	}
	return map;
}

const char *perf_map_lookup(const struct perf_map *map, uint64_t address)
{
	const struct address_range *range = range_index_find(&map->ranges, address);

	return range ? map->names.items[range->value] : NULL;
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	free(map->text);
	array_free(&map->names);
	array_free(&map->ranges);
	free(map);
}
