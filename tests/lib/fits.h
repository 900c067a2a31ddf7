/* SPDX-License-Identifier: MIT */
/*
 * Which routes fit which pairs of ends, asked of the planner in a process of
 * its own, so that the one which asks stays without threads and can fork.
 * Not a list kept here: what the planner says is what is tested.
 */
#ifndef LIB_FITS_H
#define LIB_FITS_H

#include "lib/sink.h"
#include "lib/source.h"
#include "lib/track.h"

struct fits {
	/* the question */
	const char *route;
	enum decant_backend backend;
	enum source_kind from;
	enum fs_kind from_fs;
	enum sink_kind to;
	enum fs_kind to_fs;
	uint64_t len;
	uint32_t checksum, flags;
	/* the answer */
	bool stable; /* fits when STABLE is asked for */
	bool live;   /* fits when LIVE is asked for */
};

/* Room for n questions, shared with the process that asks. */
struct fits *fits_alloc(unsigned n);
/* Answer them all; questions about one pair next to each other are fastest. */
void fits_ask(struct fits *f, unsigned n);
/* The ends of that pair, open, the sink with room for all; a LIVE transfer between them. */
struct decant_transfer fits_open(const struct fits *f, struct source *from, struct sink *to);
unsigned fits_routes(void); /* how many decant_routes() there are */

#endif
