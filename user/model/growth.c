// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/growth.h"

#include <math.h>

/*
 * With fewer samples even a strictly rising series is no proof: five random values are in order once in 120
 * runs, and a machine has 100,000 sites; eight are once in 40,320.
 */
#define SAMPLES_MIN 8

/* What is left after a jump, less than this share of it, is rounding: buckets are floats, good to 6e-8. */
#define SAME_SHARE 1e-6

/*
 * A step of at least half of all that ever changed, and three times any other change between neighbours, is
 * one event and not growth. A saturating curve at most doubles or halves from one bucket to the next, well
 * below three.
 */
#define JUMP_SHARE_MIN 0.5
#define JUMP_RATIO_MIN 3
/* A jump has a level after it: with a single bucket there it may as well be a curve taking off. */
#define JUMP_BUCKETS_AFTER 2
/* Levels before and after are means of so many buckets, so that noise in one does not leave half a step
 * behind. */
#define LEVEL_BUCKETS 4

/* Programs fill pools and load data when they start. What still grows in the last 60 % of the run is not
 * that. */
#define START_UP_SHARE 0.4
/* Whether a warm-up of up to a fifth is followed by a straight line is best seen from everything after it. */
#define WARM_UP_SHARE 0.2

/* Three thirds, three points of a quadratic and one to doubt it by. */
#define TRACK_MIN 4

struct bucket {
	double time; /* of its last sample, as a share of the duration */
	double mean, low, high;
};

struct track {
	size_t count;
	double newest; /* the latest sample */
	bool single;   /* every bucket is one sample */
	struct bucket buckets[SERIES_BUCKETS + 1];
};

