/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Recognizing a stack. Programs allocate from the same few hundred stacks again and again, at the same depth.
 * A walk that has been made once leaves a memo of all that decided it (the registers it began with and the
 * words of the stack that it used) and of the site it came to. When all of that is the same again, so is the
 * stack, and comparing takes a fraction of the time of walking.
 *
 * Memos are shared by all threads and written without waiting: a version, odd while one is being written, is
 * looked at before and after reading.
 */
#pragma once

#include "bpf/process.h"
#include "bpf/stack.h"

#define NO_SITE	      0xffffffffu
#define MEMO_SET_BITS 9
#define MEMO_WAYS     8 /* stacks that begin with the same address and stack pointer */

struct memo {
	__u64 version;
	__u64 ip, sp, bp; /* at the beginning */
	__u32 code;	  /* of the process; its code has not changed since */
	__u32 site;
	__u16 domain;
	__u16 needs_bp; /* bp has to be the same */
	__u16 count;	/* of words */
	__u16 extent;	/* words from sp to the end of the last one used */
	struct used_words used;
};

struct memo_set {
	struct memo memos[MEMO_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << MEMO_SET_BITS);
	__type(key, __u32);
	__type(value, struct memo_set);
} memos SEC(".maps");

_Static_assert((sizeof(struct memo_set) << MEMO_SET_BITS) + (sizeof(struct rule_cached) << RULE_CACHE_BITS) <=
		       WALK_TABLES,
	"what user space says of the memory taken is not true");

static __always_inline struct memo_set *memo_set_of(const struct thread *thread)
{
	__u64 hash = hash_step(hash_step(thread->walk.first_ip, thread->walk.first_sp), thread->code);
	__u32 index = hash_finish(hash) >> (64 - MEMO_SET_BITS);

	return bpf_map_lookup_elem(&memos, &index);
}

/* @return whether the stack holds what the memo says */
__noinline int memo_holds(struct thread *thread, struct memo *memo)
{
	__u64 sp, word;
	__u32 i, count;

	if (!thread || !memo)
		return 0;
	sp = thread->walk.first_sp;
	count = memo->count;
	thread->walk.read_end = sp + memo->extent * 8;
	for (i = 0; i < USED_WORDS; i++) {
		if (i >= count)
			return 1;
		if (!stack_read(thread, sp + memo->used.places[i] * 8, &word) || word != memo->used.words[i])
			return 0;
	}
	return 1;
}

/* @return the site of the stack at hand if it has been walked before, else NO_SITE */
static __always_inline __u32 memo_recall(struct thread *thread, enum domain domain)
{
	const struct walk *walk = &thread->walk;
	struct memo_set *set = memo_set_of(thread);
	__u64 version;
	__u32 i, site;

	if (!set)
		return NO_SITE;
	for (i = 0; i < MEMO_WAYS; i++) {
		struct memo *memo = &set->memos[i];

		version = memo->version;
		if (version & 1 || memo->sp != walk->first_sp || memo->ip != walk->first_ip ||
			memo->code != thread->code || memo->domain != domain)
			continue;
		barrier();
		if ((memo->needs_bp && memo->bp != walk->first_bp) || !memo_holds(thread, memo))
			continue;
		site = memo->site;
		barrier();
		if (memo->version == version)
			return site;
	}
	return NO_SITE;
}

/* Is the walk just made one that a memo can stand for? */
static __always_inline bool memo_worthwhile(const struct thread *thread)
{
	return thread->walk.memorable && thread->walk.end == STACK_COMPLETE;
}

/* Keep what decided the walk just made, and where it led. */
static __noinline void memo_keep(struct thread *thread, enum domain domain, __u32 site)
{
	struct memo_set *set;
	struct walk *walk;
	struct memo *memo;
	__u64 version;
	__u32 i;

	if (!thread)
		return;
	walk = &thread->walk;
	set = memo_set_of(thread);
	if (!set)
		return;
	memo = &set->memos[walk->hash & (MEMO_WAYS - 1)];
	version = memo->version;
	if (version & 1 || __sync_val_compare_and_swap(&memo->version, version, version + 1) != version)
		return;
	memo->ip = walk->first_ip;
	memo->sp = walk->first_sp;
	memo->bp = walk->first_bp;
	memo->code = thread->code;
	memo->site = site;
	memo->domain = domain;
	memo->needs_bp = walk->needs_bp;
	memo->count = walk->used_count;
	memo->extent = 0;
	for (i = 0; i < USED_WORDS && i < walk->used_count; i++) {
		memo->used.words[i] = walk->used.words[i];
		memo->used.places[i] = walk->used.places[i];
		if (memo->extent <= walk->used.places[i])
			memo->extent = walk->used.places[i] + 1;
	}
	barrier();
	memo->version = version + 2;
}
