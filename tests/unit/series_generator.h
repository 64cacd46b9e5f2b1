/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Labelled series for judging the classifier. Each kind is a story that a person would tell about a program
 * ("it leaks a little under a lot of churn"), and the story, not the classifier, gives the label. Everything
 * else is drawn at random: length, sampling times, scale from bytes to terabytes, offset, rounding to blocks,
 * noise.
 *
 * What is left out is only what a person could not tell either:
 *  - noise is bounded by what the length can average out. Fitting a line to n points, the error of its rise
 * is 3.5 noise / sqrt(n), that of a quadratic's bend 13.4 noise / sqrt(n). A line's noise is at most 0.03
 * sqrt(n) of its rise (which then stands ten errors above nothing), a curve's 0.012 sqrt(n) (its bend, about
 * 0.75 of the rise, stands nearly five errors above a line);
 *  - a cycle shows at least two and a half times when memory returns to its base and five times (a wave:
 * three) when it rides on a slope, each with at least five samples;
 *  - a warm-up stops before 35 % of the run (constant) or after 60 % and before 80 % (a cache that filled
 * up), not in between; a saturating curve has a time constant of at most 6 % (constant) or at least 20 % of
 * the run;
 *  - a curve is bent at least as much as t^0.55, log(1 + 6t) or t^1.9, exp(2t); a line not at all, but for a
 * leak that begins within the first fifth of the run (later, it may as well be called accelerating) or comes
 * behind a warm-up of at most 15 %;
 *  - a stair-case has at least five stairs, and a single step stays single.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/leak_factor.h"

#define GENERATED_MAX 2000 /* samples in the longest series */
#define GENERATED_PI  3.14159265358979323846

struct generator {
	uint64_t state;
};

struct generated_series {
	const char *kind;
	enum growth_class truth;
	size_t count;
	struct series_point points[GENERATED_MAX];
};

/* --- random numbers: splitmix64, the same everywhere
 * ----------------------------------------------------------------- */

static uint64_t random_bits(struct generator *generator)
{
	uint64_t z = generator->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static double random_unit(struct generator *generator)
{
	return (double)(random_bits(generator) >> 11) / 9007199254740992.0;
}

static double random_between(struct generator *generator, double low, double high)
{
	return low + (high - low) * random_unit(generator);
}

/* Every magnitude between low and high is as likely as any other. */
static double random_magnitude(struct generator *generator, double low, double high)
{
	return low * pow(high / low, random_unit(generator));
}

static double random_normal(struct generator *generator)
{
	double radius = sqrt(-2 * log(1 - random_unit(generator)));

	return radius * cos(2 * GENERATED_PI * random_unit(generator));
}

static double random_gap(struct generator *generator)
{
	return -log(1 - random_unit(generator));
}

static bool random_chance(struct generator *generator, double probability)
{
	return random_unit(generator) < probability;
}

/* --- parts: u is time in [0, 1], y bytes in units of the story's own size
 * --------------------------------------------- */

struct sketch {
	struct generator *generator;
	size_t count;
	double u[GENERATED_MAX];
	double y[GENERATED_MAX];
	bool no_blocks; /* rounding to blocks would change the story */
};

/* Noise that a person sees through; most series get far less than the bound. */
static double noise_level(struct sketch *s, double factor, double cap)
{
	double bound = fmin(cap, factor * sqrt((double)s->count));
	double part = random_unit(s->generator);

	return random_chance(s->generator, 0.2) ? 0 : bound * part * part;
}

static double line_noise(struct sketch *s)
{
	return noise_level(s, 0.03, 0.25);
}

static double curve_noise(struct sketch *s)
{
	return noise_level(s, 0.012, 0.15);
}

static void add_noise(struct sketch *s, double deviation)
{
	for (size_t i = 0; i < s->count; i++)
		s->y[i] += deviation * random_normal(s->generator);
}

/* Memory in use that wanders about a level and is pulled back to it within `correlation` of the run. */
static void add_churn(struct sketch *s, double deviation, double correlation)
{
	double level = random_normal(s->generator);

	for (size_t i = 0; i < s->count; i++) {
		double gap = i ? s->u[i] - s->u[i - 1] : 0;
		double keep = exp(-gap / correlation);

		level = level * keep + sqrt(1 - keep * keep) * random_normal(s->generator);
		s->y[i] += deviation * level;
	}
}

static double random_periods(struct sketch *s, double least)
{
	double most = fmin(100, (double)s->count / 5);

	return most <= least ? least : random_magnitude(s->generator, least, most);
}

/* Rises and drops to its base: garbage collection, batches, pools. `irregular`: teeth of differing length and
 * height. */
static void add_sawtooth(struct sketch *s, double height, double periods, bool irregular)
{
	double rise = random_chance(s->generator, 0.7) ? 1 : random_between(s->generator, 0.3, 1);
	double length = 1 / periods, start = -length * random_unit(s->generator), tooth = height;

	for (size_t i = 0; i < s->count; i++) {
		double phase;

		while (s->u[i] >= start + length) {
			start += length;
			if (!irregular)
				continue;
			length = random_between(s->generator, 0.6, 1.4) / periods;
			tooth = height * random_between(s->generator, 0.6, 1.4);
		}
		phase = (s->u[i] - start) / length;
		s->y[i] += tooth * (phase < rise ? phase / rise : 1 - (phase - rise) / (1 - rise));
	}
}

static void add_wave(struct sketch *s, double amplitude, double periods)
{
	double phase = random_unit(s->generator);

	for (size_t i = 0; i < s->count; i++)
		s->y[i] += amplitude * sin(2 * GENERATED_PI * (s->u[i] * periods + phase));
}

static void add_level(struct sketch *s, double from, double to, double bytes)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->u[i] >= from && s->u[i] < to)
			s->y[i] += bytes;
}

