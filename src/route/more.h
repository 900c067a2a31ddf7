/* SPDX-License-Identifier: MIT */
/*
 * Whether more bytes for the same socket follow those of this send (MSG_MORE).
 * Not a promise to the peer: it only spares a small packet between two pieces.
 *
 * Only where the transfer's length is known: at an end that is found by
 * reading, the last packet would be held back for 200 ms.
 */
#ifndef ROUTE_MORE_H
#define ROUTE_MORE_H

#include "engine/job.h"

static inline bool route_more(const struct job *j, uint64_t len_bytes)
{
	return (j->flags & DECANT_MORE) ||
	       (j->len != DECANT_TO_END && j->sent + len_bytes < j->len);
}

#endif
