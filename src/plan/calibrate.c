/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "plan/calibrate.h"
#include "plan/sides.h"
#include "sys/sys.h"

#define CALIBRATE_ROUNDS_MIN 3
#define CALIBRATE_ROUNDS_MAX 31
#define CALIBRATE_COLD COST_SIZES /* the place of cold samples, after the sizes */
#define CALIBRATE_CELLS (COST_SIZES + 1)

/* What matters most comes first: the time may not be enough for all. */
static const struct {
	enum cost_from from;
	enum cost_to to;
} calibrate_pairs[] = {
	{ COST_FROM_FILE, COST_TO_TCP_LOCAL },
	{ COST_FROM_FILE, COST_TO_FILE },
	{ COST_FROM_FILE, COST_TO_PIPE },
	{ COST_FROM_FILE, COST_TO_UNIX },
	{ COST_FROM_MEMORY, COST_TO_TCP_LOCAL },
	{ COST_FROM_MEMORY, COST_TO_FILE },
	{ COST_FROM_MEMORY, COST_TO_PIPE },
	{ COST_FROM_MEMORY, COST_TO_UNIX },
	{ COST_FROM_SOCKET, COST_TO_FILE },
	{ COST_FROM_PIPE, COST_TO_FILE },
	{ COST_FROM_PIPE, COST_TO_TCP_LOCAL },
	{ COST_FROM_PIPE, COST_TO_UNIX },
	{ COST_FROM_PIPE, COST_TO_PIPE },
	{ COST_FROM_SOCKET, COST_TO_PIPE },
	{ COST_FROM_SOCKET, COST_TO_TCP_LOCAL },
	{ COST_FROM_FILE, COST_TO_NULL },
	{ COST_FROM_FILE, COST_TO_MEMORY },
	{ COST_FROM_PROCESS, COST_TO_FILE },
	{ COST_FROM_PROCESS, COST_TO_TCP_LOCAL },
	{ COST_FROM_PROCESS, COST_TO_PIPE },
	{ COST_FROM_PIPE, COST_TO_NULL },
	{ COST_FROM_SOCKET, COST_TO_NULL },
	{ COST_FROM_PIPE, COST_TO_MEMORY },
	{ COST_FROM_SOCKET, COST_TO_MEMORY },
	{ COST_FROM_MEMORY, COST_TO_NULL },
};
#define CALIBRATE_PAIRS (sizeof(calibrate_pairs) / sizeof(calibrate_pairs[0]))

struct calibrate_cell {
	uint64_t ns[CALIBRATE_ROUNDS_MAX], cpu_ns[CALIBRATE_ROUNDS_MAX];
	unsigned n;
};

/* One route between the ends of this pair. */
struct calibrate_route {
	const char *name;
	bool fits;
	struct calibrate_cell cell[CALIBRATE_CELLS];
};

struct calibration {
	struct decant *d;
	struct cost_table *costs;
	const char *dir;
	struct sides sides;
	struct calibrate_route route[DECANT_ROUTES_MAX];
	unsigned routes_n;
};

static struct decant_transfer calibrate_transfer(const struct calibration *c, const char *route,
						 uint64_t len)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;

	t.from = sides_source(&c->sides);
	t.to = sides_sink(&c->sides);
	t.len = len;
	t.route = route;
	t.guarantee = DECANT_LIVE; /* all routes; nobody changes anything here */
	t.until = DECANT_UNTIL_SENT;
	return t;
}

/* Routes that fit; entries that share a name are one. */
static void calibrate_find_routes(struct calibration *c)
{
	struct decant_plan plan = DECANT_PLAN_INIT;
	struct calibrate_route *r;
	struct decant_transfer t;
	unsigned i, j;

	c->routes_n = 0;
	for (i = 0; i < c->costs->routes_n; i++) {
		r = &c->route[c->routes_n];
		memset(r, 0, sizeof(*r));
		r->name = c->costs->routes[i]->ops.name;
		for (j = 0; j < c->routes_n && strcmp(c->route[j].name, r->name) != 0;)
			j++;
		t = calibrate_transfer(c, r->name, SIDES_BYTES);
		r->fits = j == c->routes_n && decant_plan(c->d, &t, &plan) == 0;
		if (r->fits)
			c->routes_n++;
	}
}

/* The pair again, after a failure has left bytes where they do not belong. */
static int calibrate_reopen(struct calibration *c)
{
	enum cost_from from = c->sides.from;
	enum cost_to to = c->sides.to;

	sides_close(&c->sides);
	return sides_open(&c->sides, from, to, c->dir);
}

/* One transfer.  A route that fails here does not fit after all. */
static int calibrate_sample(struct calibration *c, struct calibrate_route *r, unsigned cell,
			    uint64_t len)
{
	struct decant_transfer t = calibrate_transfer(c, r->name, len);
	struct calibrate_cell *to = &r->cell[cell];
	uint64_t ns, cpu_ns; /* the latter may be a little less than nothing */
	int64_t moved;

	sides_begin(&c->sides, len);
	cpu_ns = sides_cpu_ns(&c->sides);
	ns = sys_clock_ns();
	moved = decant_move(c->d, &t, NULL);
	ns = sys_clock_ns() - ns;
	cpu_ns = sides_cpu_ns(&c->sides) - cpu_ns;
	if (moved < 0 || (uint64_t)moved != len) {
		r->fits = false;
		return calibrate_reopen(c);
	}
	if (sides_finish(&c->sides) < 0)
		return calibrate_reopen(c);
	to->ns[to->n] = ns;
	to->cpu_ns[to->n++] = (int64_t)cpu_ns > 0 ? cpu_ns : 0;
	return 0;
}