static void add_ramp(struct sketch *s, double from, double to)
{
	for (size_t i = 0; i < s->count; i++)
		s->y[i] += fmin(1, fmax(0, (s->u[i] - from) / (to - from)));
}

static void add_power(struct sketch *s, double exponent)
{
	for (size_t i = 0; i < s->count; i++)
		s->y[i] += pow(s->u[i], exponent);
}

static void add_exponential(struct sketch *s, double growth)
{
	for (size_t i = 0; i < s->count; i++)
		s->y[i] += expm1(growth * s->u[i]) / expm1(growth);
}

static void add_logarithm(struct sketch *s, double steepness)
{
	for (size_t i = 0; i < s->count; i++)
		s->y[i] += log1p(steepness * s->u[i]) / log1p(steepness);
}

static void add_saturation(struct sketch *s, double constant)
{
	for (size_t i = 0; i < s->count; i++)
		s->y[i] += expm1(-s->u[i] / constant) / expm1(-1 / constant);
}

/* Turn a curve into stairs of equal height: y in [0, 1] moves only in steps of 1/stairs. */
static void round_to_stairs(struct sketch *s, double stairs)
{
	double shift = random_unit(s->generator);

	for (size_t i = 0; i < s->count; i++)
		s->y[i] = floor(s->y[i] * stairs + shift) / stairs;
}

/* Turn a curve into a random count with that mean: each of `blocks` blocks comes at a random time. */
static void round_to_arrivals(struct sketch *s, double blocks)
{
	double total = 0, before = 0;

	for (size_t i = 0; i < s->count; i++) {
		double mean = blocks * fmax(0, s->y[i] - before), arrivals = 0;

		before = fmax(before, s->y[i]);
		if (mean > 50)
			arrivals = fmax(0, mean + sqrt(mean) * random_normal(s->generator));
		else
			for (double at = random_gap(s->generator); at < mean; at += random_gap(s->generator))
				arrivals++;
		total += arrivals / blocks;
		s->y[i] = total;
	}
}

