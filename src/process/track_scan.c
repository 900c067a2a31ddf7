/* SPDX-License-Identifier: MIT */
/* What was written: by the page tables' own account. */
#include <errno.h>
#include <unistd.h>

#include "base/checked.h"
#include "process/entry.h"
#include "process/scan.h"
#include "process/track_state.h"
#include "uapi/pagemap.h"

#define TRACK_ENTRIES 1024

static int track_take(void *arg, uint64_t start, uint64_t end, uint64_t categories)
{
	(void)categories;
	return ranges_add(arg, start, end);
}

/* Told are those that were not written: the rest was, or is not there. */
struct track_rest {
	struct ranges *written;
	uint64_t at;
};

static int track_take_clean(void *arg, uint64_t start, uint64_t end, uint64_t categories)
{
	struct track_rest *rest = arg;
	int r = ranges_add(rest->written, rest->at, start);

	(void)categories;
	rest->at = end;
	return r;
}

static int track_scan_rest(struct scan *s, uint64_t start, uint64_t end, struct ranges *written)
{
	struct track_rest rest = { written, start };
	int r = scan_run(s, start, end, track_take_clean, &rest);

	return r < 0 ? r : ranges_add(written, rest.at, end);
}

/*
 * Two questions, for a scan that protects passes over mappings that are not
 * registered.
 */
static int track_round(struct track *tr, uint64_t start, uint64_t end, struct ranges *written)
{
	struct scan others = {
		.pagemap_fd = tr->target->pagemap_fd,
		.inverted = PAGE_IS_WPALLOWED | PAGE_IS_PFNZERO,
		.mask = PAGE_IS_WPALLOWED | PAGE_IS_PFNZERO,
		.anyof = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.give = PAGE_IS_WRITTEN,
	};
	struct scan round = {
		.pagemap_fd = tr->target->pagemap_fd,
		.inverted = PAGE_IS_PFNZERO,
		.mask = PAGE_IS_WRITTEN | PAGE_IS_PFNZERO,
		.anyof = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.give = PAGE_IS_WRITTEN,
		.protect = true,
		.piece = tr->piece,
	};
	int r = scan_run(&round, start, end, track_take, written);

	tr->piece = round.piece;
	return r < 0 ? r : scan_run(&others, start, end, track_take, written);
}

/*
 * The kernel is fastest when asked for this and nothing else.  It tells of
 * holes only in mappings that are registered, so the others come whole.
 */
static int track_last(struct track *tr, uint64_t start, uint64_t end, struct ranges *written)
{
	struct scan fast = {
		.pagemap_fd = tr->target->pagemap_fd,
		.mask = PAGE_IS_WRITTEN, .give = PAGE_IS_WRITTEN,
	};
	struct scan others = {
		.pagemap_fd = tr->target->pagemap_fd,
		.inverted = PAGE_IS_WPALLOWED, .mask = PAGE_IS_WPALLOWED,
		.give = PAGE_IS_WPALLOWED,
	};
	struct scan clean = {
		.pagemap_fd = tr->target->pagemap_fd,
		.inverted = PAGE_IS_WRITTEN, .mask = PAGE_IS_WRITTEN | PAGE_IS_WPALLOWED,
		.anyof = PAGE_IS_PRESENT | PAGE_IS_SWAPPED, .give = PAGE_IS_WPALLOWED,
	};
	int r;

	if (!caps_has(tr->target->caps, FACT_WP_HOLES))
		return track_scan_rest(&clean, start, end, written);
	r = scan_run(&fast, start, end, track_take, written);
	return r < 0 ? r : scan_run(&others, start, end, track_take, written);
}

/* ------------------------------------------------------------- soft-dirty */

static int track_soft_entries(const struct track *tr, uint64_t start, uint64_t end,
			      struct ranges *written)
{
	const uint64_t zero_frame = caps_value(tr->target->caps, FACT_PAGEMAP_FRAMES);
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t v[TRACK_ENTRIES];
	int i, n, r = 0;

	while (start < end && r == 0) {
		n = pages_entries(tr->target, start, v,
				  min_u64(TRACK_ENTRIES, (end - start) / page));
		if (n <= 0)
			return n < 0 ? n : ranges_add(written, start, end);
		for (i = 0; i < n && r == 0; i++, start += page)
			if (entry_means(v[i], zero_frame) & ENTRY_WRITTEN)
				r = ranges_add(written, start, start + page);
	}
	return r;
}

static int track_soft_scan(const struct track *tr, uint64_t start, uint64_t end,
			   struct ranges *written)
{
	struct scan clean = {
		.pagemap_fd = tr->target->pagemap_fd,
		.inverted = PAGE_IS_SOFT_DIRTY | PAGE_IS_PFNZERO,
		.mask = PAGE_IS_SOFT_DIRTY | PAGE_IS_PFNZERO,
		.anyof = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.give = PAGE_IS_PRESENT,
	};

	if (caps_value(tr->target->caps, FACT_PAGEMAP_SCAN) & PAGE_IS_SOFT_DIRTY)
		return track_scan_rest(&clean, start, end, written);
	return track_soft_entries(tr, start, end, written);
}

/* What was not scanned before comes whole. */
static int track_soft(struct track *tr, uint64_t start, uint64_t end, struct ranges *written)
{
	size_t i = ranges_find(&tr->seen, start);
	uint64_t at = start, from, to;
	int r = 0;

	for (; i < tr->seen.n && tr->seen.v[i].start < end && r == 0; i++) {
		from = max_u64(start, tr->seen.v[i].start);
		to = min_u64(end, tr->seen.v[i].end);
		r = ranges_add(written, at, from);
		if (r == 0)
			r = track_soft_scan(tr, from, to, written);
		at = to;
	}
	if (r == 0)
		r = ranges_add(written, at, end);
	return r < 0 ? r : ranges_add(&tr->seen, start, end);
}

int track_scan(struct track *tr, uint64_t start, uint64_t end, bool again,
	       struct ranges *written, struct err *reterr)
{
	int r;

	if (tr->kind == TRACK_SOFT_DIRTY)
		r = track_soft(tr, start, end, written);
	else
		r = again ? track_round(tr, start, end, written) :
			    track_last(tr, start, end, written);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: what it has written",
				 (int)tr->target->pid);
	return 0;
}
