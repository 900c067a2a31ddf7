/* SPDX-License-Identifier: MIT */
/*
 * Two ends to measure routes between, and who is at their other sides.
 * Not a transfer: that is made by the caller, by the public functions.
 */
#ifndef PLAN_CALIBRATE_PAIR_H
#define PLAN_CALIBRATE_PAIR_H

#include "decant.h"
#include "plan/cost.h"
#include "plan/peer.h"

/* The largest transfer that is measured. */
#define PAIR_BYTES (16u << 20)

struct pair {
	enum cost_from from;
	enum cost_to to;
	const char *dir;       /* for scratch files */
	int from_fd, to_fd;    /* ours; -1: none */
	struct peer *feeder, *drainer;
	unsigned char *memory; /* PAIR_BYTES each, where an end is memory */
	unsigned char *room;
};

/*
 * 0 or negative errno, then *ret needs no closing.  Pipes and sockets do not
 * block on our side.
 */
int pair_open(struct pair *ret, enum cost_from from, enum cost_to to, const char *dir);
/* Bytes on their way are lost; both threads have ended. */
void pair_close(struct pair *p);

/* The ends as the public functions take them. */
struct decant_end pair_source(const struct pair *p);
struct decant_end pair_sink(const struct pair *p);

/* Before and after a transfer of len bytes: the other sides take and give it. */
void pair_begin(struct pair *p, uint64_t len);
int pair_finish(struct pair *p);
/* CPU time of this process up to now, without the other sides'. */
uint64_t pair_cpu_ns(const struct pair *p);

/*
 * Have the source's pages out of the page cache.  False: it cannot be done (a
 * mapping holds them, tmpfs); pair_open() anew helps against the former.
 */
bool pair_make_cold(struct pair *p);

#endif
