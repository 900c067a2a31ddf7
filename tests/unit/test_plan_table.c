/* SPDX-License-Identifier: MIT */
/* plan/ with the real table of routes: what is always there, what never, and how fast. */
#include <errno.h>

#include "lib/asked.h"
#include "lib/facts.h"
#include "lib/kit.h"
#include "plan/plan.h"
#include "tap.h"

/* Every pair of kinds has a route that keeps the default guarantee, masks or not. */
static void test_every_pair(const void *mask)
{
	static const struct end *const from[] = { &file, &sealed, &memory, &process, &from_pipe,
						  &from_tcp };
	static const struct end *const to[] = { &tcp, &lo, &blocking, &unix_sock, &to_pipe,
						&to_file, &to_null, &to_memory, &to_other };
	static struct cost_table t;
	unsigned i, j;

	cost_init(&t, route_table, route_table_n);
	for (i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		for (j = 0; j < sizeof(to) / sizeof(to[0]); j++)
			ok(asked_choice(&t, asked(from[i], to[j], MIB), mask), "from %s to %s",
			   end_noun(from[i]), end_noun(to[j]));
}

/* Under STABLE no route of a source that may change is one that hands out its pages. */
static void test_no_live(void)
{
	static struct cost_table t;
	struct query q = asked(&file, &tcp, MIB);
	struct decant_plan plan = DECANT_PLAN_INIT;
	const char *const live_names[] = { "sendfile", "splice" };
	unsigned i;

	cost_init(&t, route_table, route_table_n);
	q.caps = facts_masked(NULL);
	for (i = 0; i < 2; i++) {
		is_int(plan_choose(&q, live_names[i], &t, &plan, NULL, NULL), -ENOTSUP,
		       "%s is refused under STABLE", live_names[i]);
		q.guarantee = DECANT_LIVE;
		is_int(plan_choose(&q, live_names[i], &t, &plan, NULL, NULL), 0,
		       "control: %s is allowed under LIVE", live_names[i]);
		q.guarantee = DECANT_STABLE;
		q.from = &sealed;
		is_int(plan_choose(&q, live_names[i], &t, &plan, NULL, NULL), 0,
		       "%s is allowed for a sealed source", live_names[i]);
		is_int(plan.guarantee, DECANT_STABLE, "and is stable then");
		q.from = &file;
	}
	q.guarantee = DECANT_LIVE;
	q.to = &blocking;
	is_int(plan_choose(&q, "sendfile", &t, &plan, NULL, NULL), -ENOTSUP,
	       "a socket in blocking mode takes no sendfile");
	caps_destroy(q.caps);
}

/* A fact that is masked takes away the routes that stand on it. */
static void test_masks(void)
{
	static const struct {
		const char *mask, *route;
	} rows[] = {
		{ "send_zc", "map-zc" }, { "io_uring", "read-zc" }, { "msg_zerocopy", "map-msgzc" },
		{ "sendfile", "sendfile" }, { "splice", "splice" },
		{ "splice_direct", "direct-splice" },
	};
	static struct cost_table t;
	struct query q = asked(&file, &tcp, MIB);
	struct err err = { "" };
	unsigned i;

	cost_init(&t, route_table, route_table_n);
	q.guarantee = DECANT_LIVE;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		q.caps = facts_masked(NULL);
		is_int(plan_choose(&q, rows[i].route, &t, NULL, NULL, &err), 0, "%s fits: %s",
		       rows[i].route, err.text);
		caps_destroy(q.caps);
		q.caps = facts_masked(rows[i].mask);
		is_int(plan_choose(&q, rows[i].route, &t, NULL, NULL, &err), -ENOTSUP,
		       "%s does not without %s", rows[i].route, rows[i].mask);
		asked_says(err.text, "masked");
		caps_destroy(q.caps);
	}
}

static void test_speed(void)
{
	static struct cost_table t;
	struct query q = asked(&file, &tcp, 4 * KIB);
	const struct route *r;
	uint64_t best = UINT64_MAX, ns;
	unsigned i, k;

	cost_init(&t, route_table, route_table_n);
	q.caps = facts_masked(NULL);
	for (i = 0; i < 20; i++) {
		ns = kit_now_ns();
		for (k = 0; k < 1000; k++)
			(void)plan_choose(&q, NULL, &t, NULL, &r, NULL);
		ns = (kit_now_ns() - ns) / 1000;
		best = ns < best ? ns : best;
	}
	diag("a plan without texts: %ju ns", (uintmax_t)best);
	/* 200 is the aim; sanitizers and busy machines get some more. */
	ok(best < 5000, "a small transfer is planned in no time");
	caps_destroy(q.caps);
}

int main(void)
{
	tap_case_arg(test_every_pair, NULL, "every pair of ends has a stable route");
	tap_case_arg(test_every_pair,
		     "io_uring,msg_zerocopy,sendfile,splice,tee,vmsplice,copy_file_range,o_direct,"
		     "reflink,process_vm", "also with everything masked");
	test_no_live();
	test_masks();
	test_speed();
	return done();
}
