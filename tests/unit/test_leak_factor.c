// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "model/leak_factor.h"
#include "series_generator.h"

/* The set that is judged, apart from those that thresholds were chosen on. LEAKTOP_SEED in the environment
 * tries others. */
#define JUDGED_SEED   20261121
#define JUDGED_SERIES 4000
#define MACRO_F1_MIN  0.97

#define CLASSES 4

static void fill(struct series *series, const struct series_point *points, size_t count)
{
	*series = (struct series){0};
	for (size_t i = 0; i < count; i++)
		series_add(series, points[i].time, points[i].bytes);
}

static struct leak_factor fit(const struct series_point *points, size_t count)
{
	struct series series;
	struct leak_factor factor;

	fill(&series, points, count);
	leak_factor_fit(&series, &factor);
	return factor;
}

static void assert_near(double value, double expected, double tolerance)
{
	if (fabs(value - expected) <= tolerance)
		return;
	print_error("%.12g is not %.12g (within %g)\n", value, expected, tolerance);
	fail();
}

static void assert_coefficients(
	const struct leak_factor *factor, double c2, double c1, double c0, double tolerance)
{
	assert_near(factor->coef[0], c2, tolerance);
	assert_near(factor->coef[1], c1, tolerance);
	assert_near(factor->coef[2], c0, tolerance);
}

static void assert_finite(const struct leak_factor *factor)
{
	assert_true(isfinite(factor->coef[0]) && isfinite(factor->coef[1]) && isfinite(factor->coef[2]));
	assert_true(isfinite(factor->leak) && isfinite(factor->rate));
	assert_true(factor->r2 >= 0 && factor->r2 <= 1);
	assert_true(factor->min_size <= factor->max_size);
}

/* --- series
 * -----------------------------------------------------------------------------------------------------------
 */

static void test_series_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct series) <= 1250);
}

static void test_points_of_a_short_series_are_its_samples(void **state)
{
	struct series series = {0};
	struct series_point points[SERIES_POINTS_MAX];

	(void)state;
	assert_int_equal(series_points(&series, points, SERIES_POINTS_MAX), 0);
	assert_int_equal(series_count(&series), 0);
	for (size_t i = 0; i < SERIES_BUCKETS; i++) {
		series_add(&series, 2.5 * (double)i, 100 + i * i);
		assert_int_equal(series_points(&series, points, SERIES_POINTS_MAX), i + 1);
		for (size_t j = 0; j <= i; j++) {
			assert_true(points[j].time == 2.5 * (double)j);
			assert_int_equal(points[j].bytes, 100 + j * j);
		}
	}
	assert_int_equal(series_count(&series), SERIES_BUCKETS);
}

static void test_points_of_a_long_series_span_it(void **state)
{
	struct series series = {0};
	struct series_point points[SERIES_POINTS_MAX];

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		size_t count;

		series_add(&series, 10 + (double)i, 7 * i);
		for (size_t max = 1; max <= SERIES_POINTS_MAX; max += max == 1 ? 1 : 5) {
			count = series_points(&series, points, max);
			assert_true(count <= max);
			assert_true(count >= (i + 1 < max / 2 ? i + 1 : max / 2));
			assert_int_equal(points[count - 1].bytes, 7 * i);
			assert_true(count == 1 || points[0].bytes == 0);
			for (size_t j = 0; j < count; j++) {
				assert_int_equal(points[j].bytes, 7 * (uint64_t)(points[j].time - 10));
				assert_true(!j || points[j].time > points[j - 1].time);
			}
		}
	}
	assert_int_equal(series_points(&series, points, 0), 0);
}

