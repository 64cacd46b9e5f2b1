// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/sparkline.h"

#define FEWEST_POINTS 4 /* less is a line between two values, which the numbers beside it say better */

bool sparkline_append(struct buffer *buffer, const struct series_point *points, size_t count, size_t columns,
	double start, double end, bool from_zero)
{
	static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	uint64_t low = UINT64_MAX, high = 0;
	size_t next = 0;

	if (!points || count < FEWEST_POINTS || !columns || !(end > start))
		return false;
	for (size_t i = 0; i < count; i++) {
		low = points[i].bytes < low ? points[i].bytes : low;
		high = points[i].bytes > high ? points[i].bytes : high;
	}
	if (from_zero)
		low = 0;
	for (size_t column = 0; column < columns; column++) {
		double edge = start + (end - start) * (double)(column + 1) / (double)columns;
		double height;

		while (next < count && (points[next].time <= edge || column + 1 == columns))
			next++;
		if (!next) {
			buffer_append_string(buffer, " ");
			continue;
		}
		height = high > low ? (double)(points[next - 1].bytes - low) / (double)(high - low) : 0;
		buffer_append_string(buffer, levels[(size_t)(height * 7 + 0.5)]);
	}
	return true;
}