/* All routes in turn, so that a change of the machine's mood meets them all. */
static int calibrate_round(struct calibration *c, unsigned cell, uint64_t len)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < c->routes_n && r == 0; i++) {
		if (!c->route[i].fits)
			continue;
		if (cell == CALIBRATE_COLD && !sides_make_cold(&c->sides)) {
			r = calibrate_reopen(c);
			if (r < 0 || !sides_make_cold(&c->sides))
				return r;
		}
		r = calibrate_sample(c, &c->route[i], cell, len);
	}
	return r;
}

static int calibrate_rounds(struct calibration *c, unsigned cell, uint64_t len, uint64_t until_ns)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < CALIBRATE_ROUNDS_MAX; i++) {
		if (i >= CALIBRATE_ROUNDS_MIN && sys_clock_ns() >= until_ns)
			break;
		r = calibrate_round(c, cell, len);
	}
	return r;
}

static int calibrate_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint32_t calibrate_median(uint64_t *v, unsigned n, uint64_t divisor)
{
	uint64_t m;

	qsort(v, n, sizeof(*v), calibrate_compare);
	m = v[n / 2] / divisor;
	return (uint32_t)(m < 1 ? 1 : min_u64(m, COST_NS_MAX));
}

/* The route's row, if every size was measured. */
static void calibrate_keep(struct calibration *c, struct calibrate_route *r)
{
	struct calibrate_cell *cell;
	struct cost cost = { 0 };
	unsigned i;

	for (i = 0; i < COST_SIZES; i++) {
		cell = &r->cell[i];
		if (!cell->n)
			return;
		cost.ns[i] = calibrate_median(cell->ns, cell->n, 1);
		cost.cpu_ns[i] = calibrate_median(cell->cpu_ns, cell->n, 1);
	}
	cell = &r->cell[CALIBRATE_COLD];
	if (cell->n) {
		cost.cold_ns = calibrate_median(cell->ns, cell->n, SIDES_BYTES >> 20);
		cost.cold_cpu_ns = calibrate_median(cell->cpu_ns, cell->n, SIDES_BYTES >> 20);
	}
	(void)cost_set(c->costs, r->name, c->sides.from, c->sides.to, &cost);
}

/* All sizes of one pair; the numbers are kept only if none is missing. */
static int calibrate_pair(struct calibration *c, uint64_t until_ns)
{
	unsigned cells = c->sides.from == COST_FROM_FILE ? CALIBRATE_CELLS : COST_SIZES, i;
	uint64_t now, share;
	int r = 0;

	calibrate_find_routes(c);
	/* Once without counting: pipes, buffers and mappings are made. */
	r = calibrate_round(c, 0, cost_sizes[0]);
	for (i = 0; i < c->routes_n; i++)
		c->route[i].cell[0].n = 0;
	for (i = 0; i < cells && r == 0; i++) {
		now = sys_clock_ns();
		share = until_ns > now ? (until_ns - now) / (cells - i) : 0;
		r = calibrate_rounds(c, i, i == CALIBRATE_COLD ? SIDES_BYTES : cost_sizes[i],
				     now + share);
	}
	for (i = 0; i < c->routes_n && r == 0; i++)
		if (c->route[i].fits)
			calibrate_keep(c, &c->route[i]);
	return r;
}

static int calibrate_all(struct calibration *c, unsigned seconds_max, struct err *reterr)
{
	uint64_t now = sys_clock_ns(), end = now + seconds_max * 1000000000ull;
	unsigned i;
	int r = 0;

	for (i = 0; i < CALIBRATE_PAIRS && now < end && r == 0; i++) {
		r = sides_open(&c->sides, calibrate_pairs[i].from, calibrate_pairs[i].to, c->dir);
		if (r < 0)
			break;
		r = calibrate_pair(c, now + (end - now) / (CALIBRATE_PAIRS - i));
		sides_close(&c->sides);
		now = sys_clock_ns();
	}
	if (r < 0)
		return err_errno(reterr, r, "calibration: ends or their other sides");
	return 0;
}

int calibrate(struct decant *d, struct cost_table *costs, const char *dir, unsigned seconds_max,
	      struct err *reterr)
{
	_cleanup_free_ struct calibration *c = sys_calloc(1, sizeof(*c));
	const char *tmp = secure_getenv("TMPDIR");

	if (!c)
		return err_set(reterr, -ENOMEM, "calibration: no memory");
	c->d = d;
	c->costs = costs;
	c->dir = dir ? dir : tmp && tmp[0] == '/' ? tmp : "/tmp";
	c->sides.from_fd = c->sides.to_fd = -1;
	return calibrate_all(c, seconds_max, reterr);
}
