/* SPDX-License-Identifier: MIT */
/*
 * Does this route fit this query, and if not, why?
 * Not a comparison of routes: that is plan.c's.
 */
#ifndef PLAN_JUDGE_H
#define PLAN_JUDGE_H

#include "route/route.h"

enum judge_verdict {
	JUDGE_FITS,
	JUDGE_REFUSED,
	JUDGE_OTHER_ENDS, /* refused, for it is about other kinds of ends */
};

/*
 * index: the route's place in the table, for q->exclude.  fit->quiet is the
 * caller's; all else in *fit is set, why_not only when refused.
 */
enum judge_verdict judge_route(const struct route *r, unsigned index, const struct query *q,
			       struct fit *fit);

#endif