static void test_time_never_goes_backwards(void **state)
{
	static const double times[] = {5, 7, 6, NAN, INFINITY, -INFINITY, 1e300, 8};
	static const double expected[] = {5, 7, 7, 7, 7, 7, 7, 8};
	struct series series = {0};
	struct series_point points[SERIES_POINTS_MAX];

	(void)state;
	for (size_t i = 0; i < 8; i++)
		series_add(&series, times[i], i);
	assert_int_equal(series_points(&series, points, SERIES_POINTS_MAX), 8);
	for (size_t i = 0; i < 8; i++)
		assert_true(points[i].time == expected[i]);
	assert_true(series_duration(&series) == 3);
}

/* --- the fit, by hand
 * ------------------------------------------------------------------------------------------------- */

static void test_line_is_recovered(void **state)
{
	struct series_point points[61];
	struct leak_factor factor;

	(void)state;
	for (size_t i = 0; i < 61; i++)
		points[i] = (struct series_point){.time = 100 + (double)i, .bytes = 5000 + 250 * i};
	factor = fit(points, 61);
	assert_coefficients(&factor, 0, 1, 0, 1e-9);
	assert_near(factor.leak, 15000, 1e-6);
	assert_near(factor.rate, 250, 1e-8);
	assert_near(factor.r2, 1, 1e-12);
	assert_true(factor.min_size == 5000 && factor.max_size == 20000);
	assert_int_equal(factor.growth, GROWTH_LINEAR);
}

static void test_quadratic_is_recovered(void **state)
{
	struct series_point points[101];
	struct leak_factor factor;

	(void)state;
	/* 3 t^2 + 50 t rises by 35,000 in 100 s, of which the square is 30,000. */
	for (size_t i = 0; i < 101; i++)
		points[i] = (struct series_point){.time = (double)i, .bytes = 1000000 + 3 * i * i + 50 * i};
	factor = fit(points, 101);
	assert_coefficients(&factor, 30.0 / 35, 5.0 / 35, 0, 1e-9);
	assert_near(factor.leak, 35000, 1e-5);
	assert_near(factor.rate, 350, 1e-7);
	assert_near(factor.r2, 1, 1e-12);
	assert_int_equal(factor.growth, GROWTH_EXPONENTIAL);
}

/*
 * Least squares worked out by hand on 0, 0, 0, 40 at u = -3, -1, 1, 3: mean 10; slope 120 / 20 = 6; the
 * contrast (1, -1, -1, 1) gives 40 / 4 = 10. p = 10 + 6 u + 10 (u^2 - 5) / 4 with u = 6 x - 3 is 90 x^2 - 54
 * x + 2. Of the sum of squares 1200, line and contrast explain 720 + 400.
 */
static void test_least_squares_by_hand(void **state)
{
	struct series_point points[8];
	struct leak_factor factor;

	(void)state;
	for (size_t i = 0; i < 8; i++) { /* each twice, for a series long enough to have an R2 */
		size_t corner = i / 2;

		points[i] = (struct series_point){
			.time = 10 * (double)corner, .bytes = corner == 3 ? 1040 : 1000};
	}
	factor = fit(points, 8);
	assert_coefficients(&factor, 90.0 / 40, -54.0 / 40, 2.0 / 40, 1e-9);
	assert_near(factor.r2, 1120.0 / 1200, 1e-9);
}

static void test_shrinking_leaks_nothing(void **state)
{
	struct series_point points[20];
	struct leak_factor factor;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		points[i] = (struct series_point){.time = (double)i, .bytes = 19000 - 1000 * i};
	factor = fit(points, 20);
	assert_int_equal(factor.growth, GROWTH_CONSTANT);
	assert_near(factor.coef[1], -1, 1e-9);
	assert_true(factor.leak == 0 && factor.rate == 0);
}

