/* SPDX-License-Identifier: MIT */
#include "capture/curve.h"

/* Power of two of microseconds. */
static unsigned curve_slot(uint64_t ns)
{
	unsigned slot = 0;

	for (uint64_t us = ns / 1000; us > 1 && slot < DECANT_DIRTY_WINDOWS_MAX - 1; us >>= 1)
		slot++;
	return slot;
}

void curve_add(struct curve *c, uint64_t ns, uint64_t pages)
{
	unsigned slot = curve_slot(ns);

	c->at[slot].ns += (double)ns;
	c->at[slot].pages += (double)pages;
	c->at[slot].n++;
}

unsigned curve_points(const struct curve *c, struct decant_dirty_window *ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < DECANT_DIRTY_WINDOWS_MAX; i++) {
		double times = (double)c->at[i].n;

		if (c->at[i].n)
			ret[n++] = (struct decant_dirty_window){
				.ns = (uint64_t)(c->at[i].ns / times + 0.5),
				.pages = (uint64_t)(c->at[i].pages / times + 0.5),
				.n = c->at[i].n,
			};
	}
	return n;
}

static double curve_bound(double pages, double pages_max)
{
	return pages < 0 ? 0 : pages > pages_max ? pages_max : pages;
}

double curve_pages(const struct curve *c, double ns, double pages_max)
{
	double x0 = 0, y0 = 0, slope = 0;

	for (unsigned i = 0; i < DECANT_DIRTY_WINDOWS_MAX; i++) {
		double x, y;

		if (!c->at[i].n)
			continue;
		x = c->at[i].ns / (double)c->at[i].n;
		y = c->at[i].pages / (double)c->at[i].n;
		/* The target was not the same all the time: longer windows of a quieter one. */
		if (y < y0)
			y = y0;
		if (x <= x0)
			continue;
		slope = (y - y0) / (x - x0);
		if (ns <= x)
			break;
		x0 = x;
		y0 = y;
	}
	return curve_bound(y0 + slope * (ns - x0), pages_max);
}
