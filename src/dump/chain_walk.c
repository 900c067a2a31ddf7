/* SPDX-License-Identifier: MIT */
/*
 * All levels' pagemaps side by side.  Each is sorted and what is asked of a
 * parent ascends, too, so every file is read once, from its start to its end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "dump/chain.h"
#include "sys/sys.h"

struct walk_cursor {
	struct chain_map *map;   /* NULL: not opened yet, or not there */
	bool opened, ended;
	struct criu_entry e;     /* nr_pages 0: none read yet */
	uint64_t offset;
};

struct chain_walk {
	const struct chain *chain;
	enum dir_kind kind;
	uint64_t id;
	uint64_t at;
	struct walk_cursor cursors[];
};

int chain_walk_open(struct chain_walk **ret, const struct chain *c, enum dir_kind kind,
		    uint64_t id, struct err *reterr)
{
	struct chain_walk *w = sys_calloc(1, sizeof(*w) + c->n * sizeof(w->cursors[0]));
	int r;

	if (!w)
		return err_set(reterr, -ENOMEM, "images: out of memory");
	w->chain = c;
	w->kind = kind;
	w->id = id;
	r = chain_map_open(&w->cursors[0].map, c, 0, kind, id, reterr);
	if (r < 0) {
		free(w);
		return r;
	}
	w->cursors[0].opened = true;
	*ret = w;
	return 0;
}

void chain_walk_close(struct chain_walk *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < w->chain->n; i++)
		chain_map_close(w->cursors[i].map);
	free(w);
}

uint32_t chain_walk_pages_id(const struct chain_walk *w)
{
	return chain_map_pages_id(w->cursors[0].map);
}

/* The next entry of a level into its cursor. */
static int walk_read(struct chain_walk *w, unsigned level, struct err *e)
{
	struct walk_cursor *c = &w->cursors[level];
	uint64_t end = c->e.nr_pages ? criu_entry_end(&c->e) : 0;
	int r = chain_map_next(c->map, &c->e, &c->offset, e);

	if (r < 0)
		return r;
	if (r == 0) {
		c->ended = true;
		return 0;
	}
	if (c->e.vaddr < end)
		return err_set(e, -EBADMSG, "%s: %#" PRIx64 ": entries overlap or are not in order",
			       w->chain->levels[level].path, c->e.vaddr);
	if (c->e.flags & CRIU_PRESENT &&
	    (chain_map_pages_fd(c->map) < 0 ||
	     chain_map_pages_bytes(c->map) < c->offset + c->e.nr_pages * CRIU_PAGE))
		return err_set(e, -EBADMSG, "%s: pages-%" PRIu32 ".img %s",
			       w->chain->levels[level].path, chain_map_pages_id(c->map),
			       chain_map_pages_fd(c->map) < 0 ? "is missing" :
							      "is shorter than its pagemap says");
	return 1;
}

static int walk_absent(const struct chain_walk *w, struct err *e)
{
	return err_set(e, -ENODATA, "%s: %#" PRIx64 ": should be in its parent, but is in none",
		       w->chain->levels[0].path, w->at);
}

/* Bring a parent's cursor to w->at. */
static int walk_seek(struct chain_walk *w, unsigned level, struct err *e)
{
	struct walk_cursor *c = &w->cursors[level];
	int r = 0;

	if (!c->opened) {
		r = chain_map_open(&c->map, w->chain, level, w->kind, w->id, e);
		if (r == -ENOENT)
			return walk_absent(w, e);
		c->opened = r == 0;
	}
	while (r >= 0 && !c->ended && (!c->e.nr_pages || criu_entry_end(&c->e) <= w->at))
		r = walk_read(w, level, e);
	if (r < 0)
		return r;
	return c->ended || c->e.vaddr > w->at ? walk_absent(w, e) : 0;
}

int chain_walk_next(struct chain_walk *w, struct chain_piece *ret, struct err *reterr)
{
	struct walk_cursor *c = &w->cursors[0];
	uint64_t end = UINT64_MAX;
	unsigned level = 0;
	int r = 1;

	if (!c->ended && (!c->e.nr_pages || criu_entry_end(&c->e) <= w->at))
		r = walk_read(w, 0, reterr);
	if (c->ended || r < 0)
		return r < 0 ? r : 0;
	w->at = max_u64(w->at, c->e.vaddr);
	for (;; level++, c++) {
		end = min_u64(end, criu_entry_end(&c->e));
		if (!(c->e.flags & CRIU_PARENT))
			break;
		if (level + 1 == w->chain->n)
			return walk_absent(w, reterr);
		r = walk_seek(w, level + 1, reterr);
		if (r < 0)
			return r;
	}
	/* CRIU does not look for what a parent left to be fetched later. */
	if (level && !(c->e.flags & CRIU_PRESENT))
		return walk_absent(w, reterr);
	*ret = (struct chain_piece){
		.start = w->at, .end = end, .level = level, .fd = -1,
	};
	if (c->e.flags & CRIU_PRESENT) {
		ret->fd = chain_map_pages_fd(c->map);
		ret->offset = c->offset + (w->at - c->e.vaddr);
	}
	w->at = end;
	return 1;
}
