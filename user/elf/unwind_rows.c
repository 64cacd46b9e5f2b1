// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/array.h"
#include "elf/elf_private.h"
#include "elf/unwind_builder.h"

/* Each entry is looked up among them; linkers make some five. */
#define SEGMENTS_MAX 64

int unwind_rows_build_from(const struct elf_file *file, const struct unwind_sources *sources,
	struct unwind_rows *rows, struct error *err)
{
	struct unwind_builder builder = {.rows = rows};
	int status = UNWIND_MALFORMED;

	*rows = (struct unwind_rows){0};
	if (!sources->count)
		return 0;
	if (file->segment_count <= SEGMENTS_MAX)
		status = sources->items[0].format == UNWIND_SFRAME
				 ? unwind_read_sframe(file, &sources->items[0], &builder)
				 : unwind_read_frames(file, sources, &builder);
	free(builder.slots);
	if (status == UNWIND_NO_MEMORY)
		return error_set(err, ERROR_SYSTEM, "cannot read %s: out of memory", elf_file_path(file));
	if (status)
		return error_set(err, ERROR_INPUT,
			"cannot read %s: corrupt ELF file: malformed call frame information",
			elf_file_path(file));
	return 0;
}

int unwind_rows_build(struct elf_file *file, struct unwind_rows *rows, struct error *err)
{
	struct unwind_sources sources;
	int status;

	*rows = (struct unwind_rows){0};
	status = unwind_sources_read(file, &sources, err);
	if (!status)
		status = unwind_rows_build_from(file, &sources, rows, err);
	unwind_sources_free(&sources);
	return status;
}

int unwind_rows_build_image(const void *image, size_t size, struct unwind_rows *rows, struct error *err)
{
	int fd = memfd_create("image", MFD_CLOEXEC), status = -1;
	struct elf_file *file = NULL;

	*rows = (struct unwind_rows){0};
	if (fd < 0 || write(fd, image, size) != (ssize_t)size)
		error_set_errno(err, errno, "cannot read an image in memory");
	else
		file = elf_file_open(fd, "[image]", "", err);
	if (file)
		status = unwind_rows_build(file, rows, err);
	elf_file_close(file);
	if (fd >= 0)
		close(fd);
	return status;
}

uint64_t unwind_rows_find(const struct unwind_rows *rows, uint64_t offset)
{
	size_t low = 0, high = rows->rows.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows->rows.items[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? rows->rules.items[rows->rows.items[low - 1].rule] : 0;
}

void unwind_rows_free(struct unwind_rows *rows)
{
	array_free(&rows->rows);
	array_free(&rows->rules);
}
