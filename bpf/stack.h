/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/* Walking a user stack. All that the rest knows of it is stack_walk(). */
#pragma once

#include "bpf/process.h"
#include "bpf/unwind.h"

/* How far above the stack pointer a frame may lie when frame pointers are followed: the default limit of a
 * main thread's stack. Keeps a register that some function uses for data from leading into the heap. */
#define STACK_REACH (8ULL << 20)

/* Saved registers lie below the return address: begin to read that far below it. */
#define WINDOW_BELOW 64

/* What stands for a register that was lost; no frame lies there. */
#define REGISTER_LOST 1

/* Offsets in the frame of a signal, from the stack pointer of its trampoline: struct ucontext. */
enum { SIGNAL_BP = 120, SIGNAL_BX = 128, SIGNAL_SP = 160, SIGNAL_IP = 168 };

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

/* Read a word that is not in the window, and move the window there. @return 0, and it is in walk->word */
__noinline int stack_read_far(struct thread *thread, __u64 address)
{
	struct walk *walk;
	__u64 start, size;

	if (!thread)
		return 1;
	walk = &thread->walk;
	start = address - WINDOW_BELOW;
	/* Not too far: reading beyond the end of the stack is a fault, and takes long. */
	size = walk->read_end ? walk->read_end - start : WINDOW_USUAL * 8;
	if (size > sizeof(walk->window))
		size = sizeof(walk->window);
	if (!bpf_probe_read_user(walk->window, size, (void *)start)) {
		walk->window_start = start;
		walk->window_size = size;
		walk->word = walk->window[WINDOW_BELOW / 8];
		return 0;
	}
	/* At an end of the stack the window reaches beyond. It was half overwritten. */
	walk->window_size = 0;
	return bpf_probe_read_user(&walk->word, sizeof(walk->word), (void *)address) ? 1 : 0;
}

static __always_inline bool stack_read(struct thread *thread, __u64 address, __u64 *word)
{
	struct walk *walk = &thread->walk;
	__u64 at = address - walk->window_start;

	if (at < walk->window_size && !(at & 7)) {
		at /= 8;
		barrier_var(at); /* the verifier needs to see the bound that the compiler knows of */
		*word = walk->window[at & (WINDOW_WORDS - 1)];
		return true;
	}
	if (stack_read_far(thread, address))
		return false;
	*word = walk->word;
	return true;
}

/* What `bp_place` is when bp was not read from the stack, or when the word it was read from is noted. */
enum { BP_FIRST, BP_NOTED };

/* Note a word of the stack that the rest of the walk depends on. */
static __always_inline void walk_used(struct walk *walk, __u64 address, __u64 word)
{
	__u64 place = address - walk->first_sp;
	__u32 count = walk->used_count;

	if (count >= USED_WORDS || place & 7 || place >> 19) {
		walk->memorable = 0;
		return;
	}
	walk->used_count = count + 1;
	barrier_var(count); /* the verifier needs to see the bound that the compiler knows of */
	count &= USED_WORDS - 1;
	walk->used.words[count] = word;
	walk->used.places[count] = place / 8;
}

/* The rest of the walk depends on bp. */
static __always_inline void walk_used_bp(struct walk *walk)
{
	if (walk->bp_place == BP_FIRST)
		walk->needs_bp = 1;
	else if (walk->bp_place != BP_NOTED)
		walk_used(walk, walk->bp_place, walk->bp);
	walk->bp_place = BP_NOTED;
}

static __always_inline int walk_end(struct walk *walk, enum stack_end end)
{
	walk->end = end;
	return 1;
}

static __always_inline void walk_mix(struct walk *walk, __u64 frame)
{
	walk->hash = hash_step(walk->hash, frame);
	walk->check = (walk->check ^ frame >> 1) * 0xff51afd7ed558ccdULL;
	walk->check ^= walk->check >> 32;
}

/* Two ends of the same frames are two stacks. */
static __always_inline void walk_finish(struct walk *walk)
{
	walk->hash = hash_finish(hash_step(walk->hash, walk->end << 1 | walk->frame_pointers));
}

static __always_inline void walk_add_frame(struct thread *thread)
{
	struct walk *walk = &thread->walk;
	__u64 frame = walk->ip;

	if (walk->interrupted)
		frame |= FRAME_INTERRUPTED;
	thread->frames[walk->count & MAX_FRAMES] = frame;
	walk->count++;
	walk_mix(walk, frame);
}

/* The registers that a signal interrupted. */
static __always_inline int walk_signal(struct thread *thread)
{
	struct walk *walk = &thread->walk;
	__u64 frame = walk->sp;

	if (!stack_read(thread, frame + SIGNAL_BP, &walk->bp) ||
		!stack_read(thread, frame + SIGNAL_BX, &walk->bx) ||
		!stack_read(thread, frame + SIGNAL_SP, &walk->sp) ||
		!stack_read(thread, frame + SIGNAL_IP, &walk->ip))
		return walk_end(walk, STACK_UNREADABLE);
	walk->interrupted = 1;
	return 0;
}

