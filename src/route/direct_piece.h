/* SPDX-License-Identifier: MIT */
/*
 * The source read past the page cache for the routes to sockets: which blocks
 * hold the bytes that are asked for, and a step that reads them into this
 * thread's scratch and sends them plainly.
 * Not the deep queue of the routes to files: that is deep.h.
 *
 *	blocks     |.......|.......|.......|
 *	asked for      [==============]
 *	               skip            the rest is read and not sent
 */
#ifndef ROUTE_DIRECT_PIECE_H
#define ROUTE_DIRECT_PIECE_H

#include "engine/job.h"
#include "route/route.h"

struct direct_source {
	int fd;          /* with O_DIRECT */
	bool own;        /* opened here */
	uint64_t align;
};

struct direct_blocks {
	uint64_t offset; /* in the file, aligned */
	uint64_t len;    /* aligned */
	uint64_t skip;   /* bytes before those asked for */
	uint64_t want;   /* bytes asked for */
};

/* 0, or -EOPNOTSUPP with its sentence: another route may do. */
int direct_source_open(struct direct_source *s, struct job *j);
void direct_source_close(struct direct_source *s);

/* The blocks around want bytes at pos of the transfer, room for max at most. */
struct direct_blocks direct_blocks(const struct direct_source *s, const struct job *j,
				   uint64_t pos, uint64_t want, uint64_t max);
/* Of n bytes read, those that were asked for. */
uint64_t direct_got(const struct direct_blocks *b, int64_t n);

/* One piece through the scratch: STEP_*, or the job's error. */
int direct_step(const struct direct_source *s, struct job *j);

bool direct_fits(const struct query *q, struct fit *fit);

#endif
