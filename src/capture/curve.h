/* SPDX-License-Identifier: MIT */
/*
 * How many different pages a target writes in a time, as a function of that
 * time: pages that are written again and again count once, so it grows less
 * and less.  Pure; not how that is measured (dirty.c).
 */
#ifndef CAPTURE_CURVE_H
#define CAPTURE_CURVE_H

#include <stdint.h>

#include "decant.h"

/* Windows of similar length (a factor of two from microseconds on) are one point. */
struct curve {
	struct {
		double ns, pages;        /* sums */
		uint64_t n;
	} at[DECANT_DIRTY_WINDOWS_MAX];
};

#define CURVE_INIT { 0 }

/* So many different pages were written within so long. */
void curve_add(struct curve *c, uint64_t ns, uint64_t pages);
/* The points by length; how many. */
unsigned curve_points(const struct curve *c, struct decant_dirty_window *ret);
/*
 * Pages written within ns, at most pages_max.  Between points along a line,
 * before the first in proportion to the time; behind the last one as steep as
 * before it.  Never less for a longer time.
 */
double curve_pages(const struct curve *c, double ns, double pages_max);

#endif
