/* SPDX-License-Identifier: MIT */
/*
 * A chain of images made into one that needs no parent.  Not a repair: a chain
 * with a fault is refused, and what was there stays.
 */
#ifndef DUMP_FLATTEN_H
#define DUMP_FLATTEN_H

#include "decant.h"
#include "dump/chain.h"

struct flatten_report {
	uint64_t maps, pages;
	uint64_t bytes, copied_bytes;    /* of pages; of them through a CPU */
};

/*
 * to NULL: in the place of level 0, whose pagemaps are replaced one by one,
 * each of them right at any moment; then the parent link and the old pages go.
 * Else a new directory, with copies of all other files of level 0.
 * flags: DIR_CLEAN, DIR_SYNC.
 */
int flatten_chain(struct decant *d, const struct chain *c, const char *to, uint32_t flags,
		  struct flatten_report *ret, struct err *reterr);

#endif
