// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/dwarf_walk.h"

#include <dwarf.h>
#include <time.h>

#define RANGES_MAX	  (4ULL << 20)
#define INLINED_CALLS_MAX (4ULL << 20) /* in functions that were looked at */
#define WALKS_MAX	  8	       /* times the size of .debug_info; an honest file needs 3 at the most */
#define BYTES_MAX	  (1ULL << 30)

/*
 * An honest file is walked over at 100 MB a second, one with an entry in every byte and as many empty
 * attributes as dwarf_check() lets pass at 3 MB a second. Looking at the clock costs as much as 10 entries.
 */
#define TIME_MAX       10000000000ULL
#define UNMEASURED_MAX (64 << 10)

void dwarf_budget_init(struct dwarf_budget *budget, const struct elf_file *file, uint64_t size)
{
	*budget = (struct dwarf_budget){
		.file = file,
		.ranges = RANGES_MAX,
		.inlined_calls = INLINED_CALLS_MAX,
		.bytes = size < BYTES_MAX / WALKS_MAX ? size * WALKS_MAX : BYTES_MAX,
		.time = TIME_MAX,
	};
}

int dwarf_ranges_each(struct dwarf_budget *budget, Dwarf_Die *die,
	int (*add)(void *data, uint64_t start, uint64_t end), void *data)
{
	Dwarf_Addr base = 0, start = 0, end = 0;
	ptrdiff_t offset = 0;

	while ((offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
		int status;

		if (!budget->ranges)
			return 0;
		budget->ranges--;
		if (!start || start >= end || !elf_file_code_segment(budget->file, start))
			continue;
		status = add(data, start, end);
		if (status)
			return status;
	}
	return 0;
}

static uint64_t processor_time(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool dwarf_path_start(
	struct dwarf_path *path, struct dwarf_budget *budget, const struct dwarf_unit *unit, Dwarf_Die *root)
{
	path->budget = budget;
	path->end = unit->end;
	path->depth = 0;
	path->unmeasured = 0;
	path->measured = processor_time();
	return budget->bytes && budget->time && dwarf_child(root, &path->entries[0]) == 0;
}

Dwarf_Die *dwarf_path_entry(struct dwarf_path *path)
{
	return &path->entries[path->depth];
}

static void spend(uint64_t *budget, uint64_t amount)
{
	*budget -= amount < *budget ? amount : *budget;
}

static void pay(struct dwarf_path *path, const unsigned char *from, const unsigned char *to)
{
	uint64_t bytes = (uint64_t)(to - from), now;

	spend(&path->budget->bytes, bytes);
	path->unmeasured += bytes;
	if (path->unmeasured < UNMEASURED_MAX)
		return;
	now = processor_time();
	spend(&path->budget->time, now - path->measured);
	path->measured = now;
	path->unmeasured = 0;
}

/*
 * A list of siblings ends in a null entry, and what comes behind it is the next sibling of the entry that the
 * list belongs to. Asking libdw for that sibling could make it walk over the whole list again, and at every
 * level above once more; or it would follow DW_AT_sibling, which may lead back into the list.
 */
static bool go_up(struct dwarf_path *path, const unsigned char *null_entry)
{
	while (path->depth) {
		Dwarf_Die *entry = &path->entries[--path->depth];
		const unsigned char *next = null_entry + 1;

		if (next >= path->end)
			return false;
		if (*next) {
			*entry = (Dwarf_Die){.addr = (void *)next, .cu = entry->cu};
			return true;
		}
		null_entry = next;
	}
	return false;
}

/* Whether to visit the children. libdw could skip them, but how long that takes would be up to the file. */
static bool goes_down(Dwarf_Die *entry, bool wanted)
{
	return dwarf_haschildren(entry) > 0 && (wanted || !dwarf_hasattr(entry, DW_AT_sibling));
}

bool dwarf_path_next(struct dwarf_path *path, bool down)
{
	Dwarf_Die *entry = dwarf_path_entry(path), next = {0};
	int status;

	if (!path->budget->bytes || !path->budget->time || path->depth + 1 == DWARF_DEPTH_MAX)
		return false;
	if (goes_down(entry, down) && dwarf_child(entry, entry + 1) == 0) {
		pay(path, entry->addr, entry[1].addr);
		path->depth++;
		return true;
	}
	status = dwarf_siblingof(entry, &next);
	/* At the end of a list, the result has the address of the null entry; after an error, or at the end
	 * of the unit, it has none. */
	if (status < 0 || !next.addr)
		return false;
	pay(path, entry->addr, next.addr);
	if (status > 0)
		return go_up(path, next.addr);
	*entry = next;
	return true;
}