/* A curve that still bends visibly gets stairs, arrivals, small churn, teeth, or nothing but noise. */
static void roughen_curve(struct sketch *s)
{
	double what = random_unit(s->generator);

	if (s->count >= 24 && what < 0.15)
		round_to_stairs(s, random_magnitude(s->generator, 12, 60));
	else if (s->count >= 24 && what < 0.35)
		round_to_arrivals(s, random_magnitude(s->generator, 300, 1e5));
	else if (s->count >= 60 && what < 0.5)
		add_churn(s, curve_noise(s), random_magnitude(s->generator, 0.001, 0.01));
	else if (s->count >= 60 && what < 0.6)
		add_sawtooth(s, random_between(s->generator, 0.05, 0.5), random_periods(s, 10), false);
	add_noise(s, curve_noise(s));
}

/* --- constant
 * ---------------------------------------------------------------------------------------------------------
 */

static void flat(struct sketch *s)
{
	add_level(s, 0, 2, 1);
}

static void flat_noise(struct sketch *s)
{
	add_noise(s, 1);
}

static void flat_few_levels(struct sketch *s)
{
	double levels = random_between(s->generator, 0.3, 3);

	add_noise(s, levels);
	for (size_t i = 0; i < s->count; i++)
		s->y[i] = floor(s->y[i]);
	s->no_blocks = true;
}

static void churn(struct sketch *s)
{
	add_churn(s, 1, random_magnitude(s->generator, 0.001, 0.06));
}

static void sawtooth(struct sketch *s)
{
	add_sawtooth(s, 1, random_periods(s, 2.5), false);
	add_noise(s, noise_level(s, 1, 0.08));
}

static void irregular_sawtooth(struct sketch *s)
{
	add_sawtooth(s, 1, random_periods(s, 4), true);
	add_noise(s, noise_level(s, 1, 0.08));
}

static void wave(struct sketch *s)
{
	add_wave(s, 1, random_periods(s, 2.5));
	add_noise(s, noise_level(s, 1, 0.3));
}

static void big_at_start(struct sketch *s)
{
	add_level(s, s->u[1 + (size_t)(random_unit(s->generator) * 0.06 * (double)s->count)], 2, 1);
	add_noise(s, noise_level(s, 1, 0.1));
}

static void single_step(struct sketch *s)
{
	add_level(s, random_between(s->generator, 0.2, 0.8), 2, 1);
	add_noise(s, noise_level(s, 1, 0.08));
}

static void pulse(struct sketch *s)
{
	double from = random_between(s->generator, 0.1, 0.6);

	add_level(s, from, from + random_between(s->generator, 0.05, 0.3), 1);
	add_noise(s, noise_level(s, 1, 0.1));
}

static void spikes(struct sketch *s)
{
	double chance = random_between(s->generator, 0.02, 0.2);

	for (size_t i = 0; i < s->count; i++)
		if (random_chance(s->generator, chance))
			s->y[i] += random_gap(s->generator);
	add_noise(s, noise_level(s, 1, 0.1));
}

static void warm_up(struct sketch *s)
{
	if (random_chance(s->generator, 0.5))
		add_ramp(s, 0, random_between(s->generator, 0.04, 0.35));
	else
		add_saturation(s, random_between(s->generator, 0.01, 0.06));
	add_noise(s, noise_level(s, 1, 0.1));
}

static void shrinking(struct sketch *s)
{
	if (random_chance(s->generator, 0.5))
		add_power(s, random_between(s->generator, 0.5, 2));
	else
		add_saturation(s, random_between(s->generator, 0.1, 0.6));
	for (size_t i = 0; i < s->count; i++)
		s->y[i] = -s->y[i];
	add_noise(s, line_noise(s));
}

/* A job that ends within the run gives back what it took. */
static void released(struct sketch *s)
{
	double end = random_between(s->generator, 0.5, 0.9);

	add_ramp(s, 0, end);
	for (size_t i = 0; i < s->count; i++)
		if (s->u[i] >= end)
			s->y[i] = 0;
	add_noise(s, noise_level(s, 1, 0.04));
}

/* --- linear
 * -----------------------------------------------------------------------------------------------------------
 */

