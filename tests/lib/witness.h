/* SPDX-License-Identifier: MIT */
/*
 * A transfer that has nothing to do with the one that goes wrong, and must not
 * notice; and one that is made afterwards, to see that the engine still works.
 */
#ifndef LIB_WITNESS_H
#define LIB_WITNESS_H

#include "lib/reader.h"
#include "lib/sink.h"
#include "lib/source.h"
#include "lib/track.h"

struct witness {
	struct source from;
	struct pair pair;
	struct reader reader;
	struct track track;
};

/* Submit it; its reader waits until witness_end(). */
void witness_start(struct witness *w, struct decant *d);
/* Let it end.  "": as it should; else a sentence. */
const char *witness_end(struct witness *w, struct decant *d);
/* One small and one large transfer, file to socket; "" or a sentence. */
const char *witness_again(struct decant *d);

#endif
