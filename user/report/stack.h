/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which frames of a stack tell a reader something. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "trace/profile.h"

/* A stack's frames from 0 to `end` are worth showing; those before `useful` are the allocator and its
 * wrappers. */
struct stack_view {
	size_t useful; /* the first frame of the program's own; smaller than `end` unless there are no frames
			*/
	size_t end;    /* frames from here on only start programs and threads (_start, clone) */
};

/** Tell the program's own frames from the machinery below and above them. */
struct stack_view stack_view(const struct profile_site *site);

/** @return the file name of a path, without its folders; NULL becomes NULL */
const char *path_file_name(const char *path);

/** @return why a stack is cut, in a few words; NULL for one that is complete */
const char *stack_end_name(enum stack_end end);

/** @return how many allocations have a stack that is cut */
uint64_t stacks_cut(const struct profile_stacks *stacks);