static void line(struct sketch *s)
{
	add_ramp(s, 0, 1);
}

static void noisy_line(struct sketch *s)
{
	add_ramp(s, 0, 1);
	add_noise(s, line_noise(s));
}

static void even_stairs(struct sketch *s)
{
	double stairs = random_magnitude(s->generator, 6, 40);

	add_ramp(s, 0, 1);
	round_to_stairs(s, stairs);
	add_noise(s, noise_level(s, 1, 0.3 / stairs));
}

static void random_stairs(struct sketch *s)
{
	double stairs = floor(random_magnitude(s->generator, 8, 30));

	for (double i = 0; i < stairs; i++) {
		double at = (i + random_unit(s->generator)) / stairs;

		add_level(s, at, 2, random_between(s->generator, 0.5, 1.5) / stairs);
	}
	add_noise(s, noise_level(s, 1, 0.1 / stairs));
}

static void random_arrivals(struct sketch *s)
{
	add_ramp(s, 0, 1);
	round_to_arrivals(s, random_magnitude(s->generator, 60, 1e5));
}

static void leak_under_churn(struct sketch *s)
{
	double correlation = random_magnitude(s->generator, 0.0005, 0.01);
	double independent = fmin((double)s->count, 0.5 / correlation);

	add_ramp(s, 0, 1);
	add_churn(s, fmin(1, 0.03 * sqrt(independent)) * random_between(s->generator, 0.3, 1), correlation);
}

static void sawtooth_on_slope(struct sketch *s)
{
	double height = random_magnitude(s->generator, 0.25, 2.5);

	add_ramp(s, 0, 1);
	add_sawtooth(s, height, random_periods(s, 5), random_chance(s->generator, 0.3));
	add_noise(s, noise_level(s, 1, 0.03));
}

static void wave_on_slope(struct sketch *s)
{
	add_ramp(s, 0, 1);
	add_wave(s, random_magnitude(s->generator, 0.1, 0.7), random_periods(s, 3));
	add_noise(s, noise_level(s, 0.01, 0.1));
}

static void late_start(struct sketch *s)
{
	add_ramp(s, random_between(s->generator, 0, 0.2), 1);
	add_noise(s, curve_noise(s));
}

static void line_with_pauses(struct sketch *s)
{
	double cycles = random_between(s->generator, 5, 15), active = random_between(s->generator, 0.3, 0.8);

	for (size_t i = 0; i < s->count; i++) {
		double cycle = floor(s->u[i] * cycles), phase = s->u[i] * cycles - cycle;

		s->y[i] += (cycle + fmin(1, phase / active)) / cycles;
	}
	add_noise(s, noise_level(s, 0.01, 0.02));
}

static void big_at_start_then_line(struct sketch *s)
{
	add_ramp(s, 0, 1);
	add_level(s, s->u[1], 2, random_magnitude(s->generator, 0.3, 100));
	add_noise(s, curve_noise(s));
	s->no_blocks = true; /* they would swallow the leak */
}

static void warm_up_then_line(struct sketch *s)
{
	double end = random_between(s->generator, 0.05, 0.15),
	       height = random_magnitude(s->generator, 0.3, 2);

	add_ramp(s, 0, end);
	for (size_t i = 0; i < s->count; i++)
		s->y[i] = s->y[i] * height + s->u[i];
	add_noise(s, curve_noise(s) / 2);
}

static void pulse_on_slope(struct sketch *s)
{
	double from = random_between(s->generator, 0.1, 0.8);

	add_ramp(s, 0, 1);
	add_level(s, from, from + random_between(s->generator, 0.02, 0.1),
		random_magnitude(s->generator, 0.3, 3));
	add_noise(s, curve_noise(s));
}

static void spikes_on_slope(struct sketch *s)
{
	double chance = random_between(s->generator, 0.02, 0.1),
	       size = random_magnitude(s->generator, 0.1, 1);

	add_ramp(s, 0, 1);
	for (size_t i = 0; i < s->count; i++)
		if (random_chance(s->generator, chance))
			s->y[i] += size * random_gap(s->generator);
	add_noise(s, curve_noise(s));
}