/* To the caller along the frame pointer. @param at_zero, otherwise  the end when it is 0, and when there is
 * none */
static __always_inline int walk_frame_pointer(
	struct thread *thread, enum stack_end at_zero, enum stack_end otherwise)
{
	struct walk *walk = &thread->walk;
	__u64 frame = walk->bp;

	if (!frame)
		return walk_end(walk, at_zero);
	if (frame < walk->sp || frame - walk->sp > STACK_REACH || frame & 7)
		return walk_end(walk, otherwise);
	if (!stack_read(thread, frame + 8, &walk->ip) || !stack_read(thread, frame, &walk->bp))
		return walk_end(walk, STACK_UNREADABLE);
	walk->frame_pointers = 1;
	walk->bx = REGISTER_LOST;
	walk->sp = frame + 16;
	walk->interrupted = 0;
	return walk->ip ? 0 : walk_end(walk, STACK_COMPLETE);
}

/*
 * A register of the caller. One that cannot be read is lost, no more: at the end of some functions, gcc's
 * information is wrong about a register that no rule needs any more.
 *
 * @param address  where it is; 0: it is lost
 */
static __always_inline void walk_restore(struct thread *thread, __u64 address, __u64 *value)
{
	if (!address || !stack_read(thread, address, value))
		*value = REGISTER_LOST;
}

static __always_inline __u64 saved_at(enum unwind_saved saved, __u64 cfa, __u64 bp, __s64 offset)
{
	return saved == SAVED_AT_CFA ? cfa + offset : saved == SAVED_AT_BP ? bp + offset : 0;
}

static __always_inline void walk_restore_bp(struct thread *thread, __u64 cfa, __u64 rule)
{
	struct walk *walk = &thread->walk;
	enum unwind_saved saved = unwind_rule_bp(rule);
	__u64 address;

	if (saved == SAVED_NOT)
		return;
	if (saved == SAVED_AT_BP)
		walk_used_bp(walk);
	address = saved_at(saved, cfa, walk->bp, unwind_rule_bp_offset(rule));
	walk_restore(thread, address, &walk->bp);
	walk->bp_place = address ? address : BP_NOTED;
}

static __always_inline void walk_restore_bx(struct thread *thread, __u64 cfa, __u64 bp, __u64 rule)
{
	enum unwind_saved saved = unwind_rule_bx(rule);

	if (saved != SAVED_NOT)
		walk_restore(thread, saved_at(saved, cfa, bp, unwind_rule_bx_offset(rule)), &thread->walk.bx);
}

/* Go from a frame whose CFA is known to its caller. */
static __always_inline int walk_to_caller(struct thread *thread, __u64 cfa, __u64 rule)
{
	struct walk *walk = &thread->walk;
	__u64 bp = walk->bp;

	if (cfa <= walk->sp)
		return walk_end(walk, STACK_BROKEN);
	if (!stack_read(thread, cfa - 8, &walk->ip))
		return walk_end(walk, STACK_UNREADABLE);
	walk_used(walk, cfa - 8, walk->ip);
	walk_restore_bp(thread, cfa, rule);
	if (walk->needs_bx)
		walk_restore_bx(thread, cfa, bp, rule);
	walk->sp = cfa;
	walk->interrupted = 0;
	return walk->ip ? 0 : walk_end(walk, STACK_COMPLETE);
}

/* Count a frame in a file whose rows found no room. */
static __always_inline void walk_left_out(__u64 rule)
{
	__u32 index = (__u64)unwind_rule_offset(rule) / 8;
	struct mapped_file *file = bpf_map_lookup_elem(&files, &index);

	if (file)
		count(&file->misses);
}

