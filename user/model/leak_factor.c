// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/leak_factor.h"

#include <math.h>
#include <string.h>

#include "model/growth.h"

/*
 * Mann-Kendall z above which later is higher beyond doubt. Noise gets there once in 500 runs; wandering about
 * a level, which takes fewer independent turns, about once in 100.
 */
#define TREND_SURE 2.9
/* Where teeth or waves hide the trend, half of that will do (noise: 1 in 20) if every third of the run also
 * lies higher than the third before, at its bottom and at its top, by a visible part of the range. */
#define TREND_LIKELY 1.6
#define LIFT_MIN     0.03
/* Between this (noise: 1 in 40) and TREND_SURE, growth is neither shown nor ruled out. */
#define TREND_POSSIBLE 2.0

/* Memory that ends within a tenth of the range from where it lay lowest at first was given back. */
#define KEPT_MIN 0.1

/* The last 60 % of a logarithm hold at least an eighth of its rise; of a warm-up that has stopped, nothing
 * but noise. */
#define LATE_SHARE_MIN 0.08
/* A share that could be noise counts only if the late part also rises in itself (noise: 1 in 10). */
#define LATE_SHARE_SURE 0.2
#define LATE_TREND_MIN	1.3

/*
 * Where a curve stops being a line. Of functions that one would call logarithmic, the square root bends least
 * (-0.71), of exponential ones t^2 (1.0); a line that only starts after a fifth of the run bends by 0.44.
 */
#define BEND_LOGARITHMIC (-0.42)
#define BEND_EXPONENTIAL 0.6
/* A bend that is not this many standard errors away from none is no reason to give up the simpler story. */
#define BEND_SIGNIFICANT 2.5
/*
 * A leak behind a warm-up bends like a logarithm as a whole, but is straight once the first fifth is left
 * out, where the square root still bends by -0.37. It must be seen clearly: a cache is the more frequent of
 * the two.
 */
#define LATE_BEND_STRAIGHT  (-0.15)
#define LATE_BEND_ERROR_MAX 0.1

/* Below this, a pivot of the normal equations is rounding: the samples lie at fewer than three different
 * times. */
#define PIVOT_MIN 1e-12

/* A site that gives back a tenth of its peak comes and goes; less is ripple on a level. */
#define TRANSIENT_FALL 0.1

static const char *const growth_names[] = {
	[GROWTH_CONSTANT] = "constant",
	[GROWTH_LINEAR] = "linear",
	[GROWTH_LOGARITHMIC] = "logarithmic",
	[GROWTH_EXPONENTIAL] = "exponential",
};

static const char *const verdict_names[] = {
	[VERDICT_UNKNOWN] = "unknown",
	[VERDICT_STEADY] = "steady",
	[VERDICT_TRANSIENT] = "transient",
	[VERDICT_CACHE] = "cache",
	[VERDICT_LOGICAL_LEAK] = "logical-leak",
	[VERDICT_TRUE_LEAK] = "true-leak",
};

/*
 * Solve the 3 x 3 normal equations in place by elimination; a polynomial of lower order where pivots vanish.
 * matrix[i] = { sums of x^i x^0, x^i x^1, x^i x^2, x^i y }; c0, c1, c2 in solution.
 */
static void solve_normal_equations(double matrix[3][4], double solution[3])
{
	bool usable[3];

	for (int i = 0; i < 3; i++) {
		usable[i] = matrix[i][i] > PIVOT_MIN * matrix[0][0];
		for (int j = i + 1; usable[i] && j < 3; j++) {
			double factor = matrix[j][i] / matrix[i][i];

			for (int k = i; k < 4; k++)
				matrix[j][k] -= factor * matrix[i][k];
		}
	}
	for (int i = 2; i >= 0; i--) {
		solution[i] = 0;
		if (!usable[i])
			continue;
		for (int j = i + 1; j < 3; j++)
			matrix[i][3] -= matrix[i][j] * solution[j];
		solution[i] = matrix[i][3] / matrix[i][i];
	}
}

