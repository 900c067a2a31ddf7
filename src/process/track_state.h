/* SPDX-License-Identifier: MIT */
/* What track.c and track_scan.c share.  Not for others. */
#ifndef PROCESS_TRACK_STATE_H
#define PROCESS_TRACK_STATE_H

#include <stdint.h>

#include "process/ranges.h"
#include "process/target.h"
#include "process/track.h"

struct track {
	enum track_kind kind;
	const struct target *target;
	int uffd;                /* -1: none */
	struct ranges armed;     /* registered with it */
	struct ranges seen;      /* soft-dirty: scanned before */
	uint64_t piece;          /* of the rounds' scans: see scan.h */
};

/* In the tracer, in a stop: a userfaultfd of the target's memory, ours to close. */
int track_make_uffd(struct call *call, struct err *reterr);

#endif
