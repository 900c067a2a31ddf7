/* SPDX-License-Identifier: MIT */
#include "dump/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

#define DIFF_BUFFER (256u << 10)

struct diff_side {
	struct chain_walk *walk; /* NULL: not in this chain */
	struct chain_piece piece;
	bool ended;
	unsigned char *data;
};

struct diff {
	struct diff_side side[2];
	struct diff_range range; /* that may still grow; start == end: none */
	int (*fn)(void *arg, const struct diff_range *r);
	void *arg;
	struct err *err;
};

static int diff_tell(struct diff *d)
{
	int r = 0;

	if (d->range.start < d->range.end)
		r = d->fn(d->arg, &d->range);
	d->range.start = d->range.end;
	return r;
}

static int diff_put(struct diff *d, uint64_t start, uint64_t end, enum diff_what what)
{
	int r = 0;

	if (d->range.start < d->range.end && d->range.end == start && d->range.what == what) {
		d->range.end = end;
		return 0;
	}
	r = diff_tell(d);
	d->range.start = start;
	d->range.end = end;
	d->range.what = what;
	return r;
}

/* A piece that begins at `at` or behind; lazy ones are passed over. */
static int diff_seek(struct diff *d, struct diff_side *s, uint64_t at)
{
	int r = 1;

	while (!s->ended && (s->piece.end <= at || s->piece.fd < 0)) {
		r = s->walk ? chain_walk_next(s->walk, &s->piece, d->err) : 0;
		if (r < 0)
			return r;
		s->ended = r == 0;
	}
	if (!s->ended && s->piece.start < at) {
		s->piece.offset += at - s->piece.start;
		s->piece.start = at;
	}
	return 0;
}

static int diff_read(struct diff *d, const struct diff_side *s, uint64_t skip, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = sys_pread(s->piece.fd, s->data + done, len - done,
				      s->piece.offset + skip + done);

		if (n <= 0)
			return err_errno(d->err, n < 0 ? (int)n : -ENODATA, "%#" PRIx64
					 ": reading pages", s->piece.start);
		done += (uint64_t)n;
	}
	return 0;
}

/* Levels that both chains have in common. */
static bool diff_shared(const struct chain_piece *a, const struct chain_piece *b)
{
	struct stat x, y;

	return a->offset == b->offset && sys_fstat(a->fd, &x) == 0 && sys_fstat(b->fd, &y) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* len bytes that both have, from the start of their pieces. */
static int diff_both(struct diff *d, uint64_t len)
{
	struct diff_side *a = &d->side[0], *b = &d->side[1];
	uint64_t at = a->piece.start;
	int r = 0;

	if (diff_shared(&a->piece, &b->piece))
		return diff_put(d, at, at + len, DIFF_SAME);
	for (uint64_t done = 0, n; done < len && r == 0; done += n) {
		n = min_u64(len - done, DIFF_BUFFER);
		r = diff_read(d, a, done, n);
		if (r == 0)
			r = diff_read(d, b, done, n);
		for (uint64_t i = 0; i < n && r == 0; i += CRIU_PAGE)
			r = diff_put(d, at + done + i, at + done + i + CRIU_PAGE,
				     memcmp(a->data + i, b->data + i, CRIU_PAGE) ? DIFF_OTHER :
										   DIFF_SAME);
	}
	return r;
}

static int diff_walk(struct diff *d)
{
	struct diff_side *a = &d->side[0], *b = &d->side[1];
	uint64_t at = 0, end;
	int r;

	for (;;) {
		const struct chain_piece *x = &a->piece, *y = &b->piece;

		r = diff_seek(d, a, at);
		if (r == 0)
			r = diff_seek(d, b, at);
		if (r != 0 || (a->ended && b->ended))
			return r != 0 ? r : diff_tell(d);
		if (b->ended || (!a->ended && x->start < y->start)) {
			end = b->ended ? x->end : min_u64(x->end, y->start);
			r = diff_put(d, x->start, end, DIFF_ONLY_A);
		} else if (a->ended || y->start < x->start) {
			end = a->ended ? y->end : min_u64(y->end, x->start);
			r = diff_put(d, y->start, end, DIFF_ONLY_B);
		} else {
			end = min_u64(x->end, y->end);
			r = diff_both(d, end - x->start);
		}
		if (r != 0)
			return r;
		at = end;
	}
}

static int diff_map(struct diff *d, const struct chain *const chains[2], const struct chain_id *id,
		    const bool has[2])
{
	int r = 0;

	d->range = (struct diff_range){ .id = *id };
	for (unsigned i = 0; i < 2; i++) {
		d->side[i].walk = NULL;
		d->side[i].piece = (struct chain_piece){ .fd = -1 };
		d->side[i].ended = !has[i];
		if (has[i] && r == 0)
			r = chain_walk_open(&d->side[i].walk, chains[i], id->kind, id->id, d->err);
	}
	if (r == 0)
		r = diff_walk(d);
	chain_walk_close(d->side[0].walk);
	chain_walk_close(d->side[1].walk);
	return r;
}

static int diff_compare(const struct chain_id *a, const struct chain_id *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int diff_all(struct diff *d, const struct chain *const chains[2],
		    struct chain_id *const ids[2], const size_t n[2])
{
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < n[0] || j < n[1])) {
		int order = i == n[0] ? 1 : j == n[1] ? -1 : diff_compare(&ids[0][i], &ids[1][j]);
		bool has[2] = { order <= 0, order >= 0 };

		r = diff_map(d, chains, has[0] ? &ids[0][i] : &ids[1][j], has);
		i += has[0];
		j += has[1];
	}
	return r;
}

int diff_chains(const struct chain *a, const struct chain *b,
		int (*fn)(void *arg, const struct diff_range *r), void *arg, struct err *reterr)
{
	const struct chain *const chains[2] = { a, b };
	struct diff d = { .fn = fn, .arg = arg, .err = reterr };
	struct chain_id *ids[2] = { NULL, NULL };
	size_t n[2] = { 0, 0 };
	int r = chain_ids(a, 0, &ids[0], &n[0], reterr);

	if (r == 0)
		r = chain_ids(b, 0, &ids[1], &n[1], reterr);
	d.side[0].data = sys_malloc(DIFF_BUFFER);
	d.side[1].data = sys_malloc(DIFF_BUFFER);
	if (r == 0 && (!d.side[0].data || !d.side[1].data))
		r = err_set(reterr, -ENOMEM, "diff: out of memory");
	if (r == 0)
		r = diff_all(&d, chains, ids, n);
	for (unsigned i = 0; i < 2; i++) {
		free(d.side[i].data);
		free(ids[i]);
	}
	return r;
}