/* --- logarithmic
 * ------------------------------------------------------------------------------------------------------ */

static void logarithm(struct sketch *s)
{
	add_logarithm(s, random_magnitude(s->generator, 6, 500));
	roughen_curve(s);
}

static void saturation(struct sketch *s)
{
	add_saturation(s, random_between(s->generator, 0.2, 0.6));
	roughen_curve(s);
}

static void root(struct sketch *s)
{
	add_power(s, random_between(s->generator, 0.25, 0.55));
	roughen_curve(s);
}

/* Requests for random keys fill a cache: ever more of them hit. */
static void cache_fill(struct sketch *s)
{
	double keys = random_magnitude(s->generator, 150, 1e4);

	add_saturation(s, random_between(s->generator, 0.2, 0.5));
	round_to_arrivals(s, keys);
}

static void full_cache(struct sketch *s)
{
	add_ramp(s, 0, random_between(s->generator, 0.6, 0.8));
	add_noise(s, noise_level(s, 0.008, 0.1));
}

/* --- exponential
 * ------------------------------------------------------------------------------------------------------ */

static void exponential(struct sketch *s)
{
	add_exponential(s, random_between(s->generator, 2, 9));
	roughen_curve(s);
}

static void accelerating(struct sketch *s)
{
	add_power(s, random_between(s->generator, 1.9, 4));
	roughen_curve(s);
}

/* A table that doubles: each stair is higher than the one before by the same factor. */
static void doubling_stairs(struct sketch *s)
{
	double stairs = floor(random_between(s->generator, 5, 9)),
	       factor = random_between(s->generator, 1.5, 2.2);

	for (double i = 0; i < stairs; i++)
		add_level(
			s, (i + random_between(s->generator, 0.3, 0.7)) / stairs, 2, pow(factor, i - stairs));
	add_noise(s, noise_level(s, 1, 0.01));
}

static void hastening_arrivals(struct sketch *s)
{
	add_power(s, random_between(s->generator, 2, 3));
	round_to_arrivals(s, random_magnitude(s->generator, 150, 1e4));
}

/* --- the set
 * ----------------------------------------------------------------------------------------------------------
 */

struct series_kind {
	const char *name;
	enum growth_class truth;
	size_t least; /* samples the story needs to be told */
	void (*draw)(struct sketch *sketch);
};

static const struct series_kind series_kinds[] = {
	{"flat", GROWTH_CONSTANT, 8, flat},
	{"flat_noise", GROWTH_CONSTANT, 8, flat_noise},
	{"flat_few_levels", GROWTH_CONSTANT, 8, flat_few_levels},
	{"churn", GROWTH_CONSTANT, 8, churn},
	{"sawtooth", GROWTH_CONSTANT, 14, sawtooth},
	{"irregular_sawtooth", GROWTH_CONSTANT, 22, irregular_sawtooth},
	{"wave", GROWTH_CONSTANT, 14, wave},
	{"big_at_start", GROWTH_CONSTANT, 8, big_at_start},
	{"single_step", GROWTH_CONSTANT, 10, single_step},
	{"pulse", GROWTH_CONSTANT, 10, pulse},
	{"spikes", GROWTH_CONSTANT, 10, spikes},
	{"warm_up", GROWTH_CONSTANT, 10, warm_up},
	{"shrinking", GROWTH_CONSTANT, 8, shrinking},
	{"released", GROWTH_CONSTANT, 14, released},
	{"line", GROWTH_LINEAR, 8, line},
	{"noisy_line", GROWTH_LINEAR, 8, noisy_line},
	{"even_stairs", GROWTH_LINEAR, 16, even_stairs},
	{"random_stairs", GROWTH_LINEAR, 16, random_stairs},
	{"random_arrivals", GROWTH_LINEAR, 8, random_arrivals},
	{"leak_under_churn", GROWTH_LINEAR, 60, leak_under_churn},
	{"sawtooth_on_slope", GROWTH_LINEAR, 25, sawtooth_on_slope},
	{"wave_on_slope", GROWTH_LINEAR, 16, wave_on_slope},
	{"late_start", GROWTH_LINEAR, 8, late_start},
	{"line_with_pauses", GROWTH_LINEAR, 24, line_with_pauses},
	{"big_at_start_then_line", GROWTH_LINEAR, 10, big_at_start_then_line},
	{"warm_up_then_line", GROWTH_LINEAR, 24, warm_up_then_line},
	{"pulse_on_slope", GROWTH_LINEAR, 40, pulse_on_slope},
	{"spikes_on_slope", GROWTH_LINEAR, 40, spikes_on_slope},
	{"logarithm", GROWTH_LOGARITHMIC, 8, logarithm},
	{"saturation", GROWTH_LOGARITHMIC, 8, saturation},
	{"root", GROWTH_LOGARITHMIC, 8, root},
	{"cache_fill", GROWTH_LOGARITHMIC, 8, cache_fill},
	{"full_cache", GROWTH_LOGARITHMIC, 10, full_cache},
	{"exponential", GROWTH_EXPONENTIAL, 8, exponential},
	{"accelerating", GROWTH_EXPONENTIAL, 8, accelerating},
	{"doubling_stairs", GROWTH_EXPONENTIAL, 16, doubling_stairs},
	{"hastening_arrivals", GROWTH_EXPONENTIAL, 8, hastening_arrivals},
};

