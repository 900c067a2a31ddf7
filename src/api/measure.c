/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/measure.h"
#include "api/sides.h"
#include "base/checked.h"
#include "sys/sys.h"

#define MEASURE_ROUNDS_MIN 3
#define MEASURE_ROUNDS_MAX 31
#define MEASURE_BURST_MAX 32
#define MEASURE_BURST_BYTES (2u << 20)
#define MEASURE_COLD COST_SIZES /* the place of cold samples, after the sizes */
#define MEASURE_CELLS (COST_SIZES + 1)

struct measure_cell {
	uint64_t ns[MEASURE_ROUNDS_MAX], cpu_ns[MEASURE_ROUNDS_MAX];
	unsigned n;
};

/* One route between the ends of this pair. */
struct measure_route {
	const char *name;
	bool fits;
	struct measure_cell cell[MEASURE_CELLS];
};

struct measurement {
	struct decant *d;
	struct cost_table *costs;
	const char *dir;
	struct sides sides;
	struct measure_route route[DECANT_ROUTES_MAX];
	unsigned routes_n;
};

static struct decant_transfer measure_transfer(const struct measurement *c, const char *route,
					       uint64_t at, uint64_t len)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;

	t.from = sides_source(&c->sides, at);
	t.to = sides_sink(&c->sides, at);
	t.len = len;
	t.route = route;
	t.guarantee = DECANT_LIVE; /* all routes; nobody changes anything here */
	t.until = DECANT_UNTIL_SENT;
	return t;
}

/* Routes that fit; entries that share a name are one. */
static void measure_find_routes(struct measurement *c)
{
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct measure_route *r;
	struct decant_transfer t;
	unsigned i, j;

	c->routes_n = 0;
	for (i = 0; i < c->costs->routes_n; i++) {
		r = &c->route[c->routes_n];
		memset(r, 0, sizeof(*r));
		r->name = c->costs->routes[i]->ops.name;
		for (j = 0; j < c->routes_n && strcmp(c->route[j].name, r->name) != 0;)
			j++;
		t = measure_transfer(c, r->name, 0, SIDES_BYTES);
		r->fits = j == c->routes_n && decant_plan(c->d, &t, &plan) == 0;
		if (r->fits)
			c->routes_n++;
	}
}

/* The pair again, after a failure has left bytes where they do not belong. */
static int measure_reopen(struct measurement *c)
{
	enum cost_from from = c->sides.from;
	enum cost_to to = c->sides.to;

	sides_close(&c->sides);
	return sides_open(&c->sides, from, to, c->dir);
}

/* So many transfers, one after the other; false when one fails. */
static bool measure_move(struct measurement *c, const char *route, uint64_t len, unsigned n)
{
	struct decant_transfer t;
	bool good = true;
	unsigned i;

	for (i = 0; i < n && good; i++) {
		t = measure_transfer(c, route, i * len, len);
		good = decant_move(c->d, &t, NULL) == (int64_t)len;
	}
	return good;
}

/*
 * A burst of transfers, for a single small one measures how long the other
 * side takes to wake up.  A route that fails here does not fit after all.
 */
static int measure_sample(struct measurement *c, struct measure_route *r, unsigned cell,
			  uint64_t len)
{
	unsigned n = (unsigned)max_u64(1, min_u64(MEASURE_BURST_MAX, MEASURE_BURST_BYTES / len));
	struct measure_cell *to = &r->cell[cell];
	uint64_t ns, cpu_ns; /* the latter may be a little less than nothing */
	bool good;

	sides_begin(&c->sides, n * len);
	cpu_ns = sides_cpu_ns(&c->sides);
	ns = sys_clock_ns();
	good = measure_move(c, r->name, len, n);
	ns = sys_clock_ns() - ns;
	cpu_ns = sides_cpu_ns(&c->sides) - cpu_ns;
	if (!good) {
		r->fits = false;
		return measure_reopen(c);
	}
	if (sides_finish(&c->sides) < 0)
		return measure_reopen(c);
	to->ns[to->n] = ns / n;
	to->cpu_ns[to->n++] = (int64_t)cpu_ns > 0 ? cpu_ns / n : 0;
	return 0;
}

