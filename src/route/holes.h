/* SPDX-License-Identifier: MIT */
/*
 * Holes of a source file, and the same holes in the sink: what is a hole is
 * not read, not written, and takes no room.
 * Not a map of the file: it knows the one run that was asked for last.
 */
#ifndef ROUTE_HOLES_H
#define ROUTE_HOLES_H

#include "engine/job.h"

struct holes {
	int from_fd;         /* our own (lseek moves it); -1: all is data */
	int to_fd;
	bool run_hole;
	uint64_t run_start, run_end; /* the run known, offsets in the source */
	uint64_t to_size;    /* the sink's size at the start: what is below needs zeros */
	uint64_t hole_start; /* in the sink: the hole skipped last, */
	uint64_t hole_end;   /* 0: none */
};

/* Never fails: where holes cannot be told or made, everything is data. */
void holes_open(struct holes *h, struct job *j);
void holes_close(struct holes *h);
/* Length of the run of data or hole at offset off of the source, at most max. */
uint64_t holes_run(struct holes *h, uint64_t off, uint64_t max, bool *ret_hole);
/* Make len bytes at off of the sink read as zeros; negative errno of the sink. */
int holes_skip(struct holes *h, uint64_t off, uint64_t len);
/*
 * The sink becomes as long as the hole skipped last, unless it is.  To be
 * called at the end, also that of a transfer that failed.
 */
int holes_settle(struct holes *h);
/* The checksum of a hole. */
void holes_hash(struct job *j, uint64_t len);

#endif
