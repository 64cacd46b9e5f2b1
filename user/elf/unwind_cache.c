// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/unwind_cache.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "elf/elf_private.h"
#include "elf/unwind_builder.h"
#include "elf/unwind_cache_file.h"
#include "elf/unwind_checksum.h"

/* What a file is known by. */
struct identity {
	unsigned char bytes[BUILD_ID_MAX];
	size_t size;
};

static bool identify(const struct elf_file *file, struct identity *identity)
{
	struct stat status;
	uint64_t place[3];

	*identity = (struct identity){.size = file->build_id_size};
	memcpy(identity->bytes, file->build_id, file->build_id_size);
	if (file->build_id_size)
		return true;
	if (fstat(file->object.fd, &status))
		return false;
	place[0] = status.st_dev;
	place[1] = status.st_ino;
	place[2] = (uint64_t)status.st_size;
	memcpy(identity->bytes, place, sizeof(place));
	identity->size = sizeof(place);
	return true;
}

/* All that rows are made of: call frame information, where it is, and where the code is. */
static uint64_t key_of(
	const struct elf_file *file, const struct identity *identity, const struct unwind_sources *sources)
{
	uint64_t key = unwind_checksum(file->object.size, identity->bytes, identity->size);

	key = unwind_checksum(key, file->segments, file->segment_count * sizeof(*file->segments));
	for (size_t i = 0; i < sources->count; i++) {
		const struct unwind_source *source = &sources->items[i];
		const uint64_t place[] = {source->format, source->address, source->ends_at_zero};

		key = unwind_checksum(key, place, sizeof(place));
		key = unwind_checksum(key, source->bytes, source->size);
	}
	return key;
}

struct cache_name {
	char text[sizeof(UNWIND_CACHE_PREFIX) + 2 * BUILD_ID_MAX + 18];
};

static struct cache_name name_of(const struct identity *identity, uint64_t key)
{
	struct cache_name name = {UNWIND_CACHE_PREFIX};
	size_t length = sizeof(UNWIND_CACHE_PREFIX) - 1;

	for (size_t i = 0; i < identity->size; i++, length += 2)
		snprintf(name.text + length, 3, "%02x", identity->bytes[i]);
	snprintf(name.text + length, sizeof(name.text) - length, "-%016llx", (unsigned long long)key);
	return name;
}

static int get(struct elf_file *file, const struct unwind_sources *sources, struct unwind_rows *rows,
	struct error *err)
{
	_cleanup_close_ int directory = unwind_cache_open();
	struct identity identity;
	struct cache_name name;
	uint64_t key;

	if (directory < 0 || !identify(file, &identity))
		return unwind_rows_build_from(file, sources, rows, err);
	key = key_of(file, &identity, sources);
	name = name_of(&identity, key);
	if (unwind_cache_load(directory, name.text, key, rows))
		return 0;
	if (unwind_rows_build_from(file, sources, rows, err))
		return -1;
	unwind_cache_store(directory, name.text, key, rows);
	return 0;
}

int unwind_rows_get(struct elf_file *file, struct unwind_rows *rows, struct error *err)
{
	struct unwind_sources sources;
	int status;

	*rows = (struct unwind_rows){0};
	status = unwind_sources_read(file, &sources, err);
	if (!status)
		status = sources.count ? get(file, &sources, rows, err) : 0;
	unwind_sources_free(&sources);
	return status;
}
