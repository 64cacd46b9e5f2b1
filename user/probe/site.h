/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in a function to put a probe. A uprobe is a breakpoint; when the kernel can emulate the instruction
 * under it (push of a register, nop, near call, jmp or jcc), a hit costs one trap, otherwise a second, far
 * dearer one to single-step a copy of the instruction. So the probe sits on the first instruction that can be
 * emulated and at which the function's arguments still stand in their registers, the return address on top of
 * the stack, and which every call passes exactly once; when there is none, on the entry.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe_site {
	uint32_t offset;      /* bytes from the function's entry */
	bool emulated;	      /* whether the kernel emulates the instruction there */
	char instruction[64]; /* its disassembly, "push %r12"; empty when it cannot be decoded */
};

/**
 * Choose the probe site of a function.
 *
 * @param code       its machine code, from its entry on
 * @param size       bytes of code at hand; decoding stops there
 * @param arguments  how many of the integer argument registers (rdi, rsi, rdx, rcx, ...) must still be intact
 * @param skip_null  whether calls with a null first argument may be missed: free(NULL) does nothing, so the
 * site may lie behind the branch that tests for it
 * @param site       where to put the choice; always filled, with the entry when nothing better is found
 */
void probe_site_choose(
	const uint8_t *code, size_t size, unsigned int arguments, bool skip_null, struct probe_site *site);

/**
 * Does the code contain a direct call or jump to one of some addresses?
 *
 * @param code     machine code that runs at `address`
 * @param targets  sorted addresses
 * @return whether any direct near call or jump in the code leads to one of the targets
 */
bool code_calls_any(
	const uint8_t *code, size_t size, uint64_t address, const uint64_t *targets, size_t target_count);

/**
 * Does every way through a function lead to a direct call of, or jump to, one of some addresses?
 *
 * A way that ends in a call that does not return counts as leading there. Unlike code_calls_any() it tells a
 * mere wrapper from a function that does the work itself and calls one of them only on its slow path.
 *
 * @param code     the whole function, which runs at `address`
 * @param targets  sorted addresses
 * @return true when it is certain; false when not, also when the code cannot be followed or memory ran out
 */
bool code_always_calls(
	const uint8_t *code, size_t size, uint64_t address, const uint64_t *targets, size_t target_count);
