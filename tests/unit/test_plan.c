/* SPDX-License-Identifier: MIT */
/* plan/: question -> route, and the sentence for each that was not taken. */
#include <errno.h>
#include <string.h>

#include "lib/asked.h"
#include "lib/facts.h"
#include "plan/plan.h"
#include "tap.h"

/* --------------------------------------------- a table of routes of our own */

static const enum fact needs_tee[] = { FACT_TEE, FACT_NONE };

static bool fits_never(const struct query *q, struct fit *fit)
{
	(void)q;
	return route_refuse(fit, "is never in the mood");
}

static bool fits_sealed(const struct query *q, struct fit *fit)
{
	if (q->from->immutable)
		fit->guarantee = DECANT_STABLE;
	return route_note(fit, "a note of the route");
}

static bool fits_atomic(const struct query *q, struct fit *fit)
{
	(void)q;
	fit->atomic = true;
	fit->copies = 1;
	return true;
}

#define FILES ROUTE_KIND(DECANT_END_FILE)
#define SOCKETS ROUTE_KIND(DECANT_END_SOCKET)
#define PIPES ROUTE_KIND(DECANT_END_PIPE)

static const struct route fake_moody = { .ops = { .name = "moody" }, .from_kinds = FILES,
	.to_kinds = SOCKETS, .fits = fits_never, .copies = 0 };
static const struct route fake_live = { .ops = { .name = "live" }, .from_kinds = FILES | PIPES,
	.to_kinds = SOCKETS, .guarantee = DECANT_LIVE, .fits = fits_sealed,
	.snapshotted = "never" };
static const struct route fake_tee = { .ops = { .name = "tee" }, .from_kinds = FILES,
	.to_kinds = SOCKETS, .needs = needs_tee, .copies = 1, .fits = fits_atomic };
static const struct route fake_user = { .ops = { .name = "user" }, .from_kinds = FILES,
	.to_kinds = SOCKETS, .copies = 1, .user_space = true, .snapshotted = "when it was read" };
static const struct route fake_direct = { .ops = { .name = "direct" }, .from_kinds = FILES,
	.to_kinds = SOCKETS, .copies = 1, .past_cache = true };
static const struct route fake_twin_pipe = { .ops = { .name = "twin" }, .from_kinds = PIPES,
	.to_kinds = PIPES, .copies = 1 };
static const struct route fake_twin_file = { .ops = { .name = "twin" }, .from_kinds = FILES,
	.to_kinds = PIPES | SOCKETS, .copies = 2 };

static const struct route *const fakes[] = { &fake_moody, &fake_live, &fake_tee, &fake_user,
					     &fake_direct, &fake_twin_pipe, &fake_twin_file };
#define FAKES (sizeof(fakes) / sizeof(fakes[0]))

/* The same time for every size and both clocks. */
static struct cost flat(uint32_t ns)
{
	return (struct cost){ { ns, ns, ns, ns }, { ns, ns, ns, ns }, 0, 0 };
}

static struct cost_table *fake_costs(void)
{
	static struct cost_table t;
	static const uint32_t ns[FAKES] = { 10, 20, 30, 40, 50, 9999, 9999 };
	struct cost c;
	unsigned i;

	cost_init(&t, fakes, FAKES);
	for (i = 0; i < FAKES; i++) {
		c = flat(ns[i] * 1000);
		cost_set(&t, fakes[i]->ops.name, COST_FROM_FILE, COST_TO_TCP, &c);
	}
	return &t;
}

struct expectation {
	const char *name, *mask, *forced;
	const struct end *from, *to;
	uint32_t guarantee, flags, checksum;
	uint64_t exclude;
	const char *route;       /* NULL: refused */
	int code;
	const char *about, *why; /* a route among the refused, and words of its reason */
};