static void test_nothing_to_fit(void **state)
{
	struct series series = {0};
	struct leak_factor factor;

	(void)state;
	leak_factor_fit(&series, &factor);
	assert_int_equal(factor.growth, GROWTH_CONSTANT);
	assert_true(factor.leak == 0 && factor.rate == 0 && factor.r2 == 0 && factor.max_size == 0);
	assert_int_equal(verdict_from_growth(&series, &factor), VERDICT_UNKNOWN);

	for (size_t i = 0; i < 100; i++) /* many samples of one moment */
		series_add(&series, 3, i * 1000);
	leak_factor_fit(&series, &factor);
	assert_int_equal(factor.growth, GROWTH_CONSTANT);
	assert_true(factor.leak == 0 && factor.rate == 0 && factor.r2 == 0 && factor.max_size == 99000);
	assert_int_equal(verdict_from_growth(&series, &factor), VERDICT_UNKNOWN);

	series = (struct series){0};
	for (size_t i = 0; i < 100; i++)
		series_add(&series, (double)i, 4096);
	leak_factor_fit(&series, &factor);
	assert_coefficients(&factor, 0, 0, 0, 0);
	assert_true(factor.leak == 0 && factor.rate == 0 && factor.r2 == 1);
	assert_int_equal(verdict_from_growth(&series, &factor), VERDICT_STEADY);
}

/* In tenths of a second nothing cancels exactly: what is left of a square must not be taken for one. */
static void test_two_times_make_a_line(void **state)
{
	struct series_point points[50];
	struct leak_factor factor;

	(void)state;
	for (size_t i = 0; i < 50; i++)
		points[i] = (struct series_point){.time = i < 23 ? 0 : 0.1, .bytes = i < 23 ? 100 : 900};
	factor = fit(points, 50);
	assert_coefficients(&factor, 0, 1, 0, 1e-9);
}

/* --- numbers at the edge
 * ---------------------------------------------------------------------------------------------- */

static void test_late_times_and_large_sizes_keep_their_digits(void **state)
{
	struct series series = {0};
	struct leak_factor factor;
	uint64_t base = UINT64_C(1) << 60;

	(void)state;
	/* Two samples a second for 58 days, and 100 bytes a second leaked. */
	for (uint64_t i = 0; i < 10000000; i++)
		series_add(&series, 1e9 + 0.5 * (double)i, base + 50 * i);
	leak_factor_fit(&series, &factor);
	assert_coefficients(&factor, 0, 1, 0, 1e-6);
	assert_near(factor.leak, 50.0 * 9999999, 1);
	assert_near(factor.rate, 100, 1e-6);
	assert_near(factor.r2, 1, 1e-9);
	assert_int_equal(factor.growth, GROWTH_LINEAR);

	series = (struct series){0};
	for (uint64_t i = 0; i <= 1000; i++)
		series_add(&series, 1e9 + (double)i, base + 3 * i * i + 50 * i);
	leak_factor_fit(&series, &factor);
	assert_coefficients(&factor, 3000000.0 / 3050000, 50000.0 / 3050000, 0, 1e-9);
	assert_int_equal(factor.growth, GROWTH_EXPONENTIAL);
}

static uint64_t hostile_bytes(struct generator *generator)
{
	switch (random_bits(generator) % 4) {
	case 0:
		return UINT64_MAX - random_bits(generator) % 3;
	case 1:
		return random_bits(generator) % 3;
	case 2:
		return random_bits(generator);
	default:
		return (UINT64_C(1) << 63) + random_bits(generator) % 1000;
	}
}

static double hostile_gap(struct generator *generator)
{
	static const double gaps[] = {0, 0, 1, 1e-9, 1e-300, 1e9, 1e14, 1e300, -1, INFINITY, NAN};

	return gaps[random_bits(generator) % (sizeof(gaps) / sizeof(gaps[0]))];
}

static void test_any_input_gives_finite_numbers(void **state)
{
	struct generator generator = {7};

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct series series = {0};
		struct leak_factor factor;
		uint64_t count = random_bits(&generator) % 200;
		double time = random_chance(&generator, 0.5) ? 0 : -1e15;

		for (uint64_t j = 0; j < count; j++) {
			series_add(&series, time, hostile_bytes(&generator));
			time = (isfinite(time) ? time : 0) + hostile_gap(&generator);
		}
		leak_factor_fit(&series, &factor);
		assert_finite(&factor);
		assert_non_null(verdict_name(verdict_from_growth(&series, &factor)));
	}
}

