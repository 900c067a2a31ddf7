/* SPDX-License-Identifier: MIT */
/*
 * Pages copied inside a stop, in memory that was made and faulted in before it;
 * written out afterwards.  Not a cache: what is in it belongs to the image.
 */
#ifndef CAPTURE_KEEP_H
#define CAPTURE_KEEP_H

#include <stdint.h>

#include "base/err.h"
#include "process/pages.h"
#include "process/ranges.h"

struct keep_piece {
	uint64_t start, end;     /* addresses in the target */
	unsigned char *data;
};

/* One mapping of memory; pieces never cross from one to the next. */
struct keep_block {
	unsigned char *data;
	uint64_t size;
};

#define KEEP_BLOCKS 64

struct keep {
	struct keep_block blocks[KEEP_BLOCKS];
	unsigned blocks_n;
	uint64_t used;           /* of the last block */
	uint64_t bytes;          /* of all pieces */
	struct keep_piece *v;    /* in order of copying: a later piece is newer */
	size_t n, size;
};

#define KEEP_INIT { 0 }

/* Room for so many bytes and pieces more, faulted in.  -ENOMEM. */
int keep_reserve(struct keep *k, uint64_t bytes, size_t pieces);
/* Memory for a piece; makes more when the room is used up. */
int keep_piece(struct keep *k, uint64_t start, uint64_t end, unsigned char **ret);
/* Copy what is in v from the target.  Unreadable pages are 0 and added to unreadable. */
int keep_gather(struct keep *k, const struct target *t, const struct ranges *v,
		struct ranges *unreadable);
/* By address; for pieces that do not overlap. */
void keep_sort(struct keep *k);
/* Forget the pieces, keep the memory. */
void keep_clear(struct keep *k);
void keep_free(struct keep *k);

#endif