#define SERIES_KINDS (sizeof(series_kinds) / sizeof(series_kinds[0]))

/* Times in [0, 1]: a steady interval, one with jitter, or samples whenever something happened. */
static void draw_times(struct sketch *s)
{
	double style = random_unit(s->generator), total = 0;

	for (size_t i = 0; i < s->count; i++) {
		double gap = 1;

		if (style > 0.85)
			gap = 0.1 + random_gap(s->generator);
		else if (style > 0.5)
			gap = random_between(s->generator, 0.7, 1.3);
		total += i ? gap : 0;
		s->u[i] = total;
	}
	for (size_t i = 0; i < s->count && total > 0; i++)
		s->u[i] /= total;
}

/* From the story's own units to bytes and seconds. */
static void scale_sketch(struct sketch *s, struct generated_series *series)
{
	struct generator *generator = s->generator;
	double low = INFINITY, high = -INFINITY, size = random_magnitude(generator, 4096, 4e12), offset = 0,
	       block = 1;
	double begin = random_chance(generator, 0.3) ? random_magnitude(generator, 1, 1e9) : 0;
	double duration = (double)s->count * random_magnitude(generator, 0.1, 3600);

	for (size_t i = 0; i < s->count; i++) {
		low = fmin(low, s->y[i]);
		high = fmax(high, s->y[i]);
	}
	if (random_chance(generator, 0.6))
		offset = size * random_magnitude(generator, 0.01, 100);
	if (!s->no_blocks && random_chance(generator, 0.3))
		block = size / random_magnitude(generator, 40, 4000);

	for (size_t i = 0; i < s->count; i++) {
		double part = high > low ? (s->y[i] - low) / (high - low) : 0;

		series->points[i].time = begin + duration * s->u[i];
		series->points[i].bytes = (uint64_t)(floor((offset + size * part) / block) * block);
	}
	series->count = s->count;
}

/* A series of that kind with that many samples (at most GENERATED_MAX). */
static void generate_series(struct generator *generator, const struct series_kind *kind, size_t count,
	struct generated_series *series)
{
	struct sketch sketch = {.generator = generator, .count = count};

	series->kind = kind->name;
	series->truth = kind->truth;
	draw_times(&sketch);
	kind->draw(&sketch);
	scale_sketch(&sketch, series);
}

/* Lengths of every magnitude from what the story needs to the longest. */
static size_t random_length(struct generator *generator, const struct series_kind *kind)
{
	return (size_t)floor(random_magnitude(generator, (double)kind->least, GENERATED_MAX + 0.99));
}
