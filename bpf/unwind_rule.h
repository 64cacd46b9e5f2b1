/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * How to get from a frame to its caller: one 48-bit word, plain C for both sides. Made from call frame
 * information in user space, followed by the kernel side's walk.
 *
 * In all rules but those of UNWIND_SIGNAL, UNWIND_END and UNWIND_NONE, the return address lies 8 bytes below
 * the CFA (canonical frame address), and the caller's stack pointer is the CFA.
 */
#pragma once

enum unwind_kind {
	UNWIND_NONE,	 /* nothing is known of this code: follow frame pointers */
	UNWIND_SP,	 /* CFA = rsp + offset */
	UNWIND_BP,	 /* CFA = rbp + offset */
	UNWIND_BX,	 /* CFA = rbx + offset; glibc's _dl_runtime_resolve */
	UNWIND_BP_DEREF, /* CFA = *(rbp + offset): functions that realign their stack */
	UNWIND_PLT,	 /* CFA = rsp + 8, and 8 more when the low 4 bits of rip are at least `offset` / 8 */
	UNWIND_SIGNAL,	 /* a signal's trampoline: the interrupted registers are in the ucontext at rsp */
	UNWIND_END,	 /* outermost: nobody called this */
	UNWIND_UNSUPPORTED, /* described in a way that these rules cannot express */
	UNWIND_KINDS,
};

/* Where the caller's rbp and rbx are. */
enum unwind_saved {
	SAVED_NOT,     /* still in the register */
	SAVED_AT_CFA,  /* *(CFA + offset) */
	SAVED_AT_BP,   /* *(rbp + offset), with the frame's own rbp */
	SAVED_UNKNOWN, /* lost, or in a place that these rules cannot express */
};

/* Offsets are multiples of 8 bytes and kept in these units, signed. */
#define UNWIND_OFFSET_BITS 24 /* of the CFA */
#define UNWIND_SAVED_BITS  8  /* of a saved register */
#define UNWIND_RULE_BITS   48

/*
 * Layout of a rule, from bit 0 on: kind 4, rbp saved 2, rbp's offset 8, rbx saved 2, rbx's offset 8, CFA
 * offset 24.
 */
static inline __u64 unwind_rule(enum unwind_kind kind, __s64 offset, enum unwind_saved bp, __s64 bp_offset,
	enum unwind_saved bx, __s64 bx_offset)
{
	return (__u64)kind | (__u64)bp << 4 | ((__u64)(bp_offset / 8) & 0xff) << 6 | (__u64)bx << 14 |
	       ((__u64)(bx_offset / 8) & 0xff) << 16 | ((__u64)(offset / 8) & 0xffffff) << 24;
}

static inline enum unwind_kind unwind_rule_kind(__u64 rule)
{
	return (enum unwind_kind)(rule & 15);
}

/* @return bytes */
static inline __s64 unwind_rule_offset(__u64 rule)
{
	return ((__s64)(rule << 16) >> 40) * 8;
}

static inline enum unwind_saved unwind_rule_bp(__u64 rule)
{
	return (enum unwind_saved)(rule >> 4 & 3);
}

/* @return bytes */
static inline __s64 unwind_rule_bp_offset(__u64 rule)
{
	return ((__s64)(rule << 50) >> 56) * 8;
}

static inline enum unwind_saved unwind_rule_bx(__u64 rule)
{
	return (enum unwind_saved)(rule >> 14 & 3);
}

/* @return bytes */
static inline __s64 unwind_rule_bx_offset(__u64 rule)
{
	return ((__s64)(rule << 40) >> 56) * 8;
}

/*
 * A row: from this offset in the file on, up to the next row's, this rule holds. Code that nothing is known
 * of has a row of its own, with UNWIND_NONE.
 */
struct unwind_row {
	__u32 offset; /* bytes, in the file, not in memory */
	__u32 rule;   /* index */
};
