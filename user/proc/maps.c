// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/array.h"

/* Undo the kernel's escaping of newlines, and cut its mark of a deleted file. */
static void path_clean(char *path)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(path);
	char *from = path, *to = path;

	if (length >= sizeof(deleted) - 1 && !strcmp(path + length - (sizeof(deleted) - 1), deleted))
		path[length - (sizeof(deleted) - 1)] = '\0';
	while (*from) {
		if (!strncmp(from, "\\012", 4)) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static int map_parse(struct proc_maps *maps, char *line)
{
	uint64_t start, end, offset, inode;
	unsigned int major_number, minor_number;
	char permissions[5];
	struct proc_map *map;
	int path = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start, &end,
		    permissions, &offset, &major_number, &minor_number, &inode, &path) < 7 ||
		!path)
		return 0; /* not a line that a kernel writes */
	map = array_push(maps);
	if (!map)
		return -1;
	map->start = start;
	map->end = end;
	map->offset = offset;
	map->device = makedev(major_number, minor_number);
	map->inode = inode;
	map->executable = permissions[2] == 'x';
	map->path = strdup(line + path);
	if (!map->path)
		return -1;
	path_clean(map->path);
	return 0;
}

/* @return 0, or -1 with errno */
static int maps_parse(FILE *file, struct proc_maps *maps)
{
	char *line = NULL;
	size_t size = 0;
	int status = 0;

	errno = 0;
	while (!status && getline(&line, &size, file) > 0)
		status = map_parse(maps, line);
	free(line);
	if (status)
		errno = ENOMEM;
	return status || ferror(file) ? -1 : 0;
}

int proc_maps_read(pid_t pid, struct proc_maps *maps, struct error *err)
{
	char name[64];
	int status;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	file = fopen(name, "re");
	if (!file)
		return error_set_errno(
			err, errno == ENOENT ? ESRCH : errno, "cannot read the mappings of process %d", pid);
	status = maps_parse(file, maps);
	if (status) {
		error_set_errno(err, errno, "cannot read the mappings of process %d", pid);
		proc_maps_free(maps);
	}
	fclose(file);
	return status;
}

const struct proc_map *proc_maps_find(const struct proc_maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->items[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < maps->count && maps->items[low].start <= address)
		return &maps->items[low];
	return NULL;
}

void proc_maps_free(struct proc_maps *maps)
{
	for (size_t i = 0; i < maps->count; i++)
		free(maps->items[i].path);
	array_free(maps);
}

int proc_map_open(pid_t pid, const struct proc_map *map, struct error *err)
{
	char name[PATH_MAX];
	struct stat status;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, map->start, map->end);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	/* Without the right to use map_files, the path will do if it still names the same file. */
	if (errno == EPERM || errno == EACCES) {
		snprintf(name, sizeof(name), "/proc/%d/root%s", pid, map->path);
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && (fstat(fd, &status) || status.st_ino != map->inode)) {
			close(fd);
			fd = -1;
			errno = ENOENT;
		}
	}
	if (fd < 0)
		error_set_errno(
			err, errno == ENOENT ? ESRCH : errno, "cannot open %s of process %d", map->path, pid);
	return fd;
}
