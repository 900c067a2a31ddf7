/* SPDX-License-Identifier: MIT */
/*
 * The events of a transfer as they come, and whether they keep their order.
 * Not a judge of how it ended: the test asks for that.
 *
 * A transfer that is tracked carries its struct track's address as user_data.
 */
#ifndef LIB_TRACK_H
#define LIB_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "decant.h"

struct track {
	uint64_t id;
	unsigned seen[DECANT_ENDED + 1];
	struct decant_event last[DECANT_ENDED + 1]; /* of each type */
	uint64_t bytes, time_ns;
	char wrong[200]; /* the first rule that was broken; empty: none */
};

/* Open an engine or die; mask may be NULL. */
struct decant *track_engine(enum decant_backend backend, const char *mask);
extern const char *const track_backends[3]; /* "auto", "uring", "threads" */

/* decant_submit(); sets id and user_data.  The result is decant_submit()'s. */
int64_t track_submit(struct decant *d, struct decant_transfer *t, struct track *tr);
void track_event(struct track *tr, const struct decant_event *e);

/*
 * Take events, of all tracked transfers, until tr has one of this type or has
 * ended, at most wait_ms.  Whether it has one of this type.
 */
bool track_until(struct decant *d, struct track *tr, enum decant_event_type type, int wait_ms);
/* Take what is there now, without waiting; how many. */
unsigned track_take(struct decant *d);
/* Ended with this error?  "": yes, and every rule was kept; else a sentence. */
const char *track_verdict(const struct track *tr, int error);

#endif
