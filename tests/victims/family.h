/* SPDX-License-Identifier: MIT */
/*
 * What the processes of "family" write, and what is true of it at any instant.
 * Each has a private struct family_own, and all share one struct family_all.
 *
 *	a++; all.count[me] = a; seen[j] = all.count[j] for all j; b = a
 *
 * At an instant, for each i: b <= count[i] <= a <= b + 1; and nobody has seen
 * more of i than i itself has counted.  Who is looked at later than another,
 * and not at the same time, has seen too much.
 *
 * Step i (from 0) ends with i in the (i / FAMILY_STEPS)th of the pages, from the
 * first again after the last, where i is a multiple of FAMILY_STEPS.
 */
#ifndef VICTIMS_FAMILY_H
#define VICTIMS_FAMILY_H

#include <stdint.h>

#define FAMILY_MAX 16
#define FAMILY_STEPS 64u
#define FAMILY_OWN 0x100000000000ull
#define FAMILY_ALL 0x110000000000ull

struct family_own {
	uint64_t a;
	uint64_t seen[FAMILY_MAX];
	uint64_t b;
	uint64_t me;
	uint64_t pages;          /* of --mib, behind this page, each beginning with a number */
};

struct family_all {
	uint64_t n;
	uint64_t count[FAMILY_MAX];
	int32_t pids[FAMILY_MAX];
};

#endif
