/* SPDX-License-Identifier: MIT */
/*
 * One image: entries by address, and the pages behind them in large writes.
 * Pages are read before their entry is made, so that what cannot be read is
 * never listed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "predump/predump.h"
#include "predump/put.h"
#include "sys/sys.h"

#define WRITE_PIECES 1024

struct write {
	struct predump *p;
	struct put put;
	const struct predump_from *from;
	const struct ranges *present, *parent;
	size_t i, k;             /* next of present, of parent */
	uint64_t pos;            /* how far present.v[i] is */
	uint64_t expected_bytes;
};

static int write_begin(struct predump *p, struct dir **ret, const char *path,
		       const struct dir_options *o)
{
	int r = dir_begin(ret, path, o, &p->c.err);

	return r < 0 || !p->o->to ? r : remote_begin(p->o->to, p->c.deadline_ns, &p->c.err);
}

int predump_begin(struct predump *p, struct dir **ret)
{
	struct dir_options o = {
		.flags = (p->o->flags & DECANT_PREDUMP_CLEAN ? DIR_CLEAN : 0u) |
			 (p->o->flags & DECANT_PREDUMP_SYNC ? DIR_SYNC : 0u),
	};
	char path[DIR_PATH_MAX], parent[DIR_PATH_MAX];
	int r, n;

	if (p->images == 0)
		o.parent = p->o->parent;
	else if (p->chain)
		o.parent = p->above;
	if (!p->numbered)
		return write_begin(p, ret, p->path, &o);
	n = snprintf(path, sizeof(path), "%s/%u", p->path, p->images + 1);
	if (n < 0 || (size_t)n >= sizeof(path))
		return predump_fail(p, -ENAMETOOLONG, p->path);
	r = p->images ? 0 : sys_mkdir(p->path, 0700);
	if (r < 0 && r != -EEXIST)
		return predump_fail(p, r, p->path);
	(void)snprintf(parent, sizeof(parent), "%s/%u", p->path, p->images);
	if (p->images)
		o.parent = parent;
	return write_begin(p, ret, path, &o);
}

/* ------------------------------------------------------------------- pages */

/* Those of the parent that come before addr. */
static int write_parents(struct write *w, uint64_t addr)
{
	const struct ranges *v = w->parent;
	int r = 0;

	for (; w->k < v->n && v->v[w->k].start < addr && r >= 0; w->k++)
		r = put_parent(&w->put, v->v[w->k].start, v->v[w->k].end);
	return r;
}

/* How much of what begins at addr comes one way; by a pipe: *ret_pipe. */
static uint64_t write_way(const struct write *w, uint64_t addr, uint64_t end, bool *ret_pipe)
{
	const struct ranges *own = w->from->own;
	size_t i = own ? ranges_find(own, addr) : 0;

	*ret_pipe = w->put.siphon != NULL;
	if (!own || i == own->n)
		return end;
	if (own->v[i].start > addr)
		return min_u64(end, own->v[i].start);
	*ret_pipe = false;
	return min_u64(end, own->v[i].end);
}

/* The next pieces of present that go one way together. */
static size_t write_pick(struct write *w, struct range *v, bool *ret_pipe)
{
	uint64_t room = put_bytes(&w->put), pos = w->pos;
	size_t n = 0, i = w->i, max = WRITE_PIECES;
	bool pipe;

	while (n < max && room && i < w->present->n) {
		const struct range *x = &w->present->v[i];
		uint64_t start = max_u64(x->start, pos);
		uint64_t end = write_way(w, start, min_u64(x->end, start + room), &pipe);

		if (n == 0) {
			*ret_pipe = pipe;
			if (pipe) {
				max = SIPHON_RANGES;
				room = siphon_size(w->put.siphon);
				end = min_u64(end, start + room);
			}
		} else if (pipe != *ret_pipe) {
			break;
		}
		v[n++] = (struct range){ start, end };
		room -= end - start;
		pos = end;
		i += end == x->end;
	}
	return n;
}