static void fit_quadratic(const struct series *series, struct leak_factor *factor)
{
	double n = (double)series->count, duration = series_duration(series);
	double range = (double)(series->max_bytes - series->min_bytes); /* not of rounded sizes */
	double lowest = -(double)(series->first.bytes - series->min_bytes);
	/* Sums of normalised x = t / duration and y = (bytes - lowest) / range, from those of t and bytes. */
	double x = series->sum_t / duration, x2 = series->sum_t2 / duration / duration;
	double x3 = series->sum_t3 / duration / duration / duration;
	double x4 = series->sum_t4 / duration / duration / duration / duration;
	double y = (series->sum_y - n * lowest) / range;
	double xy = (series->sum_ty / duration - lowest * x) / range;
	double x2y = (series->sum_t2y / duration / duration - lowest * x2) / range;
	double y2 =
		(series->sum_y2 / range - 2 * lowest * series->sum_y / range + n * lowest * lowest / range) /
		range;
	double matrix[3][4] = {{n, x, x2, y}, {x, x2, x3, xy}, {x2, x3, x4, x2y}};
	double solution[3], total = y2 - y * y / n, left;

	solve_normal_equations(matrix, solution);
	left = y2 - solution[0] * y - solution[1] * xy - solution[2] * x2y;

	factor->coef[0] = solution[2];
	factor->coef[1] = solution[1];
	factor->coef[2] = solution[0];
	factor->leak = (solution[2] + solution[1]) * range;
	factor->rate = factor->leak / duration;
	factor->r2 = total > 0 ? fmin(1, fmax(0, 1 - left / total)) : 0;
}

static bool given_back(const struct growth_evidence *evidence)
{
	return evidence->kept < KEPT_MIN;
}

static bool stopped_after_start(const struct growth_evidence *evidence)
{
	if (evidence->late_share < LATE_SHARE_MIN)
		return true;
	return evidence->late_share < LATE_SHARE_SURE && evidence->late_trend < LATE_TREND_MIN;
}

static bool trend_is_sure(const struct growth_evidence *evidence)
{
	if (evidence->trend > TREND_SURE)
		return true;
	return evidence->trend > TREND_LIKELY && evidence->lift > LIFT_MIN;
}

static bool straight_after_warm_up(const struct growth_evidence *evidence)
{
	return evidence->late_bend.size > LATE_BEND_STRAIGHT &&
	       evidence->late_bend.error < LATE_BEND_ERROR_MAX;
}

static enum growth_class class_of(const struct growth_evidence *evidence)
{
	if (evidence->too_short || !trend_is_sure(evidence))
		return GROWTH_CONSTANT;
	if (given_back(evidence) || stopped_after_start(evidence))
		return GROWTH_CONSTANT;
	if (fabs(evidence->bend.size) < BEND_SIGNIFICANT * evidence->bend.error)
		return GROWTH_LINEAR;
	if (evidence->bend.size > BEND_EXPONENTIAL)
		return GROWTH_EXPONENTIAL;
	if (evidence->bend.size > BEND_LOGARITHMIC || straight_after_warm_up(evidence))
		return GROWTH_LINEAR;
	return GROWTH_LOGARITHMIC;
}

void leak_factor_fit(const struct series *series, struct leak_factor *factor)
{
	struct growth_evidence evidence;

	*factor = (struct leak_factor){.growth = GROWTH_CONSTANT};
	growth_evidence_read(series, &evidence);
	factor->growth = class_of(&evidence);
	factor->min_size = (double)series->min_bytes;
	factor->max_size = (double)series->max_bytes;
	if (series->max_bytes > series->min_bytes && series_duration(series) >= SERIES_DURATION_MIN)
		fit_quadratic(series, factor);
	else
		factor->r2 = 1;
	/* What stays constant does not leak, whatever a single large allocation does to the fit. */
	if (factor->growth == GROWTH_CONSTANT)
		factor->leak = factor->rate = 0;
	/* Three coefficients explain a handful of samples whatever these are. */
	if (evidence.too_short)
		factor->r2 = 0;
}

enum verdict verdict_from_growth(const struct series *series, const struct leak_factor *factor)
{
	struct growth_evidence evidence;

	if (factor->growth == GROWTH_LOGARITHMIC)
		return VERDICT_CACHE;
	if (factor->growth != GROWTH_CONSTANT)
		return VERDICT_LOGICAL_LEAK;

	growth_evidence_read(series, &evidence);
	if (evidence.too_short)
		return VERDICT_UNKNOWN;
	if (evidence.trend > TREND_POSSIBLE && !given_back(&evidence) && !stopped_after_start(&evidence))
		return VERDICT_UNKNOWN;
	return evidence.largest_fall > TRANSIENT_FALL ? VERDICT_TRANSIENT : VERDICT_STEADY;
}

const char *growth_class_name(enum growth_class growth)
{
	return growth_names[growth];
}

const char *verdict_name(enum verdict verdict)
{
	return verdict_names[verdict];
}

/* The index of a name in a table of names, or -1. */
static int find_name(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -1;
}

bool growth_class_parse(const char *name, enum growth_class *growth)
{
	int found = find_name(name, growth_names, sizeof(growth_names) / sizeof(growth_names[0]));

	if (found < 0)
		return false;
	*growth = (enum growth_class)found;
	return true;
}

bool verdict_parse(const char *name, enum verdict *verdict)
{
	int found = find_name(name, verdict_names, sizeof(verdict_names) / sizeof(verdict_names[0]));

	if (found < 0)
		return false;
	*verdict = (enum verdict)found;
	return true;
}
