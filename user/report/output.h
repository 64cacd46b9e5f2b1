/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An output file that is there whole or not at all: written aside, then put in the place of the old one.
 *
 * The new file has no name until it is complete where the file system allows that (O_TMPFILE), so that a
 * program that is killed leaves nothing behind; elsewhere it is a hidden file in the same directory.
 */
#pragma once

#include <stdio.h>

#include "base/error.h"

struct output_file;

/**
 * Prepare to write a file. It is created, aside, at once: a place that cannot be written to is known before
 * the work whose result goes there. A file that exists already keeps its mode and owner (in a directory that
 * others may write to, with the sticky bit, only its mode) and, through a symbolic link, its place. What is
 * no regular file (a terminal, a pipe, /dev/null) and what is this process's own standard output or error is
 * written directly.
 *
 * @param path  the file's name, copied; "-" is the standard output
 * @param err   ERROR_UNSUPPORTED without permission, ERROR_SYSTEM for other failures
 * @return the file, to be ended with output_file_commit() or output_file_abort(), or NULL
 */
struct output_file *output_file_open(const char *path, struct error *err);

/** @return the stream to write to; it belongs to the file and must not be closed */
FILE *output_file_stream(struct output_file *file);

/**
 * Complete the file and put it in its place. Ends and frees it in any case: after a failure (a full disk) the
 * old file, if there was one, is as it was.
 *
 * @return 0, or -1 when anything that was written since output_file_open() is not safely in the file
 */
int output_file_commit(struct output_file *file, struct error *err);

/** Drop what was written, keep the old file, and free. NULL is allowed. */
void output_file_abort(struct output_file *file);
