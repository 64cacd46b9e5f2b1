// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: arbitrary bytes as machine code. The first two bytes choose how the rest is asked about,
 *so that the code itself can be copied in from real functions:
 *
 *	clang -std=c17 -g -O1 -D_GNU_SOURCE -Iuser -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_site.c
 *		user/probe/site.c -lZydis -o fuzz_site
 */
#include <stdlib.h>
#include <string.h>

#include "probe/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_site(const uint8_t *code, size_t size, unsigned int arguments, bool skip_null)
{
	struct probe_site site, first;

	memset(&site, 0xff, sizeof(site));
	probe_site_choose(code, size, arguments, skip_null, &site);
	check(site.offset == 0 || site.offset < size);
	check(site.offset == 0 || site.emulated); /* only a better site is worth leaving the entry for */
	check(memchr(site.instruction, '\0', sizeof(site.instruction)));
	check(size > 0 || !site.instruction[0]);

	/* More to preserve never leads further into the function. */
	probe_site_choose(code, size, 6, false, &first);
	check(first.offset <= site.offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t address, targets[3];

	if (size < 2)
		return 0;
	address = 0x1000 * (uint64_t)data[1] - 0x800; /* at 0 it wraps around */
	targets[0] = address + size / 2;
	targets[1] = targets[0] + data[0];
	targets[2] = targets[1] + 0x100;
	if (targets[0] > targets[1] || targets[1] > targets[2])
		targets[0] = targets[1] = targets[2];
	check_site(data + 2, size - 2, data[0] & 7, data[0] & 8);
	code_calls_any(data + 2, size - 2, address, targets, 3);
	code_always_calls(data + 2, size - 2, address, targets, 3);
	check(!code_calls_any(data + 2, size - 2, address, targets, 0));
	check(!code_always_calls(data + 2, size - 2, address, targets, 0));
	return 0;
}
