/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A series as one line of block characters. */
#pragma once

#include <stdbool.h>

#include "model/series.h"
#include "report/buffer.h"

/**
 * Append a small picture of a series, the last value of each of `columns` equal spans of time, from low to
 * high as "▁▂▃▄▅▆▇█". Spans before the first point are blank.
 *
 * @param points     in the order of time
 * @param columns    how many characters to draw
 * @param start      time in seconds of the left edge
 * @param end        of the right edge; later than `start`
 * @param from_zero  scale from zero, rather than from the smallest value, to the largest value
 * @return whether anything was drawn: fewer than four points make no picture
 */
bool sparkline_append(struct buffer *buffer, const struct series_point *points, size_t count, size_t columns,
	double start, double end, bool from_zero);
