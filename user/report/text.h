/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report that a person reads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "trace/profile.h"

struct report_text_options {
	bool colour;  /* with the escape sequences of ECMA-48 */
	bool unicode; /* UTF-8 may be written; otherwise ASCII only */
	int width;    /* columns that long names are cut to; 0: nothing is cut, as a pipe wants it */
	size_t top;   /* how many sites are shown with their stacks; 0: all */
};

/** @return the options that suit what a descriptor leads to: a terminal's width and colours, or neither; top
 * is 0 */
struct report_text_options report_text_options_for(int fd);

/**
 * Print a profile for people: what grows most, how fast, since when and where comes first, then what was held
 * at exit, then what could not be judged, each with its stack; sites that hold memory but do not grow follow
 * as a table.
 *
 * @param out      where to; strings from the target are escaped
 * @param profile  its sites sorted as by profile_sort()
 * @return 0, or -1 (ERROR_SYSTEM) when writing failed or memory ran out
 */
int report_text(FILE *out, const struct profile *profile, const struct report_text_options *options,
	struct error *err);
