/* SPDX-License-Identifier: MIT */
/*
 * Pages out of many places of some files into one file.  Long runs go by the
 * engine (shared blocks, copy_file_range, past the page cache), short ones
 * through a buffer; pages of zeros become holes where that costs nothing.
 * Not a planner: which run goes where is the caller's.
 */
#ifndef DUMP_POUR_H
#define DUMP_POUR_H

#include <stdint.h>

#include "base/err.h"
#include "decant.h"

struct pour {
	struct decant *d;
	int to_fd;
	unsigned char *data;     /* of short runs, for to_at on */
	uint64_t to_at, len;
	int from_fd;             /* a run that may still grow; -1: none */
	uint64_t from_at, run_to, run_len;
	uint64_t bytes, copied_bytes; /* in all; of them through a CPU */
};

int pour_open(struct pour *p, struct decant *d, int to_fd, struct err *reterr);
/* from_fd must stay open until it was asked for another one, or until the flush. */
int pour_add(struct pour *p, int from_fd, uint64_t from_at, uint64_t len, uint64_t to_at,
	     struct err *reterr);
/* All is in the file (which is as long as its last byte that is not zero). */
int pour_flush(struct pour *p, struct err *reterr);
void pour_close(struct pour *p);

#endif
