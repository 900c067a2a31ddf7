/* SPDX-License-Identifier: MIT */
/*
 * Two ends to measure routes between, and who is at their other sides.
 * Not a transfer: that is made by the caller, by the public functions.
 */
#ifndef API_SIDES_H
#define API_SIDES_H

#include "decant.h"
#include "plan/cost.h"
#include "api/peer.h"

/* The largest transfer that is measured. */
#define SIDES_BYTES (16u << 20)

struct sides {
	enum cost_from from;
	enum cost_to to;
	const char *dir;       /* for scratch files */
	int from_fd, to_fd;    /* ours; -1: none */
	char path[COST_PATH_MAX]; /* of the source file, while there is one; else "" */
	struct peer *feeder, *drainer;
	unsigned char *memory; /* SIDES_BYTES each, where an end is memory */
	unsigned char *room;
};

/*
 * 0 or negative errno, then *ret needs no closing.  Pipes and sockets do not
 * block on our side.
 */
int sides_open(struct sides *ret, enum cost_from from, enum cost_to to, const char *dir);
/* Bytes on their way are lost; both threads have ended. */
void sides_close(struct sides *p);

/* The ends as the public functions take them, from byte at on. */
struct decant_end sides_source(const struct sides *p, uint64_t at);
struct decant_end sides_sink(const struct sides *p, uint64_t at);

/* Before and after transfers of len bytes in all: the other sides take and give. */
void sides_begin(struct sides *p, uint64_t len);
int sides_finish(struct sides *p);
/* CPU time of this process up to now, without the other sides'. */
uint64_t sides_cpu_ns(const struct sides *p);

/*
 * Have the source's pages out of the page cache.  False: it cannot be done (a
 * mapping holds them, tmpfs); sides_open() anew helps against the former.
 */
bool sides_make_cold(struct sides *p);

#endif