/* Neither when the session began, nor how much was live before, nor the unit changes what a curve looks like.
 */
static void test_class_depends_on_the_curve_alone(void **state)
{
	_cleanup_free_ struct generated_series *series = malloc(sizeof(*series));
	struct generator generator = {99};

	(void)state;
	assert_non_null(series);
	for (size_t i = 0; i < 4 * SERIES_KINDS; i++) {
		const struct series_kind *kind = &series_kinds[i % SERIES_KINDS];
		struct leak_factor before, after;

		generate_series(&generator, kind, random_length(&generator, kind), series);
		before = fit(series->points, series->count);
		for (size_t j = 0; j < series->count; j++) {
			series->points[j].time = series->points[j].time * 4 + 4096;
			series->points[j].bytes = series->points[j].bytes * 8 + (UINT64_C(1) << 55);
		}
		after = fit(series->points, series->count);
		assert_int_equal(before.growth, after.growth);
		assert_near(after.leak, 8 * before.leak, 1e-4 * fabs(before.leak) + 1e-3);
	}
}

/* --- names and verdicts
 * ----------------------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const char *const growths[] = {"constant", "linear", "logarithmic", "exponential"};
	static const char *const verdicts[] = {
		"unknown", "steady", "transient", "cache", "logical-leak", "true-leak"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		enum growth_class growth;

		assert_string_equal(growth_class_name((enum growth_class)i), growths[i]);
		assert_true(growth_class_parse(growths[i], &growth));
		assert_int_equal(growth, i);
	}
	for (int i = 0; i < 6; i++) {
		enum verdict verdict;

		assert_string_equal(verdict_name((enum verdict)i), verdicts[i]);
		assert_true(verdict_parse(verdicts[i], &verdict));
		assert_int_equal(verdict, i);
	}
}

static void test_unknown_names_change_nothing(void **state)
{
	enum growth_class growth = GROWTH_LINEAR;
	enum verdict verdict = VERDICT_CACHE;

	(void)state;
	assert_false(growth_class_parse("", &growth));
	assert_false(growth_class_parse("Linear", &growth));
	assert_false(growth_class_parse("lin", &growth));
	assert_false(verdict_parse("logical_leak", &verdict));
	assert_false(verdict_parse("steady ", &verdict));
	assert_int_equal(growth, GROWTH_LINEAR);
	assert_int_equal(verdict, VERDICT_CACHE);
}

/* A minute of a program, one sample a second, in KiB; drawn so that anyone would say the same. */
struct golden {
	const char *name;
	double (*kib)(double second);
	enum growth_class growth;
	enum verdict verdict;
};

static double golden_flat(double t)
{
	return 512 + 0 * t;
}

static double golden_ripple(double t)
{
	return 1000 + 10 * sin(t * t);
}

static double golden_big_at_start(double t)
{
	return t < 1 ? 0 : 65536;
}

static double golden_step(double t)
{
	return t < 30 ? 100 : 300;
}

static double golden_sawtooth(double t)
{
	return 64 + 16 * fmod(t, 12);
}

static double golden_warm_up(double t)
{
	return 100 * fmin(t, 10);
}

static double golden_released(double t)
{
	return t < 59 ? 20 * t : 0;
}

static double golden_dips(double t)
{
	return fabs(t - 20) < 0.01 || fabs(t - 40) < 0.01 ? 100 : 1000;
}

static double golden_shrinking(double t)
{
	return 1000 - 15 * t;
}

static double golden_doubtful(double t)
{
	return 100 + 0.25 * t + 30 * sin(t * t);
}

static double golden_line(double t)
{
	return 10 + 4 * t;
}

static double golden_stairs(double t)
{
	return 100 * floor(t / 8);
}

static double golden_leak_under_churn(double t)
{
	return 500 + 3 * t + 60 * sin(t * t);
}

