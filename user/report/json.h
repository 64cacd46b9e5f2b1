/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report that a program reads. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "trace/profile.h"

/**
 * Write a profile as one JSON object of the format "leaktop.report", version 1, one line a site, so that
 * memory does not grow with the number of sites. What is not known is null. Strings from the target are made
 * valid UTF-8: a byte that belongs to no character becomes U+FFFD.
 *
 * @return 0, or -1 (ERROR_SYSTEM) when writing failed or memory ran out
 */
int report_json(FILE *out, const struct profile *profile, struct error *err);
