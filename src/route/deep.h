/* SPDX-License-Identifier: MIT */
/*
 * A deep queue of O_DIRECT writes into a file, fed from another file, from
 * memory or from a socket: what the "direct" routes are made of.
 * Not a route by itself.
 *
 *	      head                        next piece
 *	       v                              v
 *	  | written | writing | writing | read | reading | reading |
 *	   \________/                    \____ no write before all
 *	    retired in order: only        earlier pieces were read
 *	    these bytes count as sent
 *
 * Pieces begin at multiples of the block in the sink.  What is no whole block
 * goes through the page cache: the head before, the tail after all others, so
 * that no page is ever written both ways at once.
 */
#ifndef ROUTE_DEEP_H
#define ROUTE_DEEP_H

#include "engine/job.h"
#include "route/route.h"

enum deep_how {
	DEEP_READ,    /* O_DIRECT reads from a file into engine buffers */
	DEEP_MEMORY,  /* writes straight from the caller's memory */
	DEEP_BOUNCE,  /* the caller's memory, copied into aligned buffers */
	DEEP_RECEIVE, /* plain reads of a stream into engine buffers */
};

int deep_start(struct job *j, enum deep_how how);
int deep_step(struct job *j);
void deep_finish(struct job *j);

/* The sink takes O_DIRECT writes at our offsets; else the reason is in fit. */
bool deep_fits_sink(const struct query *q, struct fit *fit);

#endif
