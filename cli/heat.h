/* SPDX-License-Identifier: MIT */
/*
 * A heat map, being gathered: how many pages were written at which time and
 * where.  Memory is bounded, whatever the time and the process: time and
 * addresses become coarser as they grow.  Not its picture: heat_svg.h.
 */
#ifndef CLI_HEAT_H
#define CLI_HEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decant.h"

#define HEAT_COLUMNS_MAX 160     /* twice as many are made one by two */
#define HEAT_BINS_MAX 64         /* of a lane, in the beginning of its address range */
#define HEAT_LANES_MAX 4000      /* mappings told apart; the rest shares one */

/* A mapping, as long as it has one name and its addresses overlap. */
struct heat_lane {
	char *name;
	uint64_t start, end;
	unsigned shift;          /* a bin is 1 << shift bytes of addresses */
	uint64_t pages;          /* written, all the time */
	bool rest;               /* not one mapping, but all for which there was no lane */
};

struct heat_cell {
	uint32_t lane;
	uint64_t bin;            /* address >> shift of its lane */
	uint64_t pages;
};

struct heat_column {
	uint64_t begin_ns, end_ns;
	uint64_t pages;
	struct heat_cell *cells; /* by lane and bin */
	size_t n, size;
};

struct heat {
	struct heat_lane *lanes; /* in the order in which they were seen */
	size_t lanes_n, lanes_size;
	struct heat_column columns[2 * HEAT_COLUMNS_MAX];
	size_t columns_n;
	unsigned fold;           /* intervals of a column */
	unsigned filled;         /* of the last one */
	int error;               /* sticks: -ENOMEM */
};

#define HEAT_INIT { .fold = 1 }

void heat_free(struct heat *h);
/* One interval more. */
void heat_add(struct heat *h, const struct decant_dirty_interval *i);

#endif
