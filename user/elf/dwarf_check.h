/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether DWARF is sane enough to be walked by libdw in bounded time and memory. */
#pragma once

#include "elf/line_table.h"

/**
 * Check the headers of all units, and the abbreviations that they use.
 *
 * @param info           .debug_info
 * @param abbreviations  .debug_abbrev
 * @return 0, or -1 when it is malformed, absurd, or memory ran out
 */
int dwarf_check(const struct dwarf_bytes *info, const struct dwarf_bytes *abbreviations);
