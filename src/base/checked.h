/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on sizes and offsets that says when it does not fit.
 * Not for hot inner sums of values that were bounded before.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* true and *ret; false, *ret untouched, where the result does not fit. */
__attribute__((warn_unused_result))
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

__attribute__((warn_unused_result))
static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* The sum, or UINT64_MAX. */
static inline uint64_t saturating_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* align: a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

__attribute__((warn_unused_result))
static inline bool checked_align_up(uint64_t v, uint64_t align, uint64_t *ret)
{
	uint64_t sum;

	if (!checked_add(v, align - 1, &sum))
		return false;
	*ret = align_down(sum, align);
	return true;
}

#endif
