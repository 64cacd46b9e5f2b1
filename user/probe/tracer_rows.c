// SPDX-License-Identifier: GPL-2.0-or-later
/* Unwind rows in the kernel side's tables: room for them, and which file has which. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe/tracer_internal.h"
#include "heap.skel.h"

/* Slots of the hash table over the rules in use; twice as many as there can be rules. */
#define RULE_SLOTS (2 * MAX_RULES)

static uint32_t rule_slot(uint64_t rule)
{
	return (uint32_t)(rule * 0x9e3779b97f4a7c15ULL >> 47) % RULE_SLOTS;
}

/* @return the index of a rule, which is added when it is new; MAX_RULES when there is no room */
static uint32_t place_rule(struct tracer *tracer, uint64_t rule)
{
	struct rule_tables *rules = &tracer->rules;
	uint32_t slot = rule_slot(rule);

	for (; rules->slots[slot]; slot = (slot + 1) % RULE_SLOTS) {
		if (rules->items[rules->slots[slot] - 1] == rule)
			return rules->slots[slot] - 1;
	}
	if (rules->count == MAX_RULES)
		return MAX_RULES;
	rules->items[rules->count++] = rule;
	rules->slots[slot] = rules->count;
	return rules->count - 1;
}

static int map_rules(struct tracer *tracer)
{
	struct rule_tables *rules = &tracer->rules;
	void *memory;

	if (rules->items)
		return 0;
	rules->slots = calloc(RULE_SLOTS, sizeof(*rules->slots));
	if (!rules->slots)
		return -1;
	memory = mmap(NULL, MAX_RULES * sizeof(*rules->items), PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(tracer->skeleton->maps.rules), 0);
	if (memory == MAP_FAILED)
		return -1;
	rules->items = memory;
	return 0;
}

void tracer_rows_free(struct tracer *tracer)
{
	if (tracer->rules.items)
		munmap(tracer->rules.items, MAX_RULES * sizeof(*tracer->rules.items));
	free(tracer->rules.slots);
}

/* Number a file's rules as the kernel side does. @return the numbers by the file's own, or NULL */
static uint32_t *number_rules(struct tracer *tracer, const struct unwind_rows *rows)
{
	uint32_t *numbers;

	if (map_rules(tracer))
		return NULL;
	numbers = calloc(rows->rules.count + 1, sizeof(*numbers));
	for (size_t i = 0; numbers && i < rows->rules.count; i++) {
		numbers[i] = place_rule(tracer, rows->rules.items[i]);
		if (numbers[i] == MAX_RULES) {
			free(numbers);
			return NULL;
		}
	}
	return numbers;
}

/* Map just the part of the table that is written: all of it would take longer than the rest of loading. */
static int write_rows(
	struct tracer *tracer, const struct unwind_rows *rows, const uint32_t *numbers, uint32_t first)
{
	size_t start = first * sizeof(struct unwind_row), page = (size_t)sysconf(_SC_PAGESIZE);
	size_t before = start % page, size = before + rows->rows.count * sizeof(struct unwind_row);
	struct unwind_row *row;
	char *memory;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(tracer->skeleton->maps.rows), (off_t)(start - before));
	if (memory == MAP_FAILED)
		return -1;
	row = (struct unwind_row *)(void *)(memory + before);
	for (size_t i = 0; i < rows->rows.count; i++) {
		row[i].offset = rows->rows.items[i].offset;
		row[i].rule = numbers[rows->rows.items[i].rule];
	}
	munmap(memory, size);
	return 0;
}

int tracer_place_rows(struct tracer *tracer, const struct unwind_rows *rows, uint32_t *first)
{
	uint32_t *numbers;
	int status;

	*first = tracer->rows_used;
	if (!rows->rows.count)
		return 0;
	if (rows->rows.count > tracer->tables.max_rows - tracer->rows_used)
		return -1;
	numbers = number_rules(tracer, rows);
	if (!numbers)
		return -1;
	status = write_rows(tracer, rows, numbers, *first);
	free(numbers);
	if (!status)
		tracer->rows_used += (uint32_t)rows->rows.count;
	return status;
}

uint32_t tracer_rows_used(const struct tracer *tracer)
{
	return tracer->rows_used;
}

uint32_t tracer_file(struct tracer *tracer, uint64_t inode, dev_t device)
{
	struct heap_bpf *skeleton = tracer->skeleton;
	struct {
		uint64_t inode, device;
	} key = {inode, inode == VDSO_INODE ? VDSO_INODE : (uint64_t)major(device) << 20 | minor(device)};
	int map = bpf_map__fd(skeleton->maps.file_of_inode);
	struct mapped_file *file;
	uint32_t number;

	if (!bpf_map_lookup_elem(map, &key, &number))
		return number - 1;
	number = __atomic_add_fetch(&skeleton->bss->file_count, 1, __ATOMIC_SEQ_CST);
	if (number > MAX_FILES)
		return MAX_FILES;
	file = &tracer->tables.files[number - 1];
	file->inode = key.inode;
	file->device = (uint32_t)key.device;
	if (!bpf_map_update_elem(map, &key, &number, BPF_NOEXIST))
		return number - 1;
	/* The kernel side has met it in between. */
	return bpf_map_lookup_elem(map, &key, &number) ? MAX_FILES : number - 1;
}

bool tracer_files_full(const struct tracer *tracer)
{
	return __atomic_load_n(&tracer->skeleton->bss->file_count, __ATOMIC_ACQUIRE) >= MAX_FILES;
}

void tracer_give_rows(
	struct tracer *tracer, uint32_t file, enum rows_state state, uint32_t first, uint32_t count)
{
	struct mapped_file *mapped;

	if (file >= MAX_FILES)
		return;
	mapped = &tracer->tables.files[file];
	mapped->row_first = first;
	mapped->row_count = count;
	__atomic_store_n(&mapped->rows_state, state, __ATOMIC_RELEASE);
}
