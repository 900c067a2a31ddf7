/* SPDX-License-Identifier: MIT */
/*
 * Measure what each route costs on this machine, by using it.
 * Not a benchmark: a few transfers of each kind, to tell routes apart.
 */
#ifndef PLAN_CALIBRATE_H
#define PLAN_CALIBRATE_H

#include "base/err.h"
#include "decant.h"
#include "plan/cost.h"

/*
 * Moves bytes with d, which must have nothing in flight, for about seconds_max
 * seconds, in scratch files in dir (NULL: $TMPDIR or /tmp; they are gone
 * afterwards) and over loopback.  What was measured replaces rows of *costs; a
 * pair of ends whose turn did not come keeps the numbers that it had, all of
 * them.  Not while another thread uses d or *costs.
 */
int calibrate(struct decant *d, struct cost_table *costs, const char *dir, unsigned seconds_max,
	      struct err *reterr);

#endif