static double golden_leak_on_sawtooth(double t)
{
	return 64 + 3 * t + 20 * fmod(t, 6);
}

static double golden_leak_on_wave(double t)
{
	return 100 + t + 32 * sin(t * GENERATED_PI / 10);
}

static double golden_leak_after_warm_up(double t)
{
	return 50 * fmin(t, 5) + 4 * t;
}

static double golden_leak_behind_big_allocation(double t)
{
	return t < 1 ? 0 : 65536 + t;
}

static double golden_logarithm(double t)
{
	return 100 * log1p(t);
}

static double golden_cache(double t)
{
	return 1000 * (1 - exp(-t / 20));
}

static double golden_exponential(double t)
{
	return exp(t / 10);
}

static double golden_square(double t)
{
	return 10 + t * t / 4;
}

static const struct golden goldens[] = {
	{"flat", golden_flat, GROWTH_CONSTANT, VERDICT_STEADY},
	{"ripple on a level", golden_ripple, GROWTH_CONSTANT, VERDICT_STEADY},
	{"one big allocation at start", golden_big_at_start, GROWTH_CONSTANT, VERDICT_STEADY},
	{"one step", golden_step, GROWTH_CONSTANT, VERDICT_STEADY},
	{"saw-tooth", golden_sawtooth, GROWTH_CONSTANT, VERDICT_TRANSIENT},
	{"warm-up that stops", golden_warm_up, GROWTH_CONSTANT, VERDICT_STEADY},
	{"released at the end", golden_released, GROWTH_CONSTANT, VERDICT_TRANSIENT},
	{"level with dips", golden_dips, GROWTH_CONSTANT, VERDICT_TRANSIENT},
	{"shrinking", golden_shrinking, GROWTH_CONSTANT, VERDICT_TRANSIENT},
	{"doubtful", golden_doubtful, GROWTH_CONSTANT, VERDICT_UNKNOWN},
	{"line", golden_line, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK},
	{"stairs", golden_stairs, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK},
	{"leak under churn", golden_leak_under_churn, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK},
	{"leak on a saw-tooth", golden_leak_on_sawtooth, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK},
	{"leak on a wave", golden_leak_on_wave, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK},
	{"leak after a warm-up", golden_leak_after_warm_up, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK},
	{"leak behind a big allocation", golden_leak_behind_big_allocation, GROWTH_LINEAR,
		VERDICT_LOGICAL_LEAK},
	{"logarithm", golden_logarithm, GROWTH_LOGARITHMIC, VERDICT_CACHE},
	{"cache that fills", golden_cache, GROWTH_LOGARITHMIC, VERDICT_CACHE},
	{"exponential", golden_exponential, GROWTH_EXPONENTIAL, VERDICT_LOGICAL_LEAK},
	{"square", golden_square, GROWTH_EXPONENTIAL, VERDICT_LOGICAL_LEAK},
};

static void test_golden_curves(void **state)
{
	static const size_t lengths[] = {31, 61, 241, 601}; /* of the same minute */

	(void)state;
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			const struct golden *golden = &goldens[i];
			struct series series = {0};
			struct leak_factor factor;
			enum verdict verdict;

			/* What is doubtful in one sampling is plain or hidden in another. */
			if (golden->verdict == VERDICT_UNKNOWN && lengths[j] != 61)
				continue;
			for (size_t k = 0; k < lengths[j]; k++) {
				double second = 60 * (double)k / (double)(lengths[j] - 1);

				series_add(&series, second, (uint64_t)(1024 * golden->kib(second)));
			}
			leak_factor_fit(&series, &factor);
			verdict = verdict_from_growth(&series, &factor);
			if (factor.growth == golden->growth && verdict == golden->verdict)
				continue;
			print_error("%s, %zu samples: %s, %s\n", golden->name, lengths[j],
				growth_class_name(factor.growth), verdict_name(verdict));
			fail();
		}
	}
}

