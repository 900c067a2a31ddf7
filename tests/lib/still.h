/* SPDX-License-Identifier: MIT */
/*
 * The oracle of a stop, from /proc: while the stop stands, no task of the target
 * may be in another state than tracing stop.  Does not stop: that is stopper.h's.
 */
#ifndef LIB_STILL_H
#define LIB_STILL_H

#include "lib/stopper.h"

struct still {
	unsigned threads, zombies; /* that /proc listed */
	unsigned moving;           /* not in a stop */
	unsigned missing;          /* not in the table */
	unsigned stops;
	pid_t first;
};

/* stopper_open(), with the look below in each stop. */
void still_open(struct stopper *k, struct still *o, pid_t pid);
int still_look(struct stopper *k, void *arg);
/* Points: nobody moved, nobody was missing, in so many stops at least. */
void still_says(const struct still *o, unsigned stops);

#endif
