/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A series: the live bytes of a site (or any amount) over time, in constant memory and constant time per
 * sample: the running sums that the leak factor needs, and a thinned-out copy of the points for reports and
 * for judging shape.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct series_point {
	double time; /* seconds since the session's start */
	uint64_t bytes;
};

/*
 * How many buckets the thinned copy has. Full, it is merged pairwise, so a long series always has between
 * half and all of them: 18 points still show a bend, five stairs or the bottoms of a saw-tooth, and 36 keep a
 * series near 1.2 KB.
 */
#define SERIES_BUCKETS 36

/* The first sample, which need not close a bucket, and the last sample of each bucket. */
#define SERIES_POINTS_MAX (SERIES_BUCKETS + 1)

/* A series shorter than this many seconds has no rate: its samples are of one moment. */
#define SERIES_DURATION_MIN 1e-6

/*
 * All zero is an empty series. Every amount but the points' own is kept relative to the first sample: sums
 * then stay small and keep their digits however late the first sample came and however much was already live.
 */
struct series {
	uint64_t count;	    /* samples so far */
	uint64_t stride;    /* samples that fill a bucket, a power of two; 0 in an empty series */
	uint64_t last_fill; /* samples in the newest bucket */
	uint64_t min_bytes;
	uint64_t max_bytes;
	struct series_point first;
	double sum_t, sum_t2, sum_t3, sum_t4; /* t: seconds after the first sample */
	double sum_y, sum_y2;		      /* y: bytes above (or below) the first sample */
	double sum_ty, sum_t2y;
	double last_sum;  /* of y in the newest bucket */
	uint32_t buckets; /* in use */

	/* The buckets, oldest first, an array a member so that nothing is lost to padding. */
	float min[SERIES_BUCKETS]; /* y: lowest, highest and mean of the bucket's samples */
	float max[SERIES_BUCKETS];
	float mean[SERIES_BUCKETS];
	double time[SERIES_BUCKETS]; /* session time and bytes of the bucket's last sample */
	uint64_t bytes[SERIES_BUCKETS];
};

/**
 * Add a sample. Constant time (amortised over the rare merging of buckets) and constant memory, for any
 * number.
 *
 * @param series  all zero, or as left by an earlier call
 * @param time_s  seconds since the session's start; a time before the latest sample's, or beyond 1e15 either
 * way, counts as that sample's
 * @param bytes   live bytes at that time
 */
void series_add(struct series *series, double time_s, uint64_t bytes);

/**
 * Copy out the thinned points: always the first and the latest sample, and between them samples evenly apart.
 * Up to SERIES_BUCKETS samples all of them are there.
 *
 * @param points  room for `max` points, filled oldest first
 * @param max     SERIES_POINTS_MAX is always enough; fewer gives a coarser copy (1: the latest sample only)
 * @return how many were filled, 0 when the series is empty
 */
size_t series_points(const struct series *series, struct series_point *points, size_t max);

/** @return how many samples were added. */
size_t series_count(const struct series *series);

/** @return seconds from the first sample to the latest, 0 when there are none. */
double series_duration(const struct series *series);

/**
 * Bytes above (or below) the first sample, as the members of a series count them. The difference is taken
 * before it is rounded: 2^60 + 1 is 1 above 2^60.
 *
 * @param series  not empty
 * @param bytes   an amount as given to series_add()
 * @return the difference, negative when it is less
 */
double series_above_first(const struct series *series, uint64_t bytes);
