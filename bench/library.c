/* SPDX-License-Identifier: MIT */
/*
 * decant itself, through its public header only: the planner's choice, and each
 * route that it was allowed, forced.
 */
#include <decant.h>
#include <errno.h>
#include <string.h>

#include "bench.h"

static struct decant *library;
static bool library_used;

/* How a mover uses the library. */
enum library_how {
	LIBRARY_MOVE,   /* decant_move(), one after the other */
	LIBRARY_SUBMIT, /* decant_submit() for all that are at once, decant_wait() */
};

struct library_use {
	enum library_how how;
	uint32_t guarantee;
	const char *route;
};

static struct library_use library_uses[BENCH_MOVERS_MAX];

void library_start(void)
{
	struct decant_options o = DECANT_OPTIONS_INIT;
	int r;

	o.cost_file = ""; /* as shipped: nothing that an earlier run left behind */
	r = decant_open(&library, &o);
	if (r < 0)
		bench_die("decant_open: %s", strerror(-r));
}

void library_stop(void)
{
	decant_close(library);
}

void library_restart(void)
{
	if (!library_used)
		return;
	library_stop();
	library_start();
	library_used = false;
}

const char *library_version(void)
{
	return decant_version();
}

static void library_transfer(struct decant_transfer *t, const struct setting *s,
			     const struct library_use *u, unsigned k)
{
	const struct bench_case *c = s->c;
	int to = s->to[k % c->at_once];

	*t = (struct decant_transfer)DECANT_TRANSFER_INIT;
	if (c->from_memory)
		t->from = decant_memory(s->memory, c->piece);
	else
		t->from = decant_file(s->from[case_file(s, k)], case_offset(c, k));
	switch (c->to) {
	case SINK_PIPE: t->to = decant_pipe(to); break;
	case SINK_FILE: t->to = decant_file(to, 0); break;
	default:        t->to = decant_socket(to); break;
	}
	t->len = c->piece;
	t->guarantee = u->guarantee;
	t->route = u->route;
	/* As the loops: over when the kernel has it. */
	t->until = DECANT_UNTIL_SENT;
	if (c->direct)
		t->flags |= DECANT_DIRECT;
	if (c->durable) {
		t->flags |= DECANT_SYNC;
		t->until = DECANT_UNTIL_DELIVERED;
	}
}

static int library_move(struct setting *s, const struct library_use *u, struct sample *ret)
{
	for (unsigned k = 0; k < case_transfers(s->c); k++) {
		struct decant_transfer t;
		struct decant_event end;
		int64_t n;

		library_transfer(&t, s, u, k);
		n = decant_move(library, &t, &end);
		if (n < 0) {
			fprintf(stderr, "\n  %s", decant_strerror(library));
			return (int)n;
		}
		if (k == 0)
			memcpy(ret->route, end.route, sizeof(ret->route));
	}
	return 0;
}

/* Take events until n transfers have ended. */
static int library_collect(unsigned n, const double *submitted, double *snapshots,
			   struct sample *ret)
{
	struct decant_event events[16];
	int error = 0;

	while (n > 0) {
		int got = decant_wait(library, events, 16, 60000);

		if (got <= 0)
			return got < 0 ? got : -ETIMEDOUT;
		for (int i = 0; i < got; i++) {
			const struct decant_event *e = &events[i];

			if (e->type == DECANT_SNAPSHOTTED)
				*snapshots += (double)e->time_ns / 1e9 - submitted[e->user_data];
			if (e->type != DECANT_ENDED)
				continue;
			n--;
			memcpy(ret->route, e->route, sizeof(ret->route));
			if (e->error < 0 && error == 0) {
				error = e->error;
				fprintf(stderr, "\n  %s", e->message);
			}
		}
	}
	return error;
}

static int library_submit(struct setting *s, const struct library_use *u, struct sample *ret)
{
	const struct bench_case *c = s->c;
	double submitted[BENCH_AT_ONCE_MAX], snapshots = 0;

	for (unsigned r = 0; r < c->repeat; r++) {
		int error;

		for (unsigned i = 0; i < c->at_once; i++) {
			struct decant_transfer t;
			int64_t id;

			library_transfer(&t, s, u, r * c->at_once + i);
			t.user_data = i;
			submitted[i] = bench_now();
			id = decant_submit(library, &t);
			if (id < 0) {
				fprintf(stderr, "\n  %s", decant_strerror(library));
				return (int)id;
			}
		}
		error = library_collect(c->at_once, submitted, &snapshots, ret);
		if (error < 0)
			return error;
	}
	ret->snapshot_s = snapshots / case_transfers(c);
	return 0;
}

static int library_run(struct setting *s, const struct mover *m, struct sample *ret)
{
	const struct library_use *u = m->arg;

	library_used = true;
	return u->how == LIBRARY_MOVE ? library_move(s, u, ret) : library_submit(s, u, ret);
}

static void library_mover(struct movers *ms, const char *kind, const char *name,
			  enum library_how how, uint32_t guarantee, const char *route)
{
	struct library_use *u = &library_uses[ms->n];
	struct mover *m = movers_new(ms, kind, name);

	*u = (struct library_use){ how, guarantee, route };
	m->run = library_run;
	m->arg = u;
}

/* Every route that may be forced here. */
static void library_routes(struct movers *ms, struct setting *s, enum library_how how)
{
	const char *const *all = decant_routes();
	struct library_use u = { how, DECANT_STABLE, NULL };

	ends_sample(s, &ms->m[0]);
	for (unsigned i = 0; all[i]; i++) {
		struct decant_plan plan = DECANT_PLAN_INIT;
		struct decant_transfer t;
		bool seen = false;
		char name[40];

		for (unsigned k = 0; k < i; k++)
			seen = seen || strcmp(all[k], all[i]) == 0;
		u.route = all[i];
		library_transfer(&t, s, &u, 0);
		if (seen || decant_plan(library, &t, &plan) < 0)
			continue;
		snprintf(name, sizeof(name), "route %s", all[i]);
		library_mover(ms, "route", name, how, DECANT_STABLE, all[i]);
	}
	ends_sample_over(s);
}

void library_add(struct movers *ms, struct setting *s)
{
	enum library_how how = s->c->at_once == 1 ? LIBRARY_MOVE : LIBRARY_SUBMIT;

	library_mover(ms, "decant", "decant", how, DECANT_STABLE, NULL);
	if (how == LIBRARY_MOVE)
		library_mover(ms, "decant", "decant submit", LIBRARY_SUBMIT, DECANT_STABLE, NULL);
	if (!s->c->cold && !s->c->from_memory && s->c->to != SINK_FILE)
		library_mover(ms, "decant", "decant live", how, DECANT_LIVE, NULL);
	library_routes(ms, s, how);
}
