/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include <errno.h>
#include <string.h>

#include "plan/expect.h"
#include "plan/explain.h"
#include "plan/judge.h"

_Static_assert(DECANT_ROUTES_MAX <= 64, "query.exclude has one bit per route");

/* The pair of ends and the length, as the cost table wants them. */
struct plan_key {
	enum cost_from from;
	enum cost_to to;
	uint64_t len;
};

static void plan_key_init(struct plan_key *k, const struct query *q)
{
	k->from = cost_from_end(q->from);
	k->to = cost_to_end(q->to);
	k->len = plan_expect(q);
}

static bool plan_allowed(const struct route *r, const char *forced)
{
	return !forced || strcmp(r->ops.name, forced) == 0;
}

static bool plan_known(const struct cost_table *costs, const char *name)
{
	unsigned i;

	for (i = 0; i < costs->routes_n; i++)
		if (strcmp(costs->routes[i]->ops.name, name) == 0)
			return true;
	return false;
}

static int plan_check_end(const struct end *e, struct err *reterr)
{
	if (!e->wrong)
		return 0;
	return err_set(reterr, e->wrong_errno, "%s: %s",
		       e->side == END_SOURCE ? "source" : "sink", e->wrong);
}

static void plan_cost(const struct query *q, const struct cost_table *costs, unsigned i,
		      const struct plan_key *key, struct cost_estimate *ret)
{
	cost_estimate(costs, i, key->from, key->to, key->len, q->cold_permille, ret);
	if (costs->routes[i]->maps && !q->map_warm)
		cost_add_fresh_map(ret, key->len);
	if ((q->flags & DECANT_SYNC) && q->to->kind == DECANT_END_FILE &&
	    costs->routes[i]->copies > 0)
		cost_add_write_back(ret, key->len);
}

/*
 * By more than the measurements can tell apart: within a sixteenth, the place
 * in the table decides.
 */
static bool plan_cheaper(uint64_t score, uint64_t than)
{
	return score < than - than / 16;
}

/* Index of the route, or -1.  No texts, no memory of those that do not fit. */
static int plan_quick(const struct query *q, const char *forced, const struct cost_table *costs)
{
	struct cost_estimate cost;
	uint64_t best_score = 0;
	struct plan_key key;
	int best = -1;
	struct fit fit;
	unsigned i;

	fit.quiet = true;
	plan_key_init(&key, q);
	for (i = 0; i < costs->routes_n; i++) {
		if (!plan_allowed(costs->routes[i], forced) ||
		    judge_route(costs->routes[i], i, q, &fit) != JUDGE_FITS)
			continue;
		plan_cost(q, costs, i, &key, &cost);
		if (best >= 0 && !plan_cheaper(cost.score, best_score))
			continue;
		best = (int)i;
		best_score = cost.score;
	}
	return best;
}

/* The same choice, with all that is to be said about the others. */
static int plan_full(const struct query *q, const char *forced, const struct cost_table *costs,
		     struct plan_row *rows)
{
	struct plan_key key;
	int best = -1;
	unsigned i;

	plan_key_init(&key, q);
	for (i = 0; i < costs->routes_n; i++) {
		rows[i].fit.quiet = false;
		rows[i].verdict = judge_route(costs->routes[i], i, q, &rows[i].fit);
		if (rows[i].verdict != JUDGE_FITS)
			continue;
		plan_cost(q, costs, i, &key, &rows[i].cost);
		if (!plan_allowed(costs->routes[i], forced))
			continue;
		if (best < 0 || plan_cheaper(rows[i].cost.score, rows[best].cost.score))
			best = (int)i;
	}
	return best;
}

static int plan_refuse(const struct query *q, const char *forced, const struct cost_table *costs,
		       const struct plan_row *rows, struct err *reterr)
{
	int i = explain_best_refusal(costs, rows, forced);

	if (i < 0)
		return err_set(reterr, -ENOTSUP, "no route: there are none");
	if (forced)
		return err_set(reterr, -ENOTSUP, "route %s: %s", forced, rows[i].fit.why_not);
	return err_set(reterr, -ENOTSUP, "no route from %s to %s; %s: %s", end_noun(q->from),
		       end_noun(q->to), costs->routes[i]->ops.name, rows[i].fit.why_not);
}

int plan_choose(const struct query *q, const char *forced, const struct cost_table *costs,
		struct decant_plan *ret, const struct route **ret_route, struct err *reterr)
{
	struct plan_row rows[DECANT_ROUTES_MAX];
	int best, r;

	r = plan_check_end(q->from, reterr);
	if (r == 0)
		r = plan_check_end(q->to, reterr);
	if (r < 0)
		return r;
	if (forced && !plan_known(costs, forced))
		return err_set(reterr, -EINVAL, "route \"%.32s\": there is none of this name",
			       forced);
	best = ret ? -1 : plan_quick(q, forced, costs);
	if (best < 0) {
		best = plan_full(q, forced, costs, rows);
		if (ret)
			explain_plan(q, costs, rows, best, forced != NULL, ret);
	}
	if (best < 0)
		return plan_refuse(q, forced, costs, rows, reterr);
	if (ret_route)
		*ret_route = costs->routes[best];
	return 0;
}
