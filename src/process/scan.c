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
#define SCAN_HOLES_MAX ((uint64_t)1 << 40)  /* asked for in a stop only */
#define SCAN_LEAP_MAX ((uint64_t)1 << 40)
#define SCAN_SHORT_NS 100000
#define SCAN_LONG_NS 400000
/*
 * For the first dense piece behind a hole.  Not when protecting: there it
 * could end within a huge page.
 */
#define SCAN_PAGES_MAX 8192

static uint64_t scan_adapt(uint64_t piece, uint64_t max, uint64_t took_ns)
{
	if (took_ns < SCAN_SHORT_NS)
		return min_u64(2 * piece, max);
	return took_ns > SCAN_LONG_NS ? max_u64(piece / 2, SCAN_MIN) : piece;
}

static uint64_t scan_piece_end(uint64_t piece, uint64_t start, uint64_t end)
{
	uint64_t to;

	if (end - start <= piece)
		return end;
	to = align_down(start + piece, SCAN_ALIGN);
	return to > start ? to : end;
}

/* Over a hole with long steps: to the block that holds the next page, or *to = end. */
static int scan_leap(const struct scan *s, uint64_t start, uint64_t end, uint64_t *to)
{
	uint64_t leap = SCAN_MAX, before;
	struct page_region v;
	int n;

	for (; start < end; start = *to) {
		struct pm_scan_arg a = {
			.size = sizeof(a), .start = start,
			.end = scan_piece_end(leap, start, end), .vec = (uintptr_t)&v,
			.vec_len = 1, .max_pages = 1,
			.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
			.return_mask = PAGE_IS_PRESENT,
		};

		before = sys_clock_ns();
		n = sys_pagemap_scan(s->pagemap_fd, &a);
		*to = n > 0 ? max_u64(start, align_down(v.start, SCAN_ALIGN)) : a.end;
		if (n != 0)
			return n < 0 ? n : 0;
		leap = scan_adapt(leap, SCAN_LEAP_MAX, sys_clock_ns() - before);
	}
	return 0;
}

static struct pm_scan_arg scan_arg(const struct scan *s, uint64_t start, uint64_t end,
				   struct page_region *v)
{
	/* Holes would use up max_pages where they are asked for. */
	bool limit = s->anyof && !s->protect;

	return (struct pm_scan_arg){
		.size = sizeof(struct pm_scan_arg),
		.flags = s->protect ? PM_SCAN_WP_MATCHING : 0,
		.start = start, .end = end, .vec = (uintptr_t)v, .vec_len = SCAN_REGIONS,
		.max_pages = limit ? SCAN_PAGES_MAX : 0,
		.category_inverted = s->inverted, .category_mask = s->mask,
		.category_anyof_mask = s->anyof, .return_mask = s->give,
	};
}

int scan_run(struct scan *s, uint64_t start, uint64_t end, scan_take *take, void *arg)
{
	uint64_t max = s->protect ? SCAN_PROTECT_MAX : s->anyof ? SCAN_MAX : SCAN_HOLES_MAX;
	struct page_region v[SCAN_REGIONS];
	struct pm_scan_arg a;
	uint64_t before;
	int i, n, r = 0;

	if (s->piece == 0)
		s->piece = SCAN_FIRST;
	while (start < end && r == 0) {
		a = scan_arg(s, start, scan_piece_end(s->piece, start, end), v);
		before = sys_clock_ns();
		n = sys_pagemap_scan(s->pagemap_fd, &a);
		if (n < 0)
			return n;
		if (a.walk_end == a.end)
			s->piece = scan_adapt(s->piece, max, sys_clock_ns() - before);
		else if (a.walk_end <= start || a.walk_end > a.end)
			return -EIO;
		for (i = 0; i < n && r == 0; i++)
			r = take(arg, v[i].start, v[i].end, v[i].categories);
		start = a.walk_end;
		if (n == 0 && s->anyof && start < end)
			r = scan_leap(s, start, end, &start);
	}
	return r;
}
