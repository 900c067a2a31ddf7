/* SPDX-License-Identifier: MIT */
/* The cases: what is moved from where to where, how much, how many at once. */
#include <string.h>

#include "bench.h"

struct cases {
	struct bench_case *all;
	unsigned n, max;
	bool quick;
};

static const struct {
	uint64_t bytes;
	const char *name;
	unsigned transfers; /* in one sample, one at a time */
} cases_sizes[] = {
	{ 4 * KIB, "4 KiB", 2048 },
	{ 64 * KIB, "64 KiB", 512 },
	{ MIB, "1 MiB", 64 },
	{ GIB, "1 GiB", 1 },
};
#define CASES_SIZES (sizeof(cases_sizes) / sizeof(cases_sizes[0]))
#define CASES_GIB 3 /* the last one */

static struct bench_case *cases_new(struct cases *cs, const char *what, unsigned size,
				    unsigned at_once)
{
	struct bench_case *c;
	unsigned transfers = cases_sizes[size].transfers;

	if (cs->n == cs->max)
		bench_die("too many cases");
	c = &cs->all[cs->n++];
	memset(c, 0, sizeof(*c));
	c->piece = cases_sizes[size].bytes;
	c->at_once = at_once;
	c->repeat = transfers > 4 * at_once ? transfers / at_once : 4;
	c->rounds = cs->quick ? 5 : 9;
	c->limit_s = cs->quick ? 3 : 6;
	/* So many times 1 GiB is not kept in memory: one file, in pieces. */
	if (size == CASES_GIB) {
		c->repeat = 1;
		c->split = at_once > 1;
		c->piece /= at_once;
		c->limit_s = cs->quick ? 5 : 14;
	}
	if (at_once == 1)
		snprintf(c->name, sizeof(c->name), "%s %s", what, cases_sizes[size].name);
	else
		snprintf(c->name, sizeof(c->name), "%s %s, %u at once", what,
			 cases_sizes[size].name, at_once);
	return c;
}

static void cases_to_tcp(struct cases *cs)
{
	static const unsigned at_once[] = { 1, 16, 256 };

	for (unsigned a = 0; a < 3; a++) {
		for (unsigned i = 0; i < CASES_SIZES; i++) {
			struct bench_case *c;

			if (cs->quick && (a == 2 || (a == 1 && i != 2)))
				continue;
			cases_new(cs, "file-tcp hot ext4", i, at_once[a]);
			if (!cs->quick || (i == 2 && a == 0))
				cases_new(cs, "file-tcp hot tmpfs", i, at_once[a])->tmpfs = true;
			if (cs->quick && (i != 2 || a != 0))
				continue;
			c = cases_new(cs, "file-tcp cold ext4", i, at_once[a]);
			c->cold = true;
			/* Each transfer has a file of its own. */
			if (c->repeat > 1)
				c->repeat = a == 0 ? 64 : a == 1 ? 8 : 1;
		}
	}
}

static void cases_to_others(struct cases *cs)
{
	for (unsigned i = 0; i < CASES_SIZES; i++) {
		if (cs->quick && i != 2)
			continue;
		cases_new(cs, "file-tcp hot ext4, sleeping receiver", i, 1)->sleeping = true;
		cases_new(cs, "file-unix hot ext4", i, 1)->to = SINK_UNIX;
		cases_new(cs, "file-pipe hot ext4", i, 1)->to = SINK_PIPE;
		cases_new(cs, "memory-tcp", i, 1)->from_memory = true;
	}
}

static void cases_to_files(struct cases *cs)
{
	struct bench_case *c;

	c = cases_new(cs, "memory-file O_DIRECT", CASES_GIB, 1);
	c->from_memory = c->direct = true;
	c->to = SINK_FILE;
	c->rounds = cs->quick ? 3 : 7;
	c->limit_s = cs->quick ? 10 : 30;
	c = cases_new(cs, "file-file cold", CASES_GIB, 1);
	c->cold = true;
	c->to = SINK_FILE;
	c->rounds = cs->quick ? 2 : 7;
	c->limit_s = cs->quick ? 15 : 45;
	if (cs->quick)
		return;
	c = cases_new(cs, "file-file cold, durable", CASES_GIB, 1);
	c->cold = c->durable = true;
	c->to = SINK_FILE;
	c->rounds = 5;
	c->limit_s = 45;
}

unsigned cases_all(struct bench_case *ret, unsigned max, bool quick)
{
	struct cases cs = { .all = ret, .max = max, .quick = quick };

	cases_to_tcp(&cs);
	cases_to_others(&cs);
	cases_to_files(&cs);
	return cs.n;
}