static const struct expectation expectations[] = {
	{ .name = "the cheapest that fits and keeps the promise", .from = &file, .to = &tcp,
	  .route = "tee", .about = "live", .why = "not stable: the kernel hands out the file's" },
	{ .name = "a route that says no", .from = &file, .to = &tcp, .route = "tee",
	  .about = "moody", .why = "is never in the mood" },
	{ .name = "LIVE allows more", .from = &file, .to = &tcp, .guarantee = DECANT_LIVE,
	  .route = "live", .about = "moody", .why = "is never in the mood" },
	{ .name = "a source that cannot change makes LIVE routes STABLE", .from = &sealed,
	  .to = &tcp, .route = "live" },
	{ .name = "a masked fact", .mask = "tee", .from = &file, .to = &tcp, .route = "user",
	  .about = "tee", .why = "needs tee: masked" },
	{ .name = "a checksum", .from = &file, .to = &tcp, .checksum = DECANT_CHECKSUM_XXH3,
	  .route = "user", .about = "tee", .why = "a checksum was asked for" },
	{ .name = "direct", .from = &file, .to = &tcp, .flags = DECANT_DIRECT, .route = "direct",
	  .about = "user", .why = "direct was asked for" },
	{ .name = "direct and a checksum", .from = &file, .to = &tcp, .flags = DECANT_DIRECT,
	  .checksum = DECANT_CHECKSUM_XXH3, .code = -ENOTSUP, .about = "direct",
	  .why = "a checksum was asked for" },
	{ .name = "a route that was tried", .from = &file, .to = &tcp, .exclude = 1 << 2,
	  .route = "user", .about = "tee", .why = "was tried on these ends" },
	{ .name = "forced, though it costs more", .forced = "user", .from = &file, .to = &tcp,
	  .route = "user", .about = "tee", .why = "fits, but another route was demanded" },
	{ .name = "forced and refused", .forced = "live", .from = &file, .to = &tcp,
	  .code = -ENOTSUP, .about = "live", .why = "not stable" },
	{ .name = "forced for other ends", .forced = "user", .from = &file, .to = &to_pipe,
	  .code = -ENOTSUP, .about = "user",
	  .why = "the sink is a pipe, this route needs a socket" },
	{ .name = "forced, one of two of this name", .forced = "twin", .from = &file,
	  .to = &to_pipe, .route = "twin" },
	{ .name = "forced, the other of two", .forced = "twin", .from = &from_pipe,
	  .to = &to_pipe, .route = "twin" },
	{ .name = "forced, there is none", .forced = "teleport", .from = &file, .to = &tcp,
	  .code = -EINVAL },
	{ .name = "nothing is for these ends", .from = &memory, .to = &to_null,
	  .code = -ENOTSUP, .about = "live",
	  .why = "the source is memory, this route needs a file or a pipe" },
	{ .name = "the only one, refused: a pipe", .from = &from_pipe, .to = &tcp,
	  .code = -ENOTSUP, .about = "live", .why = "what is in the pipe may be pages" },
	{ .name = "an end that is something else", .from = &wrong, .to = &tcp, .code = -EBADF },
};

static const struct decant_refusal *refusal(const struct decant_plan *p, const char *route)
{
	unsigned i;

	for (i = 0; i < p->refused_n; i++)
		if (strcmp(p->refused[i].route, route) == 0)
			return &p->refused[i];
	return NULL;
}

static void check_expectation(const struct expectation *x, const struct cost_table *costs)
{
	struct query q = asked(x->from, x->to, 64 * KIB);
	struct decant_plan plan = DECANT_PLAN_INIT;
	const struct route *full = NULL, *quick = NULL;
	const struct decant_refusal *ref;
	struct err err = { "" };

	q.caps = facts_masked(x->mask);
	q.guarantee = x->guarantee;
	q.flags = x->flags;
	q.checksum = x->checksum;
	q.exclude = x->exclude;
	is_int(plan_choose(&q, x->forced, costs, &plan, &full, &err), x->code, "%s: result",
	       x->name);
	is_str(full ? full->ops.name : NULL, x->route, "%s: route", x->name);
	is_int(plan_choose(&q, x->forced, costs, NULL, &quick, NULL), x->code,
	       "%s: the same result without texts", x->name);
	ok(quick == full, "%s: the same route without texts", x->name);
	if (x->code)
		ok(err.text[0], "%s: there is a sentence: %s", x->name, err.text);
	else
		is_str(plan.route, x->route, "%s: it is in the plan", x->name);
	if (x->about) {
		ref = refusal(&plan, x->about);
		ok(ref && strstr(ref->why, x->why), "%s: %s: %s", x->name, x->about,
		   ref ? ref->why : "(is not in the list)");
	}
	caps_destroy(q.caps);
}

static void test_expectations(void)
{
	const struct cost_table *costs = fake_costs();
	unsigned i;

	for (i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++)
		check_expectation(&expectations[i], costs);
}

/* -------------------------------------------------------------- by the cost */

