/* SPDX-License-Identifier: MIT */
/*
 * Everything that is wrong with a chain of images, not only the first of it.
 * Changes nothing; memory as chain.h says.
 */
#ifndef DUMP_CHECK_H
#define DUMP_CHECK_H

#include "dump/chain.h"

enum check_weight {
	CHECK_NOTICE,            /* unusual; nothing is lost */
	CHECK_FAULT,             /* pages cannot be had, or are doubtful */
};

struct check_fault {
	enum check_weight weight;
	unsigned level;
	bool of_map;             /* kind and id say which pagemap */
	enum dir_kind kind;
	uint64_t id;
	uint64_t addr, pages;    /* pages 0: not about pages */
	char text[ERR_TEXT_MAX]; /* "what: why", without the directory */
};

/*
 * fn for each, until it returns not 0.  broken: as chain_open() set it.  The
 * number of faults (notices do not count), or a negative errno: fn's, or what
 * kept us from looking (-ENOMEM, -EMFILE, -EIO).
 */
int64_t check_chain(const struct chain *c, const struct err *broken,
		    int (*fn)(void *arg, const struct check_fault *f), void *arg,
		    struct err *reterr);

#endif
