/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fast 64-bit checksum: against accidents, not against those who want two inputs to have the same one.
 *
 * Every step is a bijection of the state, so that inputs of one length that differ in a single word never
 * have the same checksum.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define UNWIND_CHECKSUM_LANES 4 /* independent of each other, for the processor to work at side by side */

static inline uint64_t unwind_checksum_step(uint64_t state, uint64_t word)
{
	state = (state ^ word) * 0x9e3779b97f4a7c15;
	return state << 29 | state >> 35;
}

/** Add bytes to a checksum; 0 is the one of nothing. */
static inline uint64_t unwind_checksum(uint64_t checksum, const void *bytes, size_t size)
{
	uint64_t lanes[UNWIND_CHECKSUM_LANES] = {checksum, 1, 2, 3}, words[UNWIND_CHECKSUM_LANES];
	const unsigned char *at = bytes;
	size_t left = size;

	for (; left >= sizeof(words); left -= sizeof(words), at += sizeof(words)) {
		memcpy(words, at, sizeof(words));
		for (size_t i = 0; i < UNWIND_CHECKSUM_LANES; i++)
			lanes[i] = unwind_checksum_step(lanes[i], words[i]);
	}
	memset(words, 0, sizeof(words));
	if (left)
		memcpy(words, at, left);
	checksum = unwind_checksum_step(0, size);
	for (size_t i = 0; i < UNWIND_CHECKSUM_LANES; i++)
		checksum = unwind_checksum_step(checksum, unwind_checksum_step(lanes[i], words[i]));
	return checksum ^ checksum >> 32;
}
