/* SPDX-License-Identifier: MIT */
/*
 * Which pages of two chains differ.  Not a judge of what a page that only one
 * has means: it may be full of zeros, never written, or the file's.
 */
#ifndef DUMP_DIFF_H
#define DUMP_DIFF_H

#include "dump/chain.h"

enum diff_what { DIFF_SAME, DIFF_OTHER, DIFF_ONLY_A, DIFF_ONLY_B };

struct diff_range {
	struct chain_id id;
	uint64_t start, end;
	enum diff_what what;
};

/*
 * fn for each range, by process and address, as long as may be; not 0 ends it
 * and is returned.  Lazy pages, which are in no file, count as not there.
 */
int diff_chains(const struct chain *a, const struct chain *b,
		int (*fn)(void *arg, const struct diff_range *r), void *arg, struct err *reterr);

#endif
