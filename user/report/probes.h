/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of probes, with what each costs. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "trace/profile.h"

/**
 * Write one line a probe: object, function, offset, mechanism, cost class and instruction. The cost class is
 * "emulated" (one trap a call) or "stepped" (the kernel single-steps the instruction: a second, dearer trap).
 *
 * @return 0, or -1 when writing failed
 */
int report_probes(FILE *out, const struct profile *profile, struct error *err);
