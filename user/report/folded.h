/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folded stacks, the input of flame graph tools. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "trace/profile.h"

/**
 * Write one line a site that holds memory: "comm;outermost;...;innermost LIVE_BYTES". Inlined functions end
 * in "_[i]", as flame graph tools expect it. Within a name, ';' becomes ':', blanks and control characters
 * become '_', and bytes that are not UTF-8 become U+FFFD; a frame without a function is "module+0xOFFSET".
 *
 * @return 0, or -1 (ERROR_SYSTEM) when writing failed or memory ran out
 */
int report_folded(FILE *out, const struct profile *profile, struct error *err);