/* fmin() and fmax() are calls, for the sake of NaN, which there is none of here. */
static double smaller(double a, double b)
{
	return a < b ? a : b;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static void read_track(const struct series *series, struct track *track)
{
	double duration = series_duration(series);

	track->single = series->stride == 1;
	track->newest = series_above_first(series, series->bytes[series->buckets - 1]);
	track->count = 0;
	/* Something big may have come right after the first sample: it starts the track on its own, as 0. */
	if (!track->single)
		track->buckets[track->count++] = (struct bucket){0};

	for (size_t i = 0; i < series->buckets; i++) {
		struct bucket *bucket = &track->buckets[track->count++];

		bucket->time = (series->time[i] - series->first.time) / duration;
		bucket->mean = (double)series->mean[i];
		bucket->low = (double)series->min[i];
		bucket->high = (double)series->max[i];
	}
}

/* Scale sizes to [0, 1]. Returns the range there was, 0 when there is nothing to scale. */
static double normalise_sizes(struct track *track)
{
	double low = INFINITY, high = -INFINITY, scale;

	for (size_t i = 0; i < track->count; i++) {
		low = smaller(low, track->buckets[i].low);
		high = larger(high, track->buckets[i].high);
	}
	if (!(high > low))
		return 0;
	scale = 1 / (high - low);
	track->newest = (track->newest - low) * scale;
	for (size_t i = 0; i < track->count; i++) {
		struct bucket *bucket = &track->buckets[i];

		bucket->mean = (bucket->mean - low) * scale;
		bucket->low = (bucket->low - low) * scale;
		bucket->high = (bucket->high - low) * scale;
	}
	return high - low;
}

static void drop_buckets(struct track *track, size_t from, size_t count)
{
	track->count -= count;
	for (size_t i = from; i < track->count; i++)
		track->buckets[i] = track->buckets[i + count];
}

/*
 * Take away buckets that are one loud voice among quiet ones: the first sample on its own, and a newest
 * bucket that is less than half full.
 */
static void drop_loud_buckets(const struct series *series, struct track *track, bool first)
{
	if (series->last_fill * 2 < series->stride)
		track->count--;
	if (first && !track->single)
		drop_buckets(track, 0, 1);
}

static void lower_buckets(struct track *track, size_t from, double by)
{
	for (size_t i = from; i < track->count; i++) {
		track->buckets[i].mean -= by;
		track->buckets[i].low -= by;
		track->buckets[i].high -= by;
	}
	track->newest -= by;
}

static double level(const struct track *track, size_t from, size_t to)
{
	double sum = 0;

	for (size_t i = from; i < to; i++)
		sum += track->buckets[i].mean;
	return sum / (double)(to - from);
}

/*
 * The highest step up, from bucket *from to *to. These are neighbours when a bucket is one sample; else the
 * step may lie inside a bucket, and is measured across it. Returns its height, 0 when it is not the one event
 * of the run.
 */
static double find_jump(const struct track *track, size_t *from, size_t *to)
{
	const struct bucket *buckets = track->buckets;
	size_t across = track->single ? 1 : 2;
	double jump = 0, other = 0;

	for (size_t i = 0; i + across + JUMP_BUCKETS_AFTER <= track->count; i++) {
		if (buckets[i + across].mean - buckets[i].mean <= jump)
			continue;
		jump = buckets[i + across].mean - buckets[i].mean;
		*from = i;
		*to = i + across;
	}
	if (jump < JUMP_SHARE_MIN)
		return 0;
	for (size_t i = 0; i + 1 < track->count; i++)
		if (i < *from || i >= *to)
			other = larger(other, fabs(buckets[i + 1].mean - buckets[i].mean));
	return jump >= JUMP_RATIO_MIN * other ? jump : 0;
}

/* Take the jump out, if there is one. Returns its height. */
static double take_out_jump(struct track *track)
{
	size_t from = 0, to = 0, before, after;
	double jump = find_jump(track, &from, &to);

	if (jump <= 0)
		return 0;
	if (track->buckets[to].time <= WARM_UP_SHARE) {
		drop_buckets(track, 0, to);
		return jump;
	}
	before = from + 1 > LEVEL_BUCKETS ? from + 1 - LEVEL_BUCKETS : 0;
	after = to + LEVEL_BUCKETS < track->count ? to + LEVEL_BUCKETS : track->count;
	lower_buckets(track, to, level(track, to, after) - level(track, before, from + 1));
	drop_buckets(track, from + 1, to - from - 1);
	return jump;
}

/*
 * The Mann-Kendall test from a bucket on: of all pairs, how many more rise than fall, in standard deviations
 * of that count among noise (H. B. Mann, Econometrica 13, 1945).
 */
static double trend_from(const struct track *track, size_t from)
{
	double n = (double)(track->count - from);
	long balance = 0;

	if (track->count - from < 3)
		return 0;
	for (size_t i = from; i < track->count; i++) {
		double above = track->buckets[i].mean + SAME_SHARE,
		       below = track->buckets[i].mean - SAME_SHARE;

		for (size_t j = i + 1; j < track->count; j++)
			balance += (track->buckets[j].mean > above) - (track->buckets[j].mean < below);
	}
	balance -= (balance > 0) - (balance < 0); /* continuity correction */
	return (double)balance / sqrt(n * (n - 1) * (2 * n + 5) / 18);
}

static double least_lift(const struct track *track)
{
	double low_before = 0, high_before = 0, lift = INFINITY;

	for (size_t third = 0; third < 3; third++) {
		double low = INFINITY, high = -INFINITY;

		for (size_t i = third * track->count / 3; i < (third + 1) * track->count / 3; i++) {
			low = smaller(low, track->buckets[i].low);
			high = larger(high, track->buckets[i].high);
		}
		if (third)
			lift = smaller(lift, smaller(low - low_before, high - high_before));
		low_before = low;
		high_before = high;
	}
	return lift;
}

static double kept(const struct track *track)
{
	double lowest = INFINITY;

	for (size_t i = 0; i < track->count / 3; i++)
		lowest = smaller(lowest, track->buckets[i].low);
	return track->newest - lowest;
}

/* Rise of the straight line of least squares through buckets `from` to `to`, both included. */
static double line_rise(const struct track *track, size_t from, size_t to)
{
	const struct bucket *buckets = track->buckets;
	double n = (double)(to - from + 1), mean_time = 0, mean_size = level(track, from, to + 1), tt = 0,
	       ty = 0;

	for (size_t i = from; i <= to; i++)
		mean_time += buckets[i].time / n;
	for (size_t i = from; i <= to; i++) {
		double t = buckets[i].time - mean_time;

		tt += t * t;
		ty += t * (buckets[i].mean - mean_size);
	}
	return tt > 0 ? ty / tt * (buckets[to].time - buckets[from].time) : 0;
}

/* The first bucket after that share of the run, but at least two buckets before the end. */
static size_t first_after(const struct track *track, double share)
{
	double start = track->buckets[0].time, end = track->buckets[track->count - 1].time;
	size_t from = 0;

	while (from + 3 < track->count && track->buckets[from].time < start + share * (end - start))
		from++;
	return from;
}

static double late_share(const struct track *track, size_t from)
{
	double early = line_rise(track, 0, from), late = line_rise(track, from, track->count - 1);

	return early + late > 0 ? late / (early + late) : 0;
}

/*
 * The quadratic of least squares through the bucket means from `from` on, by polynomials that are orthogonal
 * over the buckets' own times: `line` is centred time, `square` its square with mean and line taken out.
 */
static struct bend bend_from(const struct track *track, size_t from)
{
	const struct bucket *buckets = &track->buckets[from];
	size_t count = track->count - from;
	double n = (double)count, length = buckets[count - 1].time - buckets[0].time;
	double line[SERIES_BUCKETS + 1], square[SERIES_BUCKETS + 1],
		mean_size = level(track, from, track->count);
	double mean_time = 0, mean_square = 0, tt = 0, ty = 0, ts = 0, ss = 0, sy = 0, left = 0;

	if (count < 4 || length <= 0)
		return (struct bend){0};
	for (size_t i = 0; i < count; i++)
		mean_time += buckets[i].time / n;
	for (size_t i = 0; i < count; i++) {
		line[i] = (buckets[i].time - mean_time) / length;
		square[i] = line[i] * line[i];
		mean_square += square[i] / n;
		tt += line[i] * line[i];
		ty += line[i] * (buckets[i].mean - mean_size);
	}
	for (size_t i = 0; i < count; i++)
		ts += line[i] * square[i] / tt;
	for (size_t i = 0; i < count; i++) {
		square[i] -= mean_square + ts * line[i];
		ss += square[i] * square[i];
		sy += square[i] * (buckets[i].mean - mean_size);
	}
	/* A line that does not rise has no bend to speak of; fewer than three different times have none at
	 * all. */
	if (ty <= SAME_SHARE * tt || ss <= SAME_SHARE * tt)
		return (struct bend){0};
	for (size_t i = 0; i < count; i++) {
		double rest = buckets[i].mean - mean_size - ty / tt * line[i] - sy / ss * square[i];

		left += rest * rest;
	}
	return (struct bend){
		.size = (sy / ss) / (ty / tt),
		.error = sqrt(left / (n - 3) / ss) / (ty / tt),
	};
}

/* From peaks to what came after them. Of a bucket's own samples only the last is known to come after its
 * peak. */
static double largest_fall(const struct series *series)
{
	double first = (double)series->first.bytes, peak = first, fall = 0;

	for (uint32_t i = 0; i < series->buckets; i++) {
		double low = first + (double)series->min[i];

		if (peak > 0)
			fall = larger(fall, (peak - low) / peak);
		peak = larger(peak, first + (double)series->max[i]);
		if (peak > 0)
			fall = larger(fall, (peak - (double)series->bytes[i]) / peak);
	}
	return smaller(1, fall);
}

void growth_evidence_read(const struct series *series, struct growth_evidence *evidence)
{
	struct track track = {.count = 0};
	size_t late;

	*evidence = (struct growth_evidence){.too_short = false};
	if (series->count < SAMPLES_MIN || series_duration(series) < SERIES_DURATION_MIN) {
		evidence->too_short = true;
		return;
	}
	if (series->max_bytes == series->min_bytes)
		return;

	evidence->largest_fall = largest_fall(series);
	read_track(series, &track);
	if (normalise_sizes(&track) <= 0)
		return;
	evidence->jump = take_out_jump(&track);
	drop_loud_buckets(series, &track, track.buckets[0].time <= 0);
	/* The rest may be nothing, or too little to have a shape: samples need not come evenly. */
	if (track.count < TRACK_MIN || normalise_sizes(&track) <= SAME_SHARE)
		return;

	late = first_after(&track, START_UP_SHARE);
	evidence->trend = trend_from(&track, 0);
	evidence->lift = least_lift(&track);
	evidence->kept = kept(&track);
	evidence->late_trend = trend_from(&track, late);
	evidence->late_share = late_share(&track, late);
	evidence->bend = bend_from(&track, 0);
	evidence->late_bend = bend_from(&track, first_after(&track, WARM_UP_SHARE));
}
