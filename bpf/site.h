/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* Sites: from the stack of the calling thread to the counters of its site. */
#pragma once

#include "bpf/mapping.h"
#include "bpf/memo.h"
#include "bpf/process.h"
#include "bpf/stack.h"

const volatile __u32 max_stacks = 1;
__u32 site_count; /* indices given out; user space reads sites up to here */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct site);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} site_of_id SEC(".maps");

/* Indices below max_stacks that were in use once and are not any more. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} free_sites SEC(".maps");

static __always_inline struct site *site_at(__u32 index)
{
	return bpf_map_lookup_elem(&sites, &index);
}

/* The site of a process and domain that takes what finds no place in the stack table. */
static __always_inline __u32 site_without_stack(__u32 process, enum domain domain)
{
	__u32 index = max_stacks + process * DOMAINS + domain;
	struct site *site = site_at(index);

	count(&lost.stacks);
	if (site && !site->id) {
		site->process = process;
		site->domain = domain;
		site->birth_ns = bpf_ktime_get_ns();
		site->id = hash_finish(hash_step(hash_step(~0ULL, process), domain));
	}
	return index;
}

/* An index for a new site: the next one, or one that user space has given back. @return false when there is
 * none */
static __always_inline bool site_take(__u32 *index)
{
	if (site_count < max_stacks) {
		*index = __sync_fetch_and_add(&site_count, 1);
		if (*index < max_stacks)
			return true;
		__sync_fetch_and_add(&site_count, -1);
	}
	return !bpf_map_pop_elem(&free_sites, index) && *index < max_stacks;
}

__noinline __u32 site_create(struct thread *thread, __u64 id, enum domain domain)
{
	__u32 index, i, *winner;
	struct stack *stack;
	struct site *site;

	if (!thread)
		return NO_SITE;
	if (!site_take(&index))
		return site_without_stack(thread->process, domain);
	site = site_at(index);
	stack = bpf_map_lookup_elem(&stacks, &index);
	if (!site || !stack)
		return NO_SITE;
	for (i = 0; i < MAX_FRAMES && i < thread->walk.count; i++) {
		stack->frames[i] = thread->frames[i];
		stack->mappings[i] = 0;
	}
	site->process = thread->process;
	site->domain = domain;
	site->frame_count = thread->walk.count;
	site->check = thread->walk.check;
	site->stack_end = thread->walk.end;
	site->frame_pointers = thread->walk.frame_pointers;
	site->birth_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&site_of_id, &id, &index, BPF_NOEXIST)) {
		/* Another CPU was first. */
		bpf_map_push_elem(&free_sites, &index, 0);
		winner = bpf_map_lookup_elem(&site_of_id, &id);
		return winner ? *winner : site_without_stack(thread->process, domain);
	}
	site->id = id;
	mappings_record(thread, stack);
	return index;
}

/* What the hash of a site's stack begins with. */
static __always_inline __u64 site_hash(const struct thread *thread, enum domain domain)
{
	return hash_step(thread->process, domain);
}

/* A site whose id is that of the stack just walked. @return whether it is the same stack */
static __always_inline bool site_is_of(__u32 index, const struct walk *walk)
{
	struct site *site = site_at(index);

	return site && site->check == (__u32)walk->check;
}

/*
 * Is the table nearly full? Programs that recurse have stacks without end; the last eighth of the table is
 * kept for what they have in common, the innermost frames.
 */
static __always_inline bool sites_scarce(void)
{
	return site_count >= max_stacks - max_stacks / 8;
}

/* Keep only the innermost frames of the stack just walked. */
__noinline int stack_shorten(struct thread *thread, enum domain domain)
{
	struct walk *walk;
	int i;

	if (!thread)
		return 1;
	walk = &thread->walk;
	walk->hash = walk->check = site_hash(thread, domain);
	for (i = 0; i < SHORT_FRAMES; i++)
		walk_mix(walk, thread->frames[i]);
	walk->count = SHORT_FRAMES;
	walk->end = STACK_SHORTENED;
	walk_finish(walk);
	return 0;
}

__noinline __u32 site_find(struct thread *thread, enum domain domain)
{
	__u32 *index;
	__u64 id;

	if (!thread)
		return NO_SITE;
	id = thread->walk.hash;
	index = bpf_map_lookup_elem(&site_of_id, &id);
	if (!index && thread->walk.count > SHORT_FRAMES && sites_scarce()) {
		stack_shorten(thread, domain);
		id = thread->walk.hash;
		index = bpf_map_lookup_elem(&site_of_id, &id);
	}
	if (!index)
		return site_create(thread, id, domain);
	if (site_is_of(*index, &thread->walk))
		return *index;
	count(&lost.collisions);
	return site_without_stack(thread->process, domain);
}

/* The site of an allocation that the calling thread makes, its stack walked from the given user registers. */
static __always_inline __u32 site_get(struct thread *thread, enum domain domain, const struct pt_regs *regs)
{
	struct walk *walk = &thread->walk;
	__u32 site, check;
	bool worthwhile;
	__u64 id;

	stack_begin(thread, regs);
	site = memo_recall(thread, domain);
	if (site != NO_SITE)
		return site;
	stack_walk(thread, regs, site_hash(thread, domain));
	id = walk->hash;
	check = walk->check;
	worthwhile = memo_worthwhile(thread);
	/* Loops allocate at the same site again and again. */
	if (id == thread->last_site_id && check == thread->last_site_check)
		site = thread->last_site;
	else
		site = site_find(thread, domain);
	if (worthwhile && site < max_stacks)
		memo_keep(thread, domain, site);
	thread->last_site = site;
	thread->last_site_id = site < max_stacks ? id : 0;
	thread->last_site_check = check;
	return site;
}

static __always_inline void site_born(__u32 index, __u64 size)
{
	struct site *site = site_at(index);

	if (!site)
		return;
	__sync_fetch_and_add(&site->allocated_bytes, size);
	__sync_fetch_and_add(&site->allocations, 1);
}

static __always_inline void site_died(__u32 index, __u64 size)
{
	struct site *site = site_at(index);

	if (!site)
		return;
	__sync_fetch_and_add(&site->freed_bytes, size);
	__sync_fetch_and_add(&site->frees, 1);
}
