/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* Walking a user stack. All that the rest knows of it is stack_walk(). */
#pragma once

#include "bpf/process.h"

/* How far above the stack pointer a frame may lie: the default limit of a main thread's stack. Keeps a frame
 * pointer register that some function uses for data from leading the walk into the heap. */
#define STACK_REACH (8ULL << 20)

/* No program's code lies outside: neither in the first pages nor above user space. */
#define CODE_MIN 0x1000ULL
#define CODE_MAX (1ULL << 47)

/* What every frame adds to the hash of a stack: a multiplication by an odd constant (2^64 / golden ratio)
 * spreads each bit upwards, the rotation brings the well-mixed ones down again. */
static __always_inline __u64 hash_step(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash << 29 | hash >> 35;
}

static __always_inline __u64 hash_finish(__u64 hash)
{
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}

/*
 * Collect the return addresses of the calling thread into thread->frames, innermost first, along frame
 * pointers.
 *
 * @param ip, sp, bp  the user registers from which to walk; ip becomes the first frame
 * @param hash        start value; returned with all frames mixed in
 */
static __always_inline __u64 stack_walk(struct thread *thread, __u64 ip, __u64 sp, __u64 bp, __u64 hash)
{
	struct {
		__u64 bp, ip;
	} frame;
	__u32 i;

	thread->frames[0] = ip;
	hash = hash_step(hash, ip);
	for (i = 1; i < MAX_FRAMES; i++) {
		if (bp < sp || bp - sp > STACK_REACH || bp & 7)
			break;
		if (bpf_probe_read_user(&frame, sizeof(frame), (void *)bp))
			break;
		if (frame.ip < CODE_MIN || frame.ip >= CODE_MAX)
			break;
		thread->frames[i] = frame.ip;
		hash = hash_step(hash, frame.ip);
		sp = bp + sizeof(frame);
		bp = frame.bp;
	}
	thread->frame_count = i;
	return hash;
}
