/* SPDX-License-Identifier: MIT */
/*
 * Measure what each route costs between two ends, by using it.
 * Not a benchmark: a few transfers of each kind, to tell routes apart.
 */
#ifndef API_MEASURE_H
#define API_MEASURE_H

#include "decant.h"
#include "plan/cost.h"

/*
 * Moves bytes with d, which must have nothing in flight, until about until_ns
 * (but a few times by each route in any case), with scratch files in dir.
 * Rows of *costs are replaced: those of all routes of this pair, or none.
 */
int measure_pair(struct decant *d, struct cost_table *costs, enum cost_from from, enum cost_to to,
		 const char *dir, uint64_t until_ns);

#endif
