/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leak factor: a series normalised to [0, 1] in time and size and fitted with a quadratic, whose
 * coefficients give a class of growth and whose rise gives the leak's size.
 */
#pragma once

#include <stdbool.h>

#include "model/series.h"

enum growth_class { GROWTH_CONSTANT, GROWTH_LINEAR, GROWTH_LOGARITHMIC, GROWTH_EXPONENTIAL };

enum verdict {
	VERDICT_UNKNOWN,
	VERDICT_STEADY,
	VERDICT_TRANSIENT,
	VERDICT_CACHE,
	VERDICT_LOGICAL_LEAK,
	VERDICT_TRUE_LEAK,
};

struct leak_factor {
	enum growth_class growth;
	double coef[3];	 /* c2, c1, c0 of the normalised series */
	double leak;	 /* bytes: (p(1) - p(0)) scaled back; 0 when constant */
	double min_size; /* bytes */
	double max_size; /* bytes */
	double rate;	 /* bytes per second */
	double r2;	 /* of the fit, 0 to 1 */
};

/**
 * Fit and class a series.
 *
 * The quadratic is that of least squares over all samples, on time and size normalised to [0, 1], as in the
 * EdLeak leak factor; size and class come apart: the size is the quadratic's rise, the class what a person
 * would say of the curve (see growth.h), because stairs, teeth and start-ups have coefficients that look
 * alike.
 *
 * A series too short to tell is GROWTH_CONSTANT with r2 0. A series that never changed has coefficients 0 and
 * r2 1.
 *
 * @param series  any series, also an empty one
 * @param factor  filled; all finite. `rate` is `leak` over the duration; both are 0 for GROWTH_CONSTANT,
 * which does not leak
 */
void leak_factor_fit(const struct series *series, struct leak_factor *factor);

/**
 * What growth alone can say. Growth cannot say that memory is unreachable: steady or accelerating growth is
 * VERDICT_LOGICAL_LEAK until reachability makes it VERDICT_TRUE_LEAK, which is never returned here.
 *
 * @param series  any series
 * @param factor  its leak factor
 * @return logical leak: keeps growing; cache: grows ever slower; transient: comes and goes; steady: neither;
 *         unknown: too short, or too noisy to rule growth out
 */
enum verdict verdict_from_growth(const struct series *series, const struct leak_factor *factor);

/** @return "constant", "linear", "logarithmic" or "exponential"; a literal. */
const char *growth_class_name(enum growth_class growth);

/** @return "unknown", "steady", "transient", "cache", "logical-leak" or "true-leak"; a literal. */
const char *verdict_name(enum verdict verdict);

/**
 * The class of a name, the inverse of growth_class_name().
 *
 * @param name    exactly such a name
 * @param growth  filled when there is one
 * @return whether there is one
 */
bool growth_class_parse(const char *name, enum growth_class *growth);

/** The verdict of a name, the inverse of verdict_name(); arguments and return as for growth_class_parse(). */
bool verdict_parse(const char *name, enum verdict *verdict);
