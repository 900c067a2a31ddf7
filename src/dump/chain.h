/* SPDX-License-Identifier: MIT */
/*
 * A directory of CRIU images and its chain of parents, being read: where each
 * page's bytes are.  Not a judge: chain_walk() stops at the first fault;
 * dump/check.h tells them all.
 *
 * Nothing in the directories is trusted: names are opened beneath them and
 * never through a link (but "parent" itself), every number is bounded.
 * Memory: some 40 KiB per level and walk, whatever the images' size.
 */
#ifndef DUMP_CHAIN_H
#define DUMP_CHAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "dump/dir.h"
#include "image/criu.h"

#define CHAIN_LEVELS_MAX 256

struct chain_level {
	int fd;
	dev_t dev;
	ino_t ino;
	char *path;              /* for people: as given, then "A/parent", ... */
	char *parent;            /* text of the link; NULL: none */
	bool complete;           /* has inventory.img */
	bool unfinished;         /* has what only a killed or running writer leaves */
	struct criu_inventory inventory;  /* with complete, if it can be read */
	int inventory_error;     /* 0, or why it cannot */
};

/* Newest first: level 0 is the directory that was opened. */
struct chain {
	struct chain_level *levels;
	unsigned n;
};

#define CHAIN_INIT { 0 }

/*
 * -ENOENT, -ENOTDIR; -ELOOP (parents form a ring), -EMLINK (too many), -ENOENT
 * with the link's name (a parent is missing).  broken (may be NULL): a chain
 * whose parent cannot be opened is no error then; what is wrong is told there,
 * and the levels that are there are opened.
 */
int chain_open(struct chain *c, const char *path, struct err *broken, struct err *reterr);
void chain_close(struct chain *c);

/* Is there a pagemap of that name at this level?  1, 0, negative errno. */
int chain_has(const struct chain *c, unsigned level, enum dir_kind kind, uint64_t id);

struct chain_id {
	enum dir_kind kind;
	uint64_t id;
};
/* All pagemaps of a level, sorted; *ret is the caller's to free().  -EFBIG: over DIR_PAGES_MAX. */
int chain_ids(const struct chain *c, unsigned level, struct chain_id **ret, size_t *ret_n,
	      struct err *reterr);

/* ------------------------------------------------------------ one pagemap */

struct chain_map;

/* Opens the pagemap and its pages file.  -ENOENT: there is none at this level. */
int chain_map_open(struct chain_map **ret, const struct chain *c, unsigned level,
		   enum dir_kind kind, uint64_t id, struct err *reterr);
/*
 * 1 and the next entry, with the offset of its pages in pages-ID.img (PRESENT);
 * 0: the end; negative errno, and one can go on behind what was wrong: 0 where
 * nothing more can be read.  The order of entries is not looked at.
 */
int chain_map_next(struct chain_map *m, struct criu_entry *ret, uint64_t *ret_offset,
		   struct err *reterr);
uint32_t chain_map_pages_id(const struct chain_map *m);
/* Of pages-ID.img: -1: it is not there (fine while no entry is PRESENT). */
int chain_map_pages_fd(const struct chain_map *m);
uint64_t chain_map_pages_bytes(const struct chain_map *m);
void chain_map_close(struct chain_map *m);

/* ----------------------------------------- pages, wherever in the chain */

/* A piece of the address space whose pages lie one behind the other in a file. */
struct chain_piece {
	uint64_t start, end;
	unsigned level;
	int fd;                  /* -1: lazy, in no file */
	uint64_t offset;
};

struct chain_walk;

/* The pages of id as level 0 has them.  -ENOENT: it is not there. */
int chain_walk_open(struct chain_walk **ret, const struct chain *c, enum dir_kind kind,
		    uint64_t id, struct err *reterr);
/*
 * 1 and the next piece, by address; 0: the end.  -ENODATA: a PARENT page is in no
 * parent; -EBADMSG: an image is damaged; -ENOTSUP.
 */
int chain_walk_next(struct chain_walk *w, struct chain_piece *ret, struct err *reterr);
/* Of level 0. */
uint32_t chain_walk_pages_id(const struct chain_walk *w);
void chain_walk_close(struct chain_walk *w);

#endif