static void test_short_series_are_never_leaks(void **state)
{
	_cleanup_free_ struct generated_series *series = malloc(sizeof(*series));
	struct generator generator = {JUDGED_SEED};
	size_t judged = 0;

	(void)state;
	assert_non_null(series);
	for (size_t i = 0; i < 20 * SERIES_KINDS; i++) {
		for (size_t count = 1; count < 8; count++) {
			struct series thinned;
			struct leak_factor factor;

			generate_series(&generator, &series_kinds[i % SERIES_KINDS], count, series);
			fill(&thinned, series->points, series->count);
			leak_factor_fit(&thinned, &factor);
			assert_int_equal(factor.growth, GROWTH_CONSTANT);
			assert_true(factor.r2 < 0.1);
			assert_int_equal(verdict_from_growth(&thinned, &factor), VERDICT_UNKNOWN);
			assert_finite(&factor);
			judged++;
		}
	}
	print_message("%zu series of 1 to 7 samples: all constant, verdict unknown\n", judged);
}

/* --- the judged set
 * --------------------------------------------------------------------------------------------------- */

struct judgement {
	size_t confusion[CLASSES][CLASSES]; /* truth, class */
	size_t seen[SERIES_KINDS];
	size_t missed[SERIES_KINDS][CLASSES];
};

/* Kinds of a class in turn, so that every class has a quarter of the series however many kinds it has. */
static size_t kind_of_class(enum growth_class truth, size_t turn)
{
	size_t kinds[SERIES_KINDS] = {0}, count = 0;

	for (size_t i = 0; i < SERIES_KINDS; i++)
		if (series_kinds[i].truth == truth)
			kinds[count++] = i;
	return kinds[count ? turn % count : 0];
}

static void judge(struct judgement *judgement, uint64_t seed)
{
	_cleanup_free_ struct generated_series *series = malloc(sizeof(*series));
	struct generator generator = {seed};

	assert_non_null(series);
	for (size_t i = 0; i < JUDGED_SERIES; i++) {
		size_t kind = kind_of_class((enum growth_class)(i % CLASSES), i / CLASSES);
		enum growth_class growth;

		generate_series(&generator, &series_kinds[kind],
			random_length(&generator, &series_kinds[kind]), series);
		growth = fit(series->points, series->count).growth;
		judgement->confusion[series->truth][growth]++;
		judgement->seen[kind]++;
		if (growth != series->truth)
			judgement->missed[kind][growth]++;
	}
}

/* Print the matrix with each class's figures. Returns the mean of the classes' F1. */
static double report_confusion(const struct judgement *judgement)
{
	double macro_f1 = 0;

	print_message("%-14s", "truth \\ class");
	for (int i = 0; i < CLASSES; i++)
		print_message("%13s", growth_class_name((enum growth_class)i));
	print_message("%12s%9s%9s\n", "precision", "recall", "F1");

	for (int truth = 0; truth < CLASSES; truth++) {
		double right = (double)judgement->confusion[truth][truth], all = 0, said = 0;
		double precision, recall, f1;

		print_message("%-14s", growth_class_name((enum growth_class)truth));
		for (int i = 0; i < CLASSES; i++) {
			all += (double)judgement->confusion[truth][i];
			said += (double)judgement->confusion[i][truth];
			print_message("%13zu", judgement->confusion[truth][i]);
		}
		precision = said > 0 ? right / said : 0;
		recall = all > 0 ? right / all : 0;
		f1 = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
		macro_f1 += f1 / CLASSES;
		print_message("%12.4f%9.4f%9.4f\n", precision, recall, f1);
	}
	return macro_f1;
}

static size_t missed(const struct judgement *judgement, size_t kind)
{
	size_t sum = 0;

	for (int i = 0; i < CLASSES; i++)
		sum += judgement->missed[kind][i];
	return sum;
}

