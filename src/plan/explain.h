/* SPDX-License-Identifier: MIT */
/*
 * A plan's sentences for people.
 * Not a decision: all of them were made before.
 */
#ifndef PLAN_EXPLAIN_H
#define PLAN_EXPLAIN_H

#include "plan/cost.h"
#include "plan/judge.h"

/* What is known of one route after the choice. */
struct plan_row {
	enum judge_verdict verdict;
	struct fit fit;
	struct cost_estimate cost; /* where it fits */
};

/*
 * Fill in ret, all but its size.  chosen: index of the route, or -1: none fits.
 * forced: whether it was the caller's choice.
 */
void explain_plan(const struct query *q, const struct cost_table *costs,
		  const struct plan_row *rows, int chosen, bool forced, struct decant_plan *ret);

/* The row whose reason says most when none fits; -1 for an empty table. */
int explain_best_refusal(const struct cost_table *costs, const struct plan_row *rows,
			 const char *forced);

#endif
