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
#include "dump/predump.h"
#include "sys/sys.h"

#define WRITE_PIECES 1024
#define WRITE_AHEAD_BYTES (128ull << 20)

struct write {
	struct predump *p;
	struct dir_pages *pages;
	struct writer *writer;
	const struct predump_from *from;
	const struct ranges *present, *parent;
	size_t i, k;             /* next of present, of parent */
	uint64_t pos;            /* how far present.v[i] is */
	uint64_t put, ahead;     /* bytes written, bytes that room was made for */
	uint64_t expected_bytes;
};

int predump_begin(struct predump *p, struct dir **ret)
{
	struct dir_options o = {
		.flags = (p->o->flags & DECANT_PREDUMP_CLEAN ? DIR_CLEAN : 0u) |
			 (p->o->flags & DECANT_PREDUMP_SYNC ? DIR_SYNC : 0u),
	};
	char path[DIR_PATH_MAX], parent[DIR_PATH_MAX];
	int r, n;

	if (p->chain)
		o.parent = p->above;
	if (!p->numbered)
		return dir_begin(ret, p->path, &o, &p->c.err);
	n = snprintf(path, sizeof(path), "%s/%u", p->path, p->images + 1);
	if (n < 0 || (size_t)n >= sizeof(path))
		return predump_fail(p, -ENAMETOOLONG, p->path);
	r = p->images ? 0 : sys_mkdir(p->path, 0700);
	if (r < 0 && r != -EEXIST)
		return predump_fail(p, r, p->path);
	(void)snprintf(parent, sizeof(parent), "%s/%u", p->path, p->images);
	if (p->images)
		o.parent = parent;
	return dir_begin(ret, path, &o, &p->c.err);
}

/* ------------------------------------------------------------------ entries */

static int write_entry(struct write *w, uint64_t start, uint64_t end, uint32_t flags,
		       uint64_t *ret_offset)
{
	struct criu_entry e = { start, (end - start) / CRIU_PAGE, flags };

	return dir_pages_entry(w->pages, &e, ret_offset, &w->p->c.err);
}

/* Those of the parent that come before addr. */
static int write_parents(struct write *w, uint64_t addr)
{
	const struct ranges *v = w->parent;
	int r = 0;

	for (; w->k < v->n && v->v[w->k].start < addr && r >= 0; w->k++)
		r = write_entry(w, v->v[w->k].start, v->v[w->k].end, CRIU_PARENT, NULL);
	return r;
}

/* ------------------------------------------------------------------- pages */

/* The next pieces of present that fill a buffer together. */
static size_t write_pick(struct write *w, struct range *v)
{
	uint64_t room = WRITER_BUFFER_BYTES;
	size_t n = 0;

	while (n < WRITE_PIECES && room && w->i < w->present->n) {
		const struct range *x = &w->present->v[w->i];
		uint64_t start = max_u64(x->start, w->pos);
		uint64_t end = min_u64(x->end, start + room);

		v[n++] = (struct range){ start, end };
		room -= end - start;
		w->pos = end;
		w->i += end == x->end;
	}
	return n;
}

static int write_room(struct write *w, uint64_t offset, uint64_t len)
{
	uint64_t end, most = ranges_bytes(w->present);

	if (offset + len > w->ahead && w->ahead < most) {
		end = min_u64(most, w->ahead + WRITE_AHEAD_BYTES);
		writer_allocate(w->writer, w->ahead, end - w->ahead);
		w->ahead = end;
	}
	return 0;
}

/* [start, end) lies at b->data + at; good: of it, what could be read. */
static int write_piece(struct write *w, struct writer_buffer *b, uint32_t at, uint64_t start,
		       uint64_t end)
{
	uint64_t offset = 0, len = end - start;
	int r = write_parents(w, start);

	if (r >= 0)
		r = write_entry(w, start, end, CRIU_PRESENT, &offset);
	if (r >= 0)
		r = write_room(w, offset, len);
	w->put += len;
	return r < 0 ? r : writer_put(w->writer, b, at, (uint32_t)len, offset, &w->p->c.err);
}

/* The same, without what is bad. */
static int write_good(struct write *w, struct writer_buffer *b, uint32_t at, struct range x)
{
	const struct ranges *bad = &w->p->bad;
	uint64_t from = x.start;
	int r = 0;

	for (size_t i = ranges_find(bad, x.start); i < bad->n && bad->v[i].start < x.end; i++) {
		if (bad->v[i].start > from && r >= 0)
			r = write_piece(w, b, at + (uint32_t)(from - x.start), from,
					bad->v[i].start);
		from = min_u64(bad->v[i].end, x.end);
	}
	if (r >= 0 && from < x.end)
		r = write_piece(w, b, at + (uint32_t)(from - x.start), from, x.end);
	return r;
}

/* Pieces of one buffer lie one behind the other in the file, too. */
static int write_buffer(struct write *w, const struct range *v, size_t n)
{
	struct writer_buffer *b = writer_get(w->writer, &w->p->c.err);
	uint32_t at = 0;
	int r;

	if (!b)
		return -EIO;
	r = w->from->gather(w->from->arg, v, n, b->data, &w->p->bad);
	if (r < 0)
		(void)predump_fail(w->p, r, "reading the target's memory");
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = write_good(w, b, at, v[i]);
		at += (uint32_t)(v[i].end - v[i].start);
	}
	writer_done(w->writer, b);
	return r < 0 ? r : capture_tick(&w->p->c, w->from->phase, w->expected_bytes);
}

static int write_all(struct write *w)
{
	struct range v[WRITE_PIECES];
	int r = 0;

	while (r >= 0 && w->i < w->present->n)
		r = write_buffer(w, v, write_pick(w, v));
	if (r >= 0)
		r = write_parents(w, UINT64_MAX);
	return r < 0 ? r : writer_flush(w->writer, &w->p->c.err);
}

int predump_write(struct predump *p, struct dir *d, enum dir_kind kind, uint64_t id,
		  struct ranges *present, const struct ranges *parent,
		  const struct predump_from *from)
{
	struct write w = {
		.p = p, .from = from, .present = present, .parent = parent,
		.expected_bytes = p->c.copied_bytes + ranges_bytes(present),
	};
	struct dir_count count;
	int r, ended;

	ranges_clear(&p->bad);
	r = dir_pages_begin(d, kind, id, &w.pages, &p->c.err);
	if (r < 0)
		return r;
	r = writer_open(&w.writer, p->c.caps, dir_pages_fd(w.pages), &p->c.err);
	if (r >= 0)
		r = write_all(&w);
	writer_close(w.writer);
	count = dir_pages_count(w.pages);
	p->report->last_pages += count.present;
	p->report->parent_pages += count.parent;
	/* What is not whole goes with the directory. */
	if (r < 0)
		return r;
	ended = dir_pages_end(w.pages, &p->c.err);
	if (ended < 0 || !p->bad.n)
		return ended;
	r = ranges_subtract(&p->tmp, present, &p->bad);
	if (r < 0)
		return predump_fail(p, r, "account of the pages");
	predump_swap(present, &p->tmp);
	return 0;
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
		.img_version = 2, .fdinfo_per_id = true, .pre_dump_mode = 2,
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
	};
	int r = dir_commit(d, &inventory, &stats, &p->c.err);

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