/* walk_step() for the less frequent rules. */
__noinline int walk_rare_step(struct thread *thread, __u64 rule)
{
	struct walk *walk;
	__s64 offset;
	__u64 cfa;

	if (!thread)
		return 1;
	walk = &thread->walk;
	if (rule == RULE_NO_CODE && walk->count)
		return walk_end(walk, STACK_NO_CODE);
	walk_add_frame(thread);
	if (unwind_rule_kind(rule) != UNWIND_END)
		walk->memorable = 0;
	offset = unwind_rule_offset(rule);
	switch ((int)unwind_rule_kind(rule)) {
	case RULE_LEFT_OUT:
		walk_left_out(rule);
		return walk_frame_pointer(thread, STACK_NO_RULE, STACK_NO_RULE);
	case UNWIND_NONE:
		/* Where a program or a thread begins, rbp is 0, by the ABI. Neither begins in code made at
		 * run time, which may well use it for data. */
		return walk_frame_pointer(
			thread, rule == RULE_NO_FILE ? STACK_NO_RULE : STACK_COMPLETE, STACK_NO_RULE);
	case UNWIND_SIGNAL:
		return walk_signal(thread);
	case UNWIND_END:
		return walk_end(walk, STACK_COMPLETE);
	case RULE_NO_CODE:
		return walk_end(walk, STACK_NO_CODE);
	case RULE_BUSY:
		return walk_frame_pointer(thread, STACK_BUSY, STACK_BUSY);
	case RULE_PENDING:
		return walk_frame_pointer(thread, STACK_PENDING, STACK_PENDING);
	case UNWIND_BX:
		if (!walk->needs_bx) {
			walk->needs_bx = 1;
			return 2; /* begin again */
		}
		return walk_to_caller(thread, walk->bx + offset, rule);
	case UNWIND_PLT:
		offset = (__s64)((walk->ip & 15) * 8) >= offset ? 16 : 8;
		return walk_to_caller(thread, walk->sp + offset, rule);
	case UNWIND_BP_DEREF:
		if (!stack_read(thread, walk->bp + offset, &cfa))
			return walk_end(walk, STACK_UNREADABLE);
		return walk_to_caller(thread, cfa, rule);
	default:
		return walk_end(walk, STACK_UNSUPPORTED);
	}
}

/* Note the frame at hand and go to its caller. @return 0 when there is one, else walk->end says why not */
static __always_inline int walk_step(struct thread *thread)
{
	struct walk *walk = &thread->walk;
	enum unwind_kind kind;
	__u64 rule;

	if (walk->ip >> CODE_SHIFT)
		return walk_end(walk, STACK_NO_CODE);
	rule = rule_at(thread, walk->interrupted ? walk->ip : walk->ip - 1);
	kind = unwind_rule_kind(rule);
	if (kind != UNWIND_SP && kind != UNWIND_BP)
		return walk_rare_step(thread, rule);
	if (kind == UNWIND_BP)
		walk_used_bp(walk);
	walk_add_frame(thread);
	return walk_to_caller(
		thread, (kind == UNWIND_SP ? walk->sp : walk->bp) + unwind_rule_offset(rule), rule);
}

/* Frames that are walked by one call: a call and its return cost about as much as a frame. MAX_FRAMES + 1 is
 * a multiple of it. */
#define FRAMES_AT_ONCE 4

__noinline int walk_frames(struct thread *thread)
{
	int i, status;

	if (!thread)
		return 1;
#pragma clang loop unroll(full)
	for (i = 0; i < FRAMES_AT_ONCE; i++) {
		status = walk_step(thread);
		if (status)
			return status;
	}
	return 0;
}

/* @return what ended it: 2 to begin again */
static __always_inline int walk_from(
	struct thread *thread, const struct pt_regs *regs, __u64 hash, __u8 needs_bx)
{
	struct walk *walk = &thread->walk;
	int status = 0;
	__u32 i;

	walk->ip = walk->first_ip;
	walk->sp = walk->first_sp;
	walk->bp = walk->first_bp;
	walk->bx = regs->bx;
	walk->hash = walk->check = hash;
	walk->count = 0;
	walk->end = STACK_DEEP;
	walk->frame_pointers = walk->interrupted = 0;
	walk->needs_bx = needs_bx;
	walk->needs_bp = 0;
	walk->memorable = !needs_bx;
	walk->used_count = 0;
	walk->bp_place = BP_FIRST;
	walk->read_end = 0;
	for (i = 0; i < (MAX_FRAMES + 1) / FRAMES_AT_ONCE && !status; i++)
		status = walk_frames(thread);
	if (walk->count > MAX_FRAMES) {
		walk->count = MAX_FRAMES;
		walk->end = STACK_DEEP;
	}
	return status;
}

/*
 * Begin with a stack.
 *
 * @param regs  the user registers from which to walk; ip is an address behind a call
 */
static __always_inline void stack_begin(struct thread *thread, const struct pt_regs *regs)
{
	struct walk *walk = &thread->walk;

	walk->first_ip = regs->ip;
	walk->first_sp = regs->sp;
	walk->first_bp = regs->bp;
	walk->window_size = 0;
}

/*
 * Collect the return addresses of the calling thread into thread->frames, innermost first, beginning with ip
 * itself. Their number, two hashes and where it ended are in thread->walk.
 *
 * @param regs  those that stack_begin() was called with
 * @param hash  start value of the hashes
 */
static __always_inline void stack_walk(struct thread *thread, const struct pt_regs *regs, __u64 hash)
{
	struct walk *walk = &thread->walk;

	if (walk_from(thread, regs, hash, 0) == 2)
		walk_from(thread, regs, hash, 1);
	walk_finish(walk);
}
