/* SPDX-License-Identifier: MIT */
/* The Range field: which bytes of so many.  Not whether it counts: condition.h.  Pure. */
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include <stdint.h>

#include "serve/span.h"

#define RANGES_MAX 32

struct range {
	uint64_t start, end;   /* end: the first byte that is not in it */
};

enum ranges {
	RANGES_ALL,       /* no Range that we understand: everything */
	RANGES_SOME,
	RANGES_NOTHING,   /* 416 */
};

/*
 * *ret_n ranges, none empty, none overlapping or touching another: such ones
 * are merged where the first of them stood.  More than RANGES_MAX is everything.
 */
enum ranges ranges_parse(struct span field, uint64_t size, struct range ret[RANGES_MAX],
			 unsigned *ret_n);

#endif
