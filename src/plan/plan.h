/* SPDX-License-Identifier: MIT */
/*
 * Choose a route: of those that fit and keep what was promised, the one that
 * is expected to cost least.  Pure: no system call is made, but for facts that
 * caps asks about at their first use.
 * Not a measurement: see cost.h for the numbers, residency.h for what is hot.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "base/err.h"
#include "decant.h"
#include "plan/cost.h"
#include "route/route.h"

/*
 * The route for q, of the table's routes.  forced: the only name that is
 * allowed, or NULL.  Costs within a sixteenth are a tie, which goes to the
 * earlier one.
 *
 * ret (but for its size) is filled in also when nothing fits: ret->refused then
 * holds every reason, else those of the better routes (fewer copies, or earlier
 * in the table), better first; those for other kinds of ends come last.  NULL:
 * no texts, which takes some 100 ns in all.  ret_route may be NULL.
 *
 * -ENOTSUP: none fits; -EINVAL: no route of that name, or an end is not what it
 * was said to be (-EBADF where it is closed).
 */
int plan_choose(const struct query *q, const char *forced, const struct cost_table *costs,
		struct decant_plan *ret, const struct route **ret_route, struct err *reterr);

#endif
