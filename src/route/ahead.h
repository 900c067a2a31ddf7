/* SPDX-License-Identifier: MIT */
/*
 * Makes the kernel read a file ahead one window earlier than it would.
 * Not a reading: nothing waits for it, and it may do nothing.
 *
 * Read-ahead starts the next window when a reader enters the last one that was
 * read.  One that copies what it has read is then done with it before the next
 * one is there, and waits while the CPU has nothing to do.
 */
#ifndef ROUTE_AHEAD_H
#define ROUTE_AHEAD_H

#include <stdint.h>

#include "engine/job.h"

struct ahead {
	uint64_t distance; /* 0: off */
};

/* For this job's source, where it is a file, large, on a disk that reads far ahead. */
void ahead_init(struct ahead *a, const struct job *j);
/* Before each piece is read. */
void ahead_touch(const struct ahead *a, const struct job *j);

#endif
