/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind rows, kept on disk from run to run in $XDG_CACHE_HOME/leaktop (or ~/.cache/leaktop): one file for
 * each ELF file, found by its build ID (device, inode and size without one) and a checksum of the call frame
 * information itself and of the segments, so that a build ID that two files share does no harm. (The checksum
 * is a fast one: it does not stop a file that was made to collide with another.) The directory is bounded in
 * size; deleting any of it is always safe. What is truncated, corrupt or of another version is built anew and
 * replaced. Where nothing can be written, or the directory is not this user's alone, nothing is.
 */
#pragma once

#include "elf/unwind_rows.h"

/**
 * Get the rows of a file from the cache, or build them and keep them there.
 *
 * @param rows  as for unwind_rows_build()
 * @return as unwind_rows_build()
 */
int unwind_rows_get(struct elf_file *file, struct unwind_rows *rows, struct error *err);