static void report_misses(const struct judgement *judgement)
{
	for (size_t i = 0; i < SERIES_KINDS; i++) {
		if (!missed(judgement, i))
			continue;
		print_message("  %-24s %3zu of %3zu missed:", series_kinds[i].name, missed(judgement, i),
			judgement->seen[i]);
		for (int j = 0; j < CLASSES; j++)
			if (judgement->missed[i][j])
				print_message(" %zu %s", judgement->missed[i][j],
					growth_class_name((enum growth_class)j));
		print_message("\n");
	}
}

static void test_judged_set(void **state)
{
	_cleanup_free_ struct judgement *judgement = calloc(1, sizeof(*judgement));
	const char *chosen = getenv("LEAKTOP_SEED");
	uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : JUDGED_SEED;
	double macro_f1;

	(void)state;
	assert_non_null(judgement);
	judge(judgement, seed);
	print_message("%d series of %zu kinds, up to %d samples, seed %llu\n", JUDGED_SERIES, SERIES_KINDS,
		GENERATED_MAX, (unsigned long long)seed);
	macro_f1 = report_confusion(judgement);
	report_misses(judgement);
	print_message("macro-F1 %.4f\n", macro_f1);
	assert_true(macro_f1 >= MACRO_F1_MIN);

	/* No kind may pay for the others. */
	for (size_t i = 0; i < SERIES_KINDS; i++)
		assert_true(judgement->seen[i] >= 20 && missed(judgement, i) * 5 <= judgement->seen[i]);
}

/* --- cost
 * -------------------------------------------------------------------------------------------------------------
 */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* The bounds are wide, for busy machines and sanitizers: they are to notice work that grows, not to measure
 * it. */
static void test_cost_of_many_sites(void **state)
{
	enum { SITES = 20000, INTERVALS = 100 };
	_cleanup_free_ struct series *sites = calloc(SITES, sizeof(*sites));
	struct generator generator = {1};
	struct leak_factor factor;
	double begin, added, fitted, leak = 0;

	(void)state;
	assert_non_null(sites);
	begin = now_ns();
	for (int i = 0; i < INTERVALS; i++)
		for (int j = 0; j < SITES; j++)
			series_add(&sites[j], i, random_bits(&generator) % 1000 + (uint64_t)(i * j));
	added = (now_ns() - begin) / SITES / INTERVALS;
	begin = now_ns();
	for (int i = 0; i < SITES; i++) {
		leak_factor_fit(&sites[i], &factor);
		leak += factor.leak;
	}
	fitted = (now_ns() - begin) / SITES;
	print_message("%zu bytes a series; %.0f ns a sample, %.0f ns a fit: 100,000 sites cost %.1f ms an "
		      "interval, "
		      "%.0f ms a report\n",
		sizeof(struct series), added, fitted, added / 10, fitted / 10);
	assert_true(leak > 0);
	assert_true(added < 5000 && fitted < 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_series_is_small),
		cmocka_unit_test(test_points_of_a_short_series_are_its_samples),
		cmocka_unit_test(test_points_of_a_long_series_span_it),
		cmocka_unit_test(test_time_never_goes_backwards),
		cmocka_unit_test(test_line_is_recovered),
		cmocka_unit_test(test_quadratic_is_recovered),
		cmocka_unit_test(test_least_squares_by_hand),
		cmocka_unit_test(test_shrinking_leaks_nothing),
		cmocka_unit_test(test_nothing_to_fit),
		cmocka_unit_test(test_two_times_make_a_line),
		cmocka_unit_test(test_late_times_and_large_sizes_keep_their_digits),
		cmocka_unit_test(test_any_input_gives_finite_numbers),
		cmocka_unit_test(test_class_depends_on_the_curve_alone),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unknown_names_change_nothing),
		cmocka_unit_test(test_golden_curves),
		cmocka_unit_test(test_short_series_are_never_leaks),
		cmocka_unit_test(test_judged_set),
		cmocka_unit_test(test_cost_of_many_sites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