/* So many bytes of what was picked are done. */
static void write_advance(struct write *w, const struct range *v, size_t n, uint64_t len)
{
	for (size_t i = 0; i < n && len; i++) {
		uint64_t some = min_u64(len, v[i].end - v[i].start);

		w->pos = v[i].start + some;
		len -= some;
		w->i += w->pos == w->present->v[w->i].end;
	}
}

enum write_how { WRITE_BAD, WRITE_SAME, WRITE_PAGES };

/* What becomes of the pages from `from` on, and up to where. */
static enum write_how write_how(const struct predump *p, uint64_t from, uint64_t *end)
{
	const struct ranges *lists[] = { &p->bad, &p->same };

	for (unsigned how = 0; how < 2; how++) {
		size_t i = ranges_find(lists[how], from);

		if (i == lists[how]->n)
			continue;
		if (lists[how]->v[i].start <= from) {
			*end = min_u64(*end, lists[how]->v[i].end);
			return how;
		}
		*end = min_u64(*end, lists[how]->v[i].start);
	}
	return WRITE_PAGES;
}

/* x, which is at b->data + at: but for what is bad, and what the parent has. */
static int write_piece(struct write *w, const struct put_buffer *b, uint32_t at, struct range x)
{
	int r = 0;

	for (uint64_t from = x.start, end; from < x.end && r >= 0; from = end) {
		enum write_how how;

		end = x.end;
		how = write_how(w->p, from, &end);
		if (how == WRITE_BAD)
			continue;
		r = write_parents(w, from);
		if (r >= 0)
			r = how == WRITE_SAME ? put_parent(&w->put, from, end) :
			    put_pages(&w->put, b, at + (uint32_t)(from - x.start), from, end);
	}
	return r;
}

/* Pieces of one buffer lie one behind the other in the file, too. */
static int write_buffer(struct write *w, const struct range *v, size_t n)
{
	struct put_buffer b;
	uint32_t at = 0;
	int r = put_buffer(&w->put, &b), done;

	if (r < 0)
		return r;
	r = w->from->gather(w->from->arg, v, n, b.data, &w->p->bad);
	if (r < 0)
		(void)predump_fail(w->p, r, "reading the target's memory");
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (w->put.parent)
			r = predump_parent_same(w->p, v[i], b.data + at, &w->p->same);
		if (r >= 0)
			r = write_piece(w, &b, at, v[i]);
		at += (uint32_t)(v[i].end - v[i].start);
	}
	done = put_done(&w->put, &b);
	write_advance(w, v, n, UINT64_MAX);
	return r < 0 ? r : done;
}

/* By a pipe, as far as that goes: what does not go is read. */
static int write_pipe(struct write *w, const struct range *v, size_t n)
{
	struct range first = { v[0].start, min_u64(v[0].end, v[0].start + put_bytes(&w->put)) };
	int64_t len = siphon_fill(w->put.siphon, v, n, &w->p->c.err);
	uint64_t left = len > 0 ? (uint64_t)len : 0;
	int r = 0;

	if (len <= 0)
		return len < 0 ? (int)len : write_buffer(w, &first, 1);
	for (size_t i = 0; left && r >= 0; i++) {
		uint64_t some = min_u64(left, v[i].end - v[i].start);

		r = write_parents(w, v[i].start);
		if (r >= 0)
			r = put_pipe(&w->put, v[i].start, v[i].start + some, i == 0);
		left -= some;
	}
	if (r >= 0)
		r = put_piped(&w->put);
	w->p->c.copied_bytes += (uint64_t)len;
	write_advance(w, v, n, (uint64_t)len);
	return r;
}

static int write_all(struct write *w)
{
	struct range v[WRITE_PIECES];
	bool pipe = false;
	int r = 0;

	while (r >= 0 && w->i < w->present->n) {
		size_t n = write_pick(w, v, &pipe);

		r = pipe ? write_pipe(w, v, n) : write_buffer(w, v, n);
		if (r >= 0)
			r = capture_tick(&w->p->c, w->from->phase, w->expected_bytes);
	}
	return r < 0 ? r : write_parents(w, UINT64_MAX);
}

