/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a person looks for in the curve of a series before calling it a leak, as numbers. A quadratic alone
 * cannot tell stairs from a single step, or a slope from the last tooth of a saw-tooth; these can. They are
 * read from the buckets of the series, so they cost the same for ten million samples as for forty.
 */
#pragma once

#include <stdbool.h>

#include "model/series.h"

/* How far a curve is from a straight line, by the quadratic of least squares; both 0 where nothing rises. */
struct bend {
	double size;  /* second-order coefficient over rise: -1 flattens out, 0 straight, 1 speeds up like t^2
		       */
	double error; /* standard error of it, from what the quadratic leaves unexplained */
};

/*
 * A single step that outdoes all other change is taken out first, and the rest judged as if it had not been:
 * nothing after a big allocation, or a slow leak behind it. Amounts are shares of the range of what is
 * judged.
 */
struct growth_evidence {
	bool too_short;	     /* nothing else is filled */
	double jump;	     /* the step taken out, as a share of the whole range; 0: none */
	double largest_fall; /* from a peak down to a later bottom, as a share of that peak's bytes */
	double trend; /* Mann-Kendall z of the bucket means: how surely later is higher, whatever the noise */
	double lift; /* least rise from a third of the run to the next, of the lowest and of the highest point
		      */
	double kept; /* height of the latest sample above the lowest point of the first third */
	double late_share; /* part of the growth that came after the start-up */
	double late_trend; /* as trend, of that later part alone */
	struct bend bend;
	struct bend late_bend; /* after a short warm-up */
};

/**
 * Read the evidence from a series.
 *
 * @param series    any series, also an empty one
 * @param evidence  filled, and all finite; zero but for too_short when there are too few samples or no time
 * passed, all zero when nothing ever changed
 */
void growth_evidence_read(const struct series *series, struct growth_evidence *evidence);
