/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * From an address in a process to the rule that leads to its caller: which file is mapped there, its rows,
 * and a cache of what was found, since programs allocate from the same places again and again.
 *
 * Which file it is, the kernel is asked at the time: nothing that a process maps or unmaps, replaces or
 * deletes can be missed. Rows come from user space; where they are missing, it is asked for them.
 */
#pragma once

#include "bpf/mapping.h"
#include "bpf/process.h"
#include "bpf/unwind_rule.h"

#define ROW_SEARCH_STEPS 32
#define VM_EXEC		 4

/* What the walk alone needs to know beside the kinds of rules. Those behind the first are never in the cache:
 * it will be different soon. */
enum {
	RULE_LEFT_OUT =
		UNWIND_KINDS, /* no room for the file's rows; its index stands in the offset's place */
	RULE_NO_CODE,	      /* nothing executable is mapped there */
	RULE_BUSY,	      /* the mappings are being changed */
	RULE_PENDING,	      /* the file's rows are not loaded yet */
};

/* An UNWIND_NONE of code that is in no file. */
#define RULE_NO_FILE unwind_rule(UNWIND_NONE, 8, SAVED_NOT, 0, SAVED_NOT, 0)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_RULES);
	__type(key, __u32);
	__type(value, __u64);
} rules SEC(".maps");

/*
 * Rules by address and code number. Entries are written without a lock by whoever comes: the check above the
 * rule tells when it and the key are of two different writers.
 */
#define RULE_CACHE_BITS 15

struct rule_cached {
	__u64 key;
	__u64 rule; /* check << UNWIND_RULE_BITS | rule */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << RULE_CACHE_BITS);
	__type(key, __u32);
	__type(value, struct rule_cached);
} rule_cache SEC(".maps");

#define CODE_SHIFT 47 /* bits of a user address */

static __always_inline __u64 rule_key(const struct thread *thread, __u64 address)
{
	return address | (__u64)thread->code << CODE_SHIFT;
}

/* The bits below those that choose the slot: with these they tell all code numbers at one address apart. */
static __always_inline __u64 rule_check(const struct thread *thread, __u64 mixed)
{
	return (mixed >> (UNWIND_RULE_BITS - RULE_CACHE_BITS) ^ thread->code >> (64 - CODE_SHIFT))
	       << UNWIND_RULE_BITS;
}

struct row_search {
	__u32 low, high; /* the row is in between, `high` excluded */
	__u32 offset;
};

static long row_search_step(__u32 step, struct row_search *search)
{
	__u32 middle = search->low + (search->high - search->low) / 2;
	const struct unwind_row *row;

	if (search->high - search->low <= 1)
		return 1;
	row = bpf_map_lookup_elem(&rows, &middle);
	if (!row)
		return 1;
	if (row->offset <= search->offset)
		search->low = middle;
	else
		search->high = middle;
	return 0;
}

/* The rule that a file's rows give for an offset in it. */
static __always_inline __u64 rule_of_file(const struct mapped_file *file, __u64 offset)
{
	struct row_search search = {
		.low = file->row_first, .high = file->row_first + file->row_count, .offset = offset};
	const struct unwind_row *row;
	const __u64 *rule;
	__u32 index;

	if (!file->row_count || offset >> 32)
		return UNWIND_NONE;
	bpf_loop(ROW_SEARCH_STEPS, row_search_step, &search, 0);
	row = bpf_map_lookup_elem(&rows, &search.low);
	if (!row || row->offset > search.offset)
		return UNWIND_NONE;
	index = row->rule;
	rule = bpf_map_lookup_elem(&rules, &index);
	return rule ? *rule : UNWIND_NONE;
}

/* Ask user space for the rows of a file, once. */
static __always_inline void rows_want(
	struct thread *thread, struct mapped_file *file, __u32 index, __u64 address)
{
	struct event *event;

	if (__sync_val_compare_and_swap(&file->rows_state, ROWS_UNKNOWN, ROWS_WANTED) != ROWS_UNKNOWN)
		return;
	event = event_reserve(EVENT_ROWS, bpf_get_current_pid_tgid() >> 32, thread->process);
	if (!event) {
		file->rows_state = ROWS_UNKNOWN; /* once more, later */
		return;
	}
	event->file = index;
	event->start = address;
	bpf_ringbuf_submit(event, 0);
}

/*
 * Does the code at an address return from a signal? C libraries other than glibc's have no call frame
 * information for it, but all are the same: mov $15 (rt_sigreturn), %eax or %rax; syscall.
 */
static __always_inline bool returns_from_signal(__u64 address)
{
	__u64 code[2] = {0};

	if (bpf_probe_read_user(code, 9, (void *)address))
		return false;
	return (code[0] == 0x0f0000000fc0c748ULL && code[1] == 0x05) ||
	       (code[0] & 0xffffffffffffffULL) == 0x050f0000000fb8ULL;
}

static __always_inline __u64 rule_find_in(struct thread *thread, const struct vma_found *found, __u64 address)
{
	__u32 index = file_record((struct vma_found *)found);
	struct mapped_file *file;

	if (!index--)
		return RULE_NO_FILE;
	file = bpf_map_lookup_elem(&files, &index);
	if (!file)
		return UNWIND_NONE;
	if (file->rows_state == ROWS_LOADED)
		return rule_of_file(file, address - found->start + found->file_offset);
	if (file->rows_state == ROWS_LEFT_OUT)
		return unwind_rule((enum unwind_kind)RULE_LEFT_OUT, index * 8, SAVED_NOT, 0, SAVED_NOT, 0);
	count(&file->misses);
	rows_want(thread, file, index, address);
	return RULE_PENDING;
}

/* Find the rule for an address, and keep it in the cache. */
__noinline __u64 rule_find(struct thread *thread, __u64 address)
{
	struct vma_found found = {0};
	__u64 key, mixed, rule;
	struct rule_cached *cached;
	long status;
	__u32 slot, kind;

	if (!thread)
		return RULE_NO_CODE;
	/* Helpers of Linux 5.17. */
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma))
		return UNWIND_NONE;
	status = bpf_find_vma(bpf_get_current_task_btf(), address, vma_read, &found, 0);
	if (status == -16 /* EBUSY */)
		return RULE_BUSY;
	if (status || !(found.flags & VM_EXEC))
		return RULE_NO_CODE;
	rule = rule_find_in(thread, &found, address);
	kind = unwind_rule_kind(rule);
	if (kind > RULE_LEFT_OUT)
		return rule;
	if ((kind == UNWIND_NONE || kind == RULE_LEFT_OUT) && returns_from_signal(address + 1))
		rule = UNWIND_SIGNAL;
	key = rule_key(thread, address);
	mixed = key * 0x9e3779b97f4a7c15ULL;
	slot = mixed >> (64 - RULE_CACHE_BITS);
	cached = bpf_map_lookup_elem(&rule_cache, &slot);
	if (cached) {
		cached->key = key;
		cached->rule = rule | rule_check(thread, mixed);
	}
	return rule;
}

/* @return the rule for the code at an address, or one of the walk's own kinds */
static __always_inline __u64 rule_at(struct thread *thread, __u64 address)
{
	__u64 key = rule_key(thread, address), mixed = key * 0x9e3779b97f4a7c15ULL, rule;
	__u32 slot = mixed >> (64 - RULE_CACHE_BITS);
	struct rule_cached *cached = bpf_map_lookup_elem(&rule_cache, &slot);

	if (cached && cached->key == key) {
		rule = cached->rule ^ rule_check(thread, mixed);
		if (!(rule >> UNWIND_RULE_BITS))
			return rule;
	}
	return rule_find(thread, address);
}