static void test_costs(void)
{
	static struct cost_table t;
	struct cost user_costs = { { 1000, 9000, 90000, 900000 }, { 1, 1, 1, 1 }, 0, 0 };
	struct cost direct_costs = { { 5000, 8000, 80000, 800000 }, { 1, 1, 1, 1 }, 0, 0 };
	struct cost same = flat(500);
	struct query q;

	t = *fake_costs();
	cost_set(&t, "user", COST_FROM_FILE, COST_TO_TCP, &user_costs);
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP, &direct_costs);
	is_str(asked_choice(&t, asked(&file, &tcp, 4 * KIB), "tee"), "user", "small: the one or");
	is_str(asked_choice(&t, asked(&file, &tcp, 64 * KIB), "tee"), "direct", "large: the other");
	is_str(asked_choice(&t, asked(&file, &tcp, DECANT_TO_END), "tee"), "direct",
	       "unknown counts as large");
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP_LOCAL, &user_costs);
	cost_set(&t, "user", COST_FROM_FILE, COST_TO_TCP_LOCAL, &direct_costs);
	cost_set(&t, "twin", COST_FROM_FILE, COST_TO_TCP_LOCAL, &direct_costs);
	is_str(asked_choice(&t, asked(&file, &lo, 4 * KIB), "tee"), "direct",
	       "a local peer has its own costs");
	cost_set(&t, "user", COST_FROM_FILE, COST_TO_TCP, &same);
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP, &same);
	is_str(asked_choice(&t, asked(&file, &tcp, MIB), "tee"), "user", "ties go to the earlier");
	same = flat(480);
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP, &same);
	is_str(asked_choice(&t, asked(&file, &tcp, MIB), "tee"), "user",
	       "so does what is hardly cheaper");
	same = flat(460);
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP, &same);
	is_str(asked_choice(&t, asked(&file, &tcp, MIB), "tee"), "direct",
	       "but not what is cheaper");
	user_costs.cold_ns = 9000000;
	direct_costs.cold_ns = 1000000;
	user_costs.ns[2] = 1;
	cost_set(&t, "user", COST_FROM_FILE, COST_TO_TCP, &user_costs);
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP, &direct_costs);
	q = asked(&file, &tcp, MIB);
	is_str(asked_choice(&t, q, "tee"), "user", "hot: the one or");
	q.cold_permille = 1000;
	is_str(asked_choice(&t, q, "tee"), "direct", "cold: the other");
	q.cold_permille = 5;
	is_str(asked_choice(&t, q, "tee"), "user", "a little cold is hot");
}

static void test_better_first(void)
{
	struct query q = asked(&file, &tcp, 64 * KIB);
	struct decant_plan plan = DECANT_PLAN_INIT;
	static struct cost_table t;
	struct cost dear = flat(64000), cheap = flat(6400);
	const struct decant_refusal *ref;

	t = *fake_costs();
	cost_set(&t, "tee", COST_FROM_FILE, COST_TO_TCP, &dear);
	cost_set(&t, "direct", COST_FROM_FILE, COST_TO_TCP, &cheap);
	q.caps = facts_masked(NULL);
	need(plan_choose(&q, NULL, &t, &plan, NULL, NULL) == 0, "plan");
	is_str(plan.route, "direct", "the route");
	is_int(plan.refused_n, 4, "earlier routes are in the list, and no later ones");
	is_str(plan.refused[0].route, "moody", "fewest copies first");
	is_str(plan.refused[1].route, "live", "then by place");
	ref = refusal(&plan, "tee");
	is_str(ref ? ref->why : NULL,
	       "fits, but would cost more: 1000 ns/KiB (1000 of CPU) against 100 (100)",
	       "what fits is told by its cost");
	is_int(ref ? ref->copies : 99, 1, "with its copies");
	is_int(plan.cpu_ns, 6400, "the cost of the whole");
	q.flags = DECANT_DIRECT;
	q.checksum = DECANT_CHECKSUM_XXH3;
	need(plan_choose(&q, NULL, &t, &plan, NULL, NULL) == -ENOTSUP, "no plan");
	is_int(plan.refused_n, FAKES, "all are in the list when none fits");
	is_str(plan.refused[FAKES - 2].route, "twin", "more copies later");
	is_int(plan.refused[FAKES - 2].copies, 2, "that is, this one");
	is_str(plan.refused[FAKES - 1].route, "twin", "what is for other ends comes last");
	is_int(plan.refused[FAKES - 1].copies, 1, "that is, the other");
	caps_destroy(q.caps);
}

