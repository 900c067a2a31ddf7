/* SPDX-License-Identifier: MIT */
/*
 * Where the pages of an image go if not into a directory: to a page server.
 * Not for what else belongs to an image: inventory, numbers and note stay in
 * its directory.
 *
 *	begin (for each pagemap: by address parent, pages and pipe; end)... commit
 *
 * One sink is for one image.  After an error only close() may follow.
 */
#ifndef DUMP_SINK_H
#define DUMP_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "dump/dir.h"

struct sink;

struct sink_ops {
	/* *ret_parent: it has a parent's pagemap of that name; else parent() must not be called. */
	int (*begin)(struct sink *s, enum dir_kind kind, uint64_t id, bool *ret_parent,
		     struct err *reterr);
	/* So many pages are as in the parent. */
	int (*parent)(struct sink *s, uint64_t vaddr, uint64_t nr_pages, struct err *reterr);
	/* data, at a page's start, is the caller's again when this returns. */
	int (*pages)(struct sink *s, uint64_t vaddr, uint64_t nr_pages, const void *data,
		     struct err *reterr);
	/* So many pages are in a pipe, at least.  NULL: cannot take them from there. */
	int (*pipe)(struct sink *s, uint64_t vaddr, uint64_t nr_pages, int pipe_fd,
		    struct err *reterr);
	int (*end)(struct sink *s, struct err *reterr);
	/* It has all of it. */
	int (*commit)(struct sink *s, struct err *reterr);
	/* Aborts what was not committed.  NULL is fine. */
	void (*close)(struct sink *s);
};

/* The first member of an implementation's own struct. */
struct sink {
	const struct sink_ops *ops;
};

#endif
