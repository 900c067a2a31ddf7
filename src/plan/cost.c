/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/checked.h"
#include "plan/cost.h"

const uint64_t cost_sizes[COST_SIZES] = { 4u << 10, 64u << 10, 1u << 20, 16u << 20 };

/*
 * Time counts four times as much as CPU time: of two routes that take the same
 * time, the one that leaves more of the machine to others; but a tenth of the
 * time is not worth less than four tenths of the CPU.
 */
#define COST_WEIGHT_NS 4
#define COST_WEIGHT_CPU 1

/* A pair that nobody measured: by the route's copies. */
#define COST_GUESS_START_NS 2500
#define COST_GUESS_KIB_NS 60
#define COST_GUESS_COPY_KIB_NS 90
#define COST_GUESS_COLD_MIB_NS 1000000

static const char *const cost_from_names[COST_FROM_MAX] = {
	[COST_FROM_FILE] = "file",
	[COST_FROM_PIPE] = "pipe",
	[COST_FROM_SOCKET] = "socket",
	[COST_FROM_MEMORY] = "memory",
	[COST_FROM_PROCESS] = "process",
	[COST_FROM_OTHER] = "other",
};

static const char *const cost_to_names[COST_TO_MAX] = {
	[COST_TO_TCP] = "tcp",
	[COST_TO_TCP_LOCAL] = "tcp-local",
	[COST_TO_UNIX] = "unix",
	[COST_TO_PIPE] = "pipe",
	[COST_TO_FILE] = "file",
	[COST_TO_MEMORY] = "memory",
	[COST_TO_NULL] = "null",
	[COST_TO_OTHER] = "other",
};

const char *cost_from_name(enum cost_from from)
{
	return cost_from_names[from];
}

const char *cost_to_name(enum cost_to to)
{
	return cost_to_names[to];
}

enum cost_from cost_from_end(const struct end *e)
{
	switch (e->kind) {
	case DECANT_END_FILE:
		return COST_FROM_FILE;
	case DECANT_END_PIPE:
		return COST_FROM_PIPE;
	case DECANT_END_SOCKET:
		return COST_FROM_SOCKET;
	case DECANT_END_MEMORY:
		return COST_FROM_MEMORY;
	case DECANT_END_PROCESS:
		return COST_FROM_PROCESS;
	default:
		return COST_FROM_OTHER;
	}
}

enum cost_to cost_to_end(const struct end *e)
{
	switch (e->kind) {
	case DECANT_END_SOCKET:
		if (e->unix_stream)
			return COST_TO_UNIX;
		return e->local ? COST_TO_TCP_LOCAL : COST_TO_TCP;
	case DECANT_END_PIPE:
		return COST_TO_PIPE;
	case DECANT_END_FILE:
		return COST_TO_FILE;
	case DECANT_END_MEMORY:
		return COST_TO_MEMORY;
	case DECANT_END_NULL:
		return COST_TO_NULL;
	default:
		return COST_TO_OTHER;
	}
}

/* Rows that nobody measured, so that every lookup finds a number. */
static void cost_guess(struct cost *c, const struct route *r)
{
	uint64_t kib_ns = COST_GUESS_KIB_NS + (uint64_t)r->copies * COST_GUESS_COPY_KIB_NS;
	unsigned i;

	for (i = 0; i < COST_SIZES; i++) {
		c->ns[i] = (uint32_t)(COST_GUESS_START_NS + kib_ns * (cost_sizes[i] >> 10));
		c->cpu_ns[i] = c->ns[i];
	}
	c->cold_ns = COST_GUESS_COLD_MIB_NS;
	c->cold_cpu_ns = (uint32_t)(kib_ns << 10);
}

void cost_init(struct cost_table *t, const struct route *const *routes, unsigned routes_n)
{
	unsigned i, from, to;

	t->routes = routes;
	t->routes_n = routes_n < DECANT_ROUTES_MAX ? routes_n : DECANT_ROUTES_MAX;
	for (i = 0; i < t->routes_n; i++)
		for (from = 0; from < COST_FROM_MAX; from++)
			for (to = 0; to < COST_TO_MAX; to++)
				cost_guess(&t->row[i][from][to], routes[i]);
	for (i = 0; i < cost_defaults_n; i++)
		(void)cost_set(t, cost_defaults[i].route, cost_defaults[i].from,
			       cost_defaults[i].to, &cost_defaults[i].cost);
}

bool cost_set(struct cost_table *t, const char *route, enum cost_from from, enum cost_to to,
	      const struct cost *cost)
{
	bool found = false;
	unsigned i;

	for (i = 0; i < t->routes_n; i++) {
		if (strcmp(t->routes[i]->ops.name, route) != 0)
			continue;
		t->row[i][from][to] = *cost;
		found = true;
	}
	return found;
}

/* a * b / c, or UINT64_MAX. */
static uint64_t cost_scale(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 v = (unsigned __int128)a * b / c;

	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

/* On the line through the measured points. */
static uint64_t cost_at(const uint32_t ns[COST_SIZES], uint64_t len)
{
	const uint64_t last = cost_sizes[COST_SIZES - 1];
	unsigned i;
	int64_t rise;

	if (len <= cost_sizes[0])
		return ns[0];
	if (len >= last)
		return cost_scale(ns[COST_SIZES - 1], len, last);
	for (i = 0; len > cost_sizes[i + 1];)
		i++;
	rise = (int64_t)ns[i + 1] - ns[i];
	/* At most 2^32 * 2^24: no overflow. */
	return (uint64_t)(ns[i] + rise * (int64_t)(len - cost_sizes[i]) /
					  (int64_t)(cost_sizes[i + 1] - cost_sizes[i]));
}

static uint64_t cost_mixed(const uint32_t ns[COST_SIZES], uint32_t cold_ns_mib, uint64_t len,
			   uint32_t cold_permille)
{
	uint64_t hot = cost_at(ns, len), cold;

	if (!cold_permille || !cold_ns_mib)
		return hot;
	cold = max_u64(cost_scale(cold_ns_mib, len, 1u << 20), ns[0]);
	return saturating_add(cost_scale(hot, 1000 - cold_permille, 1000),
			      cost_scale(cold, cold_permille, 1000));
}

static void cost_score(struct cost_estimate *c)
{
	c->score = (c->ns | c->cpu_ns) >> 60 ?
		   UINT64_MAX : c->ns * COST_WEIGHT_NS + c->cpu_ns * COST_WEIGHT_CPU;
}

void cost_estimate(const struct cost_table *t, unsigned route, enum cost_from from,
		   enum cost_to to, uint64_t len, uint32_t cold_permille,
		   struct cost_estimate *ret)
{
	const struct cost *c = &t->row[route][from][to];

	if (cold_permille > 1000)
		cold_permille = 1000;
	ret->ns = cost_mixed(c->ns, c->cold_ns, len, cold_permille);
	ret->cpu_ns = cost_mixed(c->cpu_ns, c->cold_cpu_ns, len, cold_permille);
	cost_score(ret);
}

void cost_add_write_back(struct cost_estimate *c, uint64_t len)
{
	c->ns = saturating_add(c->ns, cost_scale(len, COST_WRITE_BACK_NS_KIB, 1024));
	cost_score(c);
}

void cost_add_fresh_map(struct cost_estimate *c, uint64_t len)
{
	uint64_t ns = cost_scale(len, COST_FRESH_MAP_NS_KIB, 1024);

	c->ns = saturating_add(c->ns, ns);
	c->cpu_ns = saturating_add(c->cpu_ns, ns);
	cost_score(c);
}
