/* SPDX-License-Identifier: MIT */
/*
 * Sets of addresses: sorted, disjoint, half-open [start, end) ranges that never
 * touch.  Not bound to pages, nor to any process: pure arithmetic.
 *
 * Inside a stop memory must not run out: ranges_reserve() before.
 */
#ifndef PROCESS_RANGES_H
#define PROCESS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range *v;
	size_t n, size;
};

#define RANGES_INIT { 0 }

void ranges_free(struct ranges *r);
/* Empty again, memory kept. */
void ranges_clear(struct ranges *r);
/* Room for n ranges in all.  -ENOMEM. */
int ranges_reserve(struct ranges *r, size_t n);
/*
 * Add [start, end); cheap when it lies at or behind the last one, else the
 * tail moves.  Empty is nothing.  -ENOMEM.
 */
int ranges_add(struct ranges *r, uint64_t start, uint64_t end);
/* ret = a + b, a - b, a & b; ret is cleared first and is neither a nor b.  -ENOMEM. */
int ranges_union(struct ranges *ret, const struct ranges *a, const struct ranges *b);
int ranges_subtract(struct ranges *ret, const struct ranges *a, const struct ranges *b);
int ranges_intersect(struct ranges *ret, const struct ranges *a, const struct ranges *b);
/* Each is what the other was. */
void ranges_swap(struct ranges *a, struct ranges *b);
/* Sum of the lengths. */
uint64_t ranges_bytes(const struct ranges *r);
/* The first range that ends behind addr: its index, or r->n. */
size_t ranges_find(const struct ranges *r, uint64_t addr);
bool ranges_has(const struct ranges *r, uint64_t addr);

#endif
