/* SPDX-License-Identifier: MIT */
/*
 * One transfer whose reader is held back and whose source is damaged at a
 * chosen moment, and what arrived all the same.
 * Not a verdict: the test says what should have come of it.
 */
#ifndef LIB_ATTACK_H
#define LIB_ATTACK_H

#include "lib/sink.h"
#include "lib/source.h"
#include "lib/track.h"

struct attack {
	const char *route; /* NULL: the planner's choice */
	enum source_kind from;
	enum fs_kind from_fs;
	enum sink_kind to;
	enum fs_kind to_fs;
	uint64_t offset, len;
	enum damage damage;
	enum decant_event_type after; /* damage after this event; 0: see delay_ms */
	unsigned delay_ms;            /* damage so long after submission */
	uint32_t guarantee, until, flags;
	bool small;                   /* small buffers, drained slowly */
};

struct attack_result {
	bool fits;                 /* else nothing was done */
	bool damaged;
	bool damaged_early;        /* SNAPSHOTTED had not come */
	struct pattern_report report;
	uint64_t got;
	struct track track;
	uint32_t claimed;          /* plan.guarantee */
	char why[200];             /* why it does not fit */
};

void attack_run(struct attack_result *ret, struct decant *d, const struct attack *a);
/* "map-zc file@ext4 -> veth, 65537 bytes from 3, truncated"; static. */
const char *attack_text(const struct attack *a);
/* "": stable, complete, every event; else a sentence (static). */
const char *attack_stable(const struct attack *a, const struct attack_result *r);

#endif
