/* SPDX-License-Identifier: MIT */
#include "process/scan.h"

#include <errno.h>

#include "base/checked.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "uapi/pagemap.h"

#define SCAN_REGIONS 512
#define SCAN_ALIGN ((uint64_t)2 << 20)  /* a cut within a huge page would split it */

/*
 * The kernel holds the lock for one piece.  Each is as long as the one before
 * says: 0.5 to 13 ms per GiB, by what is asked for and found, and next to
 * nothing where nothing is mapped.
 */
#define SCAN_FIRST ((uint64_t)16 << 20)
#define SCAN_MIN SCAN_ALIGN
#define SCAN_MAX ((uint64_t)1 << 30)
#define SCAN_PROTECT_MAX ((uint64_t)64 << 20)
#define SCAN_SHORT_NS 100000
#define SCAN_LONG_NS 400000
/*
 * For the first dense piece behind a hole.  Not when protecting: there it
 * could end within a huge page.
 */
#define SCAN_PAGES_MAX 8192

static void scan_adapt(struct scan *s, uint64_t took_ns)
{
	uint64_t max = s->protect ? SCAN_PROTECT_MAX : SCAN_MAX;

	if (took_ns < SCAN_SHORT_NS)
		s->piece = min_u64(2 * s->piece, max);
	else if (took_ns > SCAN_LONG_NS)
		s->piece = max_u64(s->piece / 2, SCAN_MIN);
}

static uint64_t scan_piece_end(const struct scan *s, uint64_t start, uint64_t end)
{
	uint64_t to;

	if (end - start <= s->piece)
		return end;
	to = align_down(start + s->piece, SCAN_ALIGN);
	return to > start ? to : end;
}

int scan_run(struct scan *s, uint64_t start, uint64_t end, scan_take *take, void *arg)
{
	/* Holes would use up max_pages where they are asked for. */
	bool holes = s->anyof == 0;
	struct page_region v[SCAN_REGIONS];
	uint64_t to, before;
	int i, n, r = 0;

	if (s->piece == 0)
		s->piece = SCAN_FIRST;
	while (start < end && r == 0) {
		to = scan_piece_end(s, start, end);
		struct pm_scan_arg a = {
			.size = sizeof(a), .flags = s->protect ? PM_SCAN_WP_MATCHING : 0,
			.start = start, .end = to, .vec = (uintptr_t)v, .vec_len = SCAN_REGIONS,
			.max_pages = s->protect || holes ? 0 : SCAN_PAGES_MAX,
			.category_inverted = s->inverted, .category_mask = s->mask,
			.category_anyof_mask = s->anyof, .return_mask = s->give,
		};

		before = sys_clock_ns();
		n = sys_pagemap_scan(s->pagemap_fd, &a);
		if (n < 0)
			return n;
		if (a.walk_end == to)
			scan_adapt(s, sys_clock_ns() - before);
		else if (a.walk_end <= start || a.walk_end > to)
			return -EIO;
		for (i = 0; i < n && r == 0; i++)
			r = take(arg, v[i].start, v[i].end, v[i].categories);
		start = a.walk_end;
	}
	return r;
}
