/* SPDX-License-Identifier: MIT */
/*
 * A parent that was given: images of an earlier run.  What was written since
 * nobody knows any more, so that the first image compares: what is as it is
 * there becomes PARENT.  Right whatever the parent has.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "dump/chain.h"
#include "predump/predump.h"
#include "sys/sys.h"

#define PARENT_READ_BYTES (256u << 10)

struct predump_parent {
	struct chain chain;
	struct chain_walk *walk; /* NULL: it has nothing of this process */
	struct chain_piece piece;
	bool ended;
	unsigned char *data;     /* PARENT_READ_BYTES */
};

/* --------------------------------------------------------------- is it one? */

/* When the process began, as the inventory has its time: microseconds since boot. */
static uint64_t parent_began_us(const struct predump *p)
{
	return p->c.t->stat.start_ticks * (1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static int parent_check(const struct predump *p, const struct chain_level *l, struct err *e)
{
	if (!l->complete)
		return err_set(e, -EINVAL, "parent: %s: %s", l->path, l->unfinished ?
			       "is not complete (a run was killed there, or is at it)" :
			       "has no inventory.img: it is no complete image");
	if (l->inventory_error)
		return err_set(e, l->inventory_error, "parent: %s: inventory.img is damaged",
			       l->path);
	/* Another process had the number then; CRIU looks at this, too. */
	if (l->inventory.dump_uptime_us &&
	    l->inventory.dump_uptime_us <= parent_began_us(p))
		return err_set(e, -ESTALE, "parent: %s: is older than process %d, so it is of "
			       "another one", l->path, (int)p->c.t->pid);
	return 0;
}

static int parent_walk(struct predump *p, struct predump_parent *v)
{
	int r = chain_walk_open(&v->walk, &v->chain, DIR_PROCESS, p->id, &p->c.err);

	/* As CRIU sees it: a process that is new since then. */
	return r == -ENOENT ? 0 : r;
}

int predump_parent_open(struct predump *p)
{
	struct predump_parent *v;
	int r;

	if (!p->o->parent || p->base || p->images || p->joined)
		return 0;
	v = sys_calloc(1, sizeof(*v));
	if (!v)
		return predump_fail(p, -ENOMEM, "parent");
	p->base = v;
	v->data = sys_malloc(PARENT_READ_BYTES);
	if (!v->data)
		return predump_fail(p, -ENOMEM, "parent");
	r = chain_open(&v->chain, p->o->parent, NULL, &p->c.err);
	if (r >= 0)
		r = parent_check(p, &v->chain.levels[0], &p->c.err);
	if (r >= 0 && v->chain.n + PREDUMP_AUTO_MAX + 2 > CHAIN_LEVELS_MAX)
		r = err_set(&p->c.err, -EMLINK, "parent: %s: has %u parents itself; "
			    "`decant images flatten` makes one image of them", p->o->parent,
			    v->chain.n - 1);
	return r < 0 ? r : parent_walk(p, v);
}

void predump_parent_close(struct predump *p)
{
	struct predump_parent *v = p->base;

	if (!v)
		return;
	chain_walk_close(v->walk);
	chain_close(&v->chain);
	free(v->data);
	free(v);
	p->base = NULL;
}

bool predump_parent_is(const char *a, const char *b)
{
	_cleanup_close_ int fa = sys_open(a, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	_cleanup_close_ int fb = sys_open(b, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	struct stat sa, sb;

	return fa >= 0 && fb >= 0 && sys_fstat(fa, &sa) >= 0 && sys_fstat(fb, &sb) >= 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* --------------------------------------------------------------- comparing */

/* The piece that holds addr, or the first behind it. */
static int parent_seek(struct predump *p, uint64_t addr)
{
	struct predump_parent *v = p->base;
	int r = 1;

	while (r == 1 && !v->ended && v->piece.end <= addr) {
		r = chain_walk_next(v->walk, &v->piece, &p->c.err);
		v->ended = r == 0;
	}
	return r < 0 ? err_wrap(&p->c.err, r, "parent") : 0;
}

/* Pages of data that are as those in v->data, to same. */
static int parent_pages(const struct predump_parent *v, uint64_t start, size_t len,
			const unsigned char *data, struct ranges *same)
{
	int r = 0;

	for (size_t i = 0; i < len && r >= 0; i += CRIU_PAGE)
		if (memcmp(v->data + i, data + i, CRIU_PAGE) == 0)
			r = ranges_add(same, start + i, start + i + CRIU_PAGE);
	return r;
}

/* [start, end) lies in one piece. */
static int parent_piece(struct predump *p, uint64_t start, uint64_t end,
			const unsigned char *data, struct ranges *same)
{
	struct predump_parent *v = p->base;
	int r = 0;

	for (uint64_t n; start < end && r >= 0; start += n, data += n) {
		uint64_t from = v->piece.offset + (start - v->piece.start), done = 0;

		n = min_u64(end - start, PARENT_READ_BYTES);
		while (done < n) {
			ssize_t got = sys_pread(v->piece.fd, v->data + done, n - done,
						from + done);

			if (got <= 0)
				return predump_fail(p, got < 0 ? (int)got : -EBADMSG,
						    "parent: reading its pages");
			done += (uint64_t)got;
		}
		r = parent_pages(v, start, n, data, same);
	}
	return r;
}

int predump_parent_same(struct predump *p, struct range x, const void *data,
			struct ranges *same)
{
	struct predump_parent *v = p->base;
	const unsigned char *bytes = data;
	int r = 0;

	if (!v || !v->walk)
		return 0;
	for (uint64_t at = x.start, end; at < x.end && r >= 0; at = end) {
		r = parent_seek(p, at);
		end = x.end;
		if (r < 0 || v->ended || v->piece.start >= x.end)
			break;
		if (v->piece.start > at) {
			end = v->piece.start;
			continue;
		}
		end = min_u64(v->piece.end, x.end);
		if (v->piece.fd >= 0)
			r = parent_piece(p, at, end, bytes + (at - x.start), same);
	}
	return r;
}
