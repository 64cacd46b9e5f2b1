/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The table of live blocks: births and deaths take no lock. A slot is claimed by compare-and-swap on its key;
 * an address has one owner at a time, so nobody else touches the slot between its birth and its death.
 */
#pragma once

#include "bpf/process.h"

const volatile __u32 bucket_count = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} blocks SEC(".maps");

static __always_inline __u64 block_key(__u32 process, __u64 address)
{
	return address | (__u64)process << 48;
}

static __always_inline struct bucket *bucket_at(__u32 hash)
{
	__u32 index = (__u64)hash * bucket_count >> 32;

	return bpf_map_lookup_elem(&blocks, &index);
}

static __always_inline struct bucket *first_bucket(__u64 key)
{
	return bucket_at(key * 0x9e3779b97f4a7c15ULL >> 32);
}

static __always_inline struct bucket *second_bucket(__u64 key)
{
	return bucket_at((key ^ key >> 23) * 0xd6e8feb86659fd93ULL >> 32);
}

/* Remove a key from one bucket. @return whether it was there; its block is copied out first. */
static __always_inline bool bucket_remove(struct bucket *bucket, __u64 key, struct block *block)
{
	int i;

#pragma unroll
	for (i = 0; i < BUCKET_BLOCKS; i++) {
		if (bucket->keys[i] != key)
			continue;
		*block = bucket->blocks[i];
		return __sync_val_compare_and_swap(&bucket->keys[i], key, 0) == key;
	}
	return false;
}

static __always_inline bool bucket_insert(struct bucket *bucket, __u64 key, const struct block *block)
{
	int i;

#pragma unroll
	for (i = 0; i < BUCKET_BLOCKS; i++) {
		if (bucket->keys[i] || __sync_val_compare_and_swap(&bucket->keys[i], 0, key))
			continue;
		bucket->blocks[i] = *block;
		return true;
	}
	return false;
}

/* Remove a block. @return whether it was in the table, and what it was. */
static __always_inline bool block_remove(__u64 key, struct block *block)
{
	struct bucket *first = first_bucket(key), *second;

	if (!first)
		return false;
	if (bucket_remove(first, key, block))
		return true;
	if (!first->overflowed)
		return false;
	second = second_bucket(key);
	if (!second || !bucket_remove(second, key, block))
		return false;
	__sync_fetch_and_add(&first->overflowed, -1);
	return true;
}

/* Put a block in that is known not to be there. @return false when both of its buckets are full. */
static __always_inline bool block_insert(__u64 key, const struct block *block)
{
	struct bucket *first = first_bucket(key), *second;

	if (!first)
		return false;
	if (bucket_insert(first, key, block))
		return true;
	second = second_bucket(key);
	if (!second)
		return false;
	/* Before the block can be found there, so that nobody overlooks it. */
	__sync_fetch_and_add(&first->overflowed, 1);
	if (bucket_insert(second, key, block))
		return true;
	__sync_fetch_and_add(&first->overflowed, -1);
	return false;
}
