/* SPDX-License-Identifier: MIT */
/*
 * How many bytes a query is about.
 * Not a size of anything: a guess, where nobody knows.
 */
#ifndef PLAN_EXPECT_H
#define PLAN_EXPECT_H

#include "route/route.h"

/* For a source that ends when it ends; enough that starting costs do not count. */
#define PLAN_EXPECT_BULK_BYTES (16u << 20)

/* Bytes promised or expected, or DECANT_TO_END. */
static inline uint64_t plan_len(const struct query *q)
{
	return q->len != DECANT_TO_END ? q->len : q->expect;
}

/* What to reckon with; never 0. */
static inline uint64_t plan_expect(const struct query *q)
{
	uint64_t len = plan_len(q);

	return len == DECANT_TO_END ? PLAN_EXPECT_BULK_BYTES : len ? len : 1;
}

#endif