/* A route of fewer copies that is hardly cheaper, behind the one that is taken. */
static void test_tie(void)
{
	struct query q = asked(&file, &tcp, 64 * KIB);
	struct cost dear = flat(640000), one = flat(64000), other = flat(63000);
	struct decant_plan plan = DECANT_PLAN_INIT;
	const struct decant_refusal *ref;
	static struct cost_table t;
	unsigned i;

	cost_init(&t, route_table, route_table_n);
	for (i = 0; i < route_table_n; i++)
		cost_set(&t, route_table[i]->ops.name, COST_FROM_FILE, COST_TO_TCP, &dear);
	cost_set(&t, "map-send", COST_FROM_FILE, COST_TO_TCP, &one);
	cost_set(&t, "sendfile", COST_FROM_FILE, COST_TO_TCP, &other);
	q.guarantee = DECANT_LIVE;
	q.map_warm = true;
	q.caps = facts_masked(NULL);
	need(plan_choose(&q, NULL, &t, &plan, NULL, NULL) == 0, "plan");
	is_str(plan.route, "map-send", "a tie goes to the earlier");
	ref = refusal(&plan, "sendfile");
	ok(ref && strstr(ref->why, "would save too little to tell"), "and it says so: %s",
	   ref ? ref->why : "");
	caps_destroy(q.caps);
}

/* ---------------------------------------------------------------- sentences */

static struct decant_plan planned(struct query q, const char *forced, const struct cost_table *t)
{
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct err err = { "" };

	q.caps = facts_masked(NULL);
	ok(plan_choose(&q, forced, t, &plan, NULL, &err) == 0, "a plan: %s", err.text);
	caps_destroy(q.caps);
	return plan;
}

static void says_not(const char *text, const char *words)
{
	ok(!strstr(text, words), "\"%s\" has no \"%s\"", text, words);
}

static void test_sentences(void)
{
	const struct cost_table *t = fake_costs();
	static struct cost_table real;
	struct query q = asked(&file, &tcp, 64 * KIB);
	struct decant_plan p;

	q.guarantee = DECANT_LIVE;
	p = planned(q, "live", t);
	asked_says(p.note, "a note of the route");
	asked_says(p.note, "0 copies (the kernel may copy)");
	asked_says(p.note, "not of one instant");
	asked_says(p.delivered, "acknowledged by the peer's kernel");
	is_str(p.snapshotted, "never", "SNAPSHOTTED in the route's words");
	is_int(p.guarantee, DECANT_LIVE, "the guarantee that it gives");
	is_int(p.len, 64 * KIB, "the length");
	p = planned(asked(&file, &tcp, 64 * KIB), "tee", t);
	asked_says(p.note, "all bytes are of one instant");
	says_not(p.note, "0 copies");
	is_int(p.copies, 1, "copies as fits() corrected them");
	p = planned(asked(&file, &tcp, 4 * KIB), "user", t);
	says_not(p.note, "not of one instant");
	q = asked(&sealed, &lo, DECANT_TO_END);
	p = planned(q, "live", t);
	asked_says(p.note, "it is sealed");
	asked_says(p.note, "the peer is on this host");
	says_not(p.note, "not of one instant");
	ok(p.len == DECANT_TO_END && p.cpu_ns == 0, "no length, no cost");
	q.until = DECANT_UNTIL_SENT;
	p = planned(q, "live", t);
	asked_says(p.delivered, "not waited for");
	q = asked(&sealed, &tcp, 64 * KIB);
	cost_init(&real, route_table, route_table_n);
	p = planned(q, "sendfile", &real);
	asked_says(p.note, "kernel may copy");
	asked_says(p.note, "it is sealed");
	ok(!strstr(strstr(p.note, "kernel may copy") + 1, "kernel may copy"),
	   "what the route said is not said again: %s", p.note);
	p = planned(asked(&file, &to_null, MIB), NULL, &real);
	says_not(p.note, "kernel may copy");
	says_not(p.note, "not of one instant");
	p = planned(asked(&file, &to_pipe, 1), "twin", t);
	asked_says(p.delivered, "taken out of the pipe");
}

static void test_sinks(void)
{
	static struct cost_table t;
	struct query q = asked(&file, &to_file, MIB);

	cost_init(&t, route_table, route_table_n);
	asked_says(planned(q, NULL, &t).delivered, "not yet durable");
	q.flags = DECANT_SYNC;
	asked_says(planned(q, NULL, &t).delivered, "stable storage");
	asked_says(planned(asked(&file, &to_null, MIB), NULL, &t).delivered, "thrown away");
	asked_says(planned(asked(&file, &to_memory, MIB), NULL, &t).delivered, "in the memory");
	asked_says(planned(asked(&file, &unix_sock, MIB), NULL, &t).delivered, "taken by the peer");
	asked_says(planned(asked(&file, &to_other, MIB), NULL, &t).delivered, "written");
}

int main(void)
{
	test_expectations();
	test_costs();
	test_better_first();
	test_tie();
	test_sentences();
	test_sinks();
	return done();
}
