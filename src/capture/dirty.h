/* SPDX-License-Identifier: MIT */
/*
 * Written pages of a target, look by look: what the files of it share.
 * Not a capture, though target, stop and tracking are those of one: nothing is
 * copied.
 */
#ifndef CAPTURE_DIRTY_H
#define CAPTURE_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"
#include "capture/curve.h"
#include "decant.h"

/* Windows of 1, 2, 4, ... intervals. */
#define DIRTY_LEVELS 16
/* Sets of more ranges than this are not kept from one interval to another. */
#define DIRTY_RANGES_MAX (1u << 20)

/* Pages written in 2^i intervals: every second time one of twice the length is made of two. */
struct dirty_level {
	struct ranges pages;
	uint64_t ns;
	bool full;
};

struct decant_dirty {
	struct capture c;
	struct decant_dirty_options o;
	struct decant_capture_options capture_options;
	struct decant_capture_report capture_report;
	struct decant_capture_plan before; /* what is known without the dirty rate; kept for
					    * when the target has ended */
	enum track_kind kind;
	uint64_t begin_ns;       /* first look */
	uint64_t interval_ns;    /* this interval's begin */
	uint64_t look_ns;        /* last look */
	unsigned looks;
	bool ended;
	bool measured;           /* bandwidth is */
	uint64_t bandwidth_bytes;
	uint32_t bandwidth_from; /* enum decant_dirty_bandwidth */

	struct curve curve;
	struct dirty_level levels[DIRTY_LEVELS];
	struct ranges look;      /* written since the last look */
	struct ranges interval;  /* and in this interval */
	struct ranges done;      /* and in the last one: what was handed out */
	struct ranges seen;      /* ever */
	bool seen_lost;          /* too scattered to be kept */
	struct ranges part, there, file, tmp;
	struct decant_dirty_mapping *mappings;
	size_t mappings_n, mappings_size;
	struct decant_dirty_range *ranges;
	size_t ranges_size;
};

int dirty_fail(struct decant_dirty *d, int code, const char *what);

/* dirty_scan.c: into d->look what was written since the last time. */
int dirty_scan(struct decant_dirty *d);
/* d->mappings, with the pages of `pages` in each; how many pages are in none. */
int dirty_mappings(struct decant_dirty *d, const struct ranges *pages, uint64_t *ret_gone);

/* dirty_rate.c: how fast the target is read, and a file in o.dir written. */
void dirty_measure(struct decant_dirty *d);

/*
 * dirty_plan.c, pure: the forecasts, and which is best.  before: one without a
 * dirty rate; ret->bandwidth_bytes and pause_max_ns are set.
 */
void dirty_forecast(const struct decant_capture_plan *before, const struct curve *curve,
		    struct decant_dirty_plan *ret);

#endif