/* All routes in turn, so that a change of the machine's mood meets them all. */
static int measure_round(struct measurement *c, unsigned cell, uint64_t len)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < c->routes_n && r == 0; i++) {
		if (!c->route[i].fits)
			continue;
		if (cell == MEASURE_COLD && !sides_make_cold(&c->sides)) {
			r = measure_reopen(c);
			if (r < 0 || !sides_make_cold(&c->sides))
				return r;
		}
		r = measure_sample(c, &c->route[i], cell, len);
	}
	return r;
}

static int measure_rounds(struct measurement *c, unsigned cell, uint64_t len, uint64_t until_ns)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < MEASURE_ROUNDS_MAX; i++) {
		if (i >= MEASURE_ROUNDS_MIN && sys_clock_ns() >= until_ns)
			break;
		r = measure_round(c, cell, len);
	}
	return r;
}

static int measure_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The value that this part of all values is below: 2 for half, 4 for a quarter. */
static uint32_t measure_quantile(uint64_t *v, unsigned n, unsigned part, uint64_t divisor)
{
	uint64_t m;

	qsort(v, n, sizeof(*v), measure_compare);
	m = v[n / part] / divisor;
	return (uint32_t)(m < 1 ? 1 : min_u64(m, COST_NS_MAX));
}

/*
 * The route's row, if every size was measured.  Who else runs makes a transfer
 * take longer but never shorter: a quarter.  CPU time is charged now to us, now
 * to the other side: the median.
 */
static void measure_keep(struct measurement *c, struct measure_route *r)
{
	struct measure_cell *cell;
	struct cost cost = { 0 };
	unsigned i;

	for (i = 0; i < COST_SIZES; i++) {
		cell = &r->cell[i];
		if (!cell->n)
			return;
		cost.ns[i] = measure_quantile(cell->ns, cell->n, 4, 1);
		cost.cpu_ns[i] = measure_quantile(cell->cpu_ns, cell->n, 2, 1);
	}
	cell = &r->cell[MEASURE_COLD];
	if (cell->n) {
		cost.cold_ns = measure_quantile(cell->ns, cell->n, 4, SIDES_BYTES >> 20);
		cost.cold_cpu_ns = measure_quantile(cell->cpu_ns, cell->n, 2, SIDES_BYTES >> 20);
	}
	(void)cost_set(c->costs, r->name, c->sides.from, c->sides.to, &cost);
}

/* All sizes of one pair; the numbers are kept only if none is missing. */
static int measure_all(struct measurement *c, uint64_t until_ns)
{
	unsigned cells = c->sides.from == COST_FROM_FILE ? MEASURE_CELLS : COST_SIZES, i;
	uint64_t now, share;
	int r = 0;

	measure_find_routes(c);
	/* Once without counting: pipes, buffers and mappings are made. */
	r = measure_round(c, 0, cost_sizes[0]);
	for (i = 0; i < c->routes_n; i++)
		c->route[i].cell[0].n = 0;
	for (i = 0; i < cells && r == 0; i++) {
		now = sys_clock_ns();
		share = until_ns > now ? (until_ns - now) / (cells - i) : 0;
		r = measure_rounds(c, i, i == MEASURE_COLD ? SIDES_BYTES : cost_sizes[i],
				     now + share);
	}
	for (i = 0; i < c->routes_n && r == 0; i++)
		if (c->route[i].fits)
			measure_keep(c, &c->route[i]);
	return r;
}

int measure_pair(struct decant *d, struct cost_table *costs, enum cost_from from, enum cost_to to,
		 const char *dir, uint64_t until_ns)
{
	_cleanup_free_ struct measurement *c = sys_calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->d = d;
	c->costs = costs;
	c->dir = dir;
	r = sides_open(&c->sides, from, to, dir);
	if (r < 0)
		return r;
	r = measure_all(c, until_ns);
	sides_close(&c->sides);
	return r;
}
