// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/series.h"

#include <math.h>
#include <stdbool.h>

/* Thirty million years: no clock, and its fourth power times 2^64 is still a double. */
#define TIME_MAX 1e15

double series_above_first(const struct series *series, uint64_t bytes)
{
	if (bytes >= series->first.bytes)
		return (double)(bytes - series->first.bytes);
	return -(double)(series->first.bytes - bytes);
}

static bool plausible(double time_s)
{
	return fabs(time_s) <= TIME_MAX; /* false for NaN */
}

static void add_to_sums(struct series *series, double t, double y)
{
	double t2 = t * t;

	series->sum_t += t;
	series->sum_t2 += t2;
	series->sum_t3 += t2 * t;
	series->sum_t4 += t2 * t2;
	series->sum_y += y;
	series->sum_y2 += y * y;
	series->sum_ty += t * y;
	series->sum_t2y += t2 * y;
}

/* Make one bucket of every two. All of them are full when this is called, so their means weigh the same. */
static void merge_buckets(struct series *series)
{
	uint32_t half = series->buckets / 2;

	for (uint32_t i = 0; i < half; i++) {
		uint32_t older = 2 * i, newer = older + 1;

		series->min[i] = fminf(series->min[older], series->min[newer]);
		series->max[i] = fmaxf(series->max[older], series->max[newer]);
		series->mean[i] = (series->mean[older] + series->mean[newer]) / 2;
		series->time[i] = series->time[newer];
		series->bytes[i] = series->bytes[newer];
	}
	series->buckets = half;
	series->stride *= 2;
}

static void open_bucket(struct series *series, float y)
{
	if (series->buckets == SERIES_BUCKETS)
		merge_buckets(series);
	series->min[series->buckets] = y;
	series->max[series->buckets] = y;
	series->last_fill = 0;
	series->last_sum = 0;
	series->buckets++;
}

static void add_to_buckets(struct series *series, const struct series_point *sample, double y)
{
	uint32_t newest;

	if (!series->buckets || series->last_fill == series->stride)
		open_bucket(series, (float)y);

	newest = series->buckets - 1;
	series->last_fill++;
	series->last_sum += y;
	series->min[newest] = fminf(series->min[newest], (float)y);
	series->max[newest] = fmaxf(series->max[newest], (float)y);
	series->mean[newest] = (float)(series->last_sum / (double)series->last_fill);
	series->time[newest] = sample->time;
	series->bytes[newest] = sample->bytes;
}

void series_add(struct series *series, double time_s, uint64_t bytes)
{
	double y;

	if (!series->count) {
		series->first.time = plausible(time_s) ? time_s : 0;
		series->first.bytes = bytes;
		series->min_bytes = bytes;
		series->max_bytes = bytes;
		series->stride = 1;
		time_s = series->first.time;
	} else if (!plausible(time_s) || time_s < series->time[series->buckets - 1]) {
		time_s = series->time[series->buckets - 1];
	}

	if (bytes < series->min_bytes)
		series->min_bytes = bytes;
	if (bytes > series->max_bytes)
		series->max_bytes = bytes;

	y = series_above_first(series, bytes);
	add_to_sums(series, time_s - series->first.time, y);
	add_to_buckets(series, &(struct series_point){.time = time_s, .bytes = bytes}, y);
	series->count++;
}

size_t series_points(const struct series *series, struct series_point *points, size_t max)
{
	/* The first sample has closed bucket 0 only where a bucket is a single sample. */
	size_t extra = series->stride > 1;
	size_t available = series->buckets + extra;
	size_t wanted = available < max ? available : max;

	for (size_t i = 0; i < wanted; i++) {
		size_t from = wanted > 1 ? i * (available - 1) / (wanted - 1) : available - 1;

		if (from < extra) {
			points[i] = series->first;
			continue;
		}
		points[i].time = series->time[from - extra];
		points[i].bytes = series->bytes[from - extra];
	}
	return wanted;
}

size_t series_count(const struct series *series)
{
	return series->count;
}

double series_duration(const struct series *series)
{
	return series->count ? series->time[series->buckets - 1] - series->first.time : 0;
}