/* What could not be read is in no image. */
static int write_account(struct predump *p, struct ranges *present)
{
	if (!p->bad.n)
		return 0;
	if (ranges_subtract(&p->tmp, present, &p->bad) < 0)
		return predump_fail(p, -ENOMEM, "account of the pages");
	ranges_swap(present, &p->tmp);
	return 0;
}

int predump_write(struct predump *p, struct dir *d, enum dir_kind kind, uint64_t id,
		  struct ranges *present, struct ranges *parent, const struct predump_from *from)
{
	struct write w = { .p = p, .from = from, .present = present, .parent = parent };
	int r, ended;

	ranges_clear(&p->bad);
	ranges_clear(&p->same);
	r = put_begin(&w.put, p, d, kind, id, ranges_bytes(present) + ranges_bytes(parent),
		      from->shadow);
	if (r < 0)
		return r;
	/* Where there is no parent all that is there is written. */
	if (!w.put.parent && parent->n) {
		r = ranges_union(&p->tmp, present, parent);
		ranges_swap(present, &p->tmp);
		ranges_clear(parent);
	}
	w.expected_bytes = p->c.copied_bytes + ranges_bytes(present);
	r = r < 0 ? predump_fail(p, r, "account of the pages") : write_all(&w);
	if (r < 0) {
		put_drop(&w.put);
		return r;
	}
	ended = put_end(&w.put);
	p->report->last_pages += w.put.present_pages;
	p->report->parent_pages += w.put.parent_pages;
	return ended < 0 ? ended : write_account(p, present);
}

/* -------------------------------------------------------------------- end */

/* Later than the target's start, in the clock of CRIU: /proc/uptime. */
static uint64_t write_uptime(struct predump *p)
{
	unsigned long long s = 0;
	struct buf b = BUF_INIT;
	unsigned c = 0;

	if (procfs_read(p->c.t->proc_fd, "../uptime", &b) >= 0)
		(void)sscanf(buf_str(&b), "%llu.%u", &s, &c);
	buf_free(&b);
	return s * 1000000 + (uint64_t)c * 10000;
}

static uint32_t write_us(uint64_t ns)
{
	return (uint32_t)min_u64(ns / 1000, UINT32_MAX);
}

int predump_commit(struct predump *p, struct dir *d, uint64_t begin_ns, bool final)
{
	struct decant_predump_report *rep = p->report;
	uint64_t now_ns = sys_clock_ns();
	struct criu_inventory inventory = {
		.img_version = 2, .fdinfo_per_id = true,
		.pre_dump_mode = p->report->mode[0] == 'v' ? 1 : 2,
		.dump_uptime_us = write_uptime(p),
	};
	struct criu_stats stats = {
		.frozen_us = write_us(p->capture_report.pauses_ns),
		.memdump_us = write_us(now_ns - begin_ns),
		.memwrite_us = write_us(now_ns - begin_ns),
		.pages_scanned = rep->last_pages + rep->parent_pages,
		.pages_skipped_parent = rep->parent_pages,
		.pages_written = rep->last_pages,
	};
	struct decant_predump_round round = {
		.image = ++p->images, .final = final,
		.present_pages = rep->last_pages, .parent_pages = rep->parent_pages,
		.scan_ns = p->scan_ns,
	};
	int r = p->o->to ? remote_commit(p->o->to, &p->c.err) : 0;

	if (r >= 0)
		r = dir_commit(d, &inventory, &stats, &p->c.err);
	if (r < 0) {
		p->images--;
		return r;
	}
	round.time_ns = sys_clock_ns() - begin_ns;
	rep->images = p->images;
	rep->present_pages += rep->last_pages;
	if (p->o->round && p->o->round(p->o->arg, &round) != 0)
		return err_set(&p->c.err, -ECANCELED, "predump: cancelled");
	return 0;
}
