/* SPDX-License-Identifier: MIT */
#include "dump/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "dump/names.h"
#include "dump/note.h"
#include "sys/sys.h"

#define CHECK_STATS_MAX (32u << 10)

struct check {
	const struct chain *chain;
	int (*fn)(void *arg, const struct check_fault *f);
	void *arg;
	int64_t faults;
	int error;               /* fn's, or ours: stop */
	unsigned level;
	const struct chain_id *id; /* NULL: not in a pagemap */
	uint32_t *pages;         /* numbers that the level's pagemaps name */
	size_t pages_n;
};

/* Not about the images but about us: ends it all. */
static bool check_is_ours(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EIO;
}

__attribute__((format(printf, 5, 6)))
static void check_tell(struct check *c, enum check_weight weight, uint64_t addr, uint64_t pages,
		       const char *fmt, ...)
{
	struct check_fault f = {
		.weight = weight, .level = c->level, .of_map = c->id != NULL,
		.addr = addr, .pages = pages,
	};
	va_list ap;
	int r;

	if (c->error)
		return;
	if (c->id) {
		f.kind = c->id->kind;
		f.id = c->id->id;
	}
	va_start(ap, fmt);
	(void)vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	c->faults += weight == CHECK_FAULT;
	r = c->fn(c->arg, &f);
	if (r)
		c->error = r < 0 ? r : -ECANCELED;
}

/* An error of reading, told as a fault; its sentence begins with the directory's name. */
static void check_error(struct check *c, int r, const struct err *e)
{
	const char *path = c->chain->levels[c->level].path, *text = e->text;
	size_t n = strlen(path);

	if (check_is_ours(r)) {
		c->error = r;
		return;
	}
	if (strncmp(text, path, n) == 0 && (text[n] == '/' || text[n] == ':'))
		text += n + 1 + (text[n] == ':');
	check_tell(c, CHECK_FAULT, 0, 0, "%s", text);
}

/* ------------------------------------------------------------- one pagemap */

struct check_entries {
	uint64_t start, end;     /* of the entry before */
	uint64_t present, parent, bytes;
	bool damaged;
};

static void check_entry(struct check *c, struct check_entries *s, const struct criu_entry *e)
{
	uint64_t end = criu_entry_end(e);

	if (e->vaddr < s->end)
		check_tell(c, CHECK_FAULT, e->vaddr, e->nr_pages,
			   e->vaddr >= s->start || end > s->start ?
			   "overlaps the entry before it (%" PRIx64 "-%" PRIx64 ")" :
			   "is not in order: stands behind %" PRIx64 "-%" PRIx64,
			   s->start, s->end);
	if (e->flags == CRIU_LAZY && c->level == 0)
		check_tell(c, CHECK_NOTICE, e->vaddr, e->nr_pages,
			   "lazy: these pages are in no file");
	if (e->flags & CRIU_LAZY && c->level > 0)
		check_tell(c, CHECK_NOTICE, e->vaddr, e->nr_pages,
			   "lazy pages in a parent: CRIU does not restore them");
	s->start = e->vaddr;
	s->end = end;
	s->present += e->flags & CRIU_PRESENT ? e->nr_pages : 0;
	s->parent += e->flags & CRIU_PARENT ? e->nr_pages : 0;
}

static void check_sizes(struct check *c, const struct chain_map *m,
			const struct check_entries *s)
{
	uint64_t have = chain_map_pages_bytes(m);
	uint32_t id = chain_map_pages_id(m);

	if (chain_map_pages_fd(m) < 0) {
		if (s->present)
			check_tell(c, CHECK_FAULT, 0, s->present, "pages-%" PRIu32 ".img is "
				   "missing", id);
	} else if (s->damaged) {
		return;
	} else if (have < s->bytes) {
		check_tell(c, CHECK_FAULT, 0, 0, "pages-%" PRIu32 ".img has %" PRIu64 " bytes, and "
			   "%" PRIu64 " are named", id, have, s->bytes);
	} else if (have > s->bytes) {
		check_tell(c, CHECK_FAULT, 0, 0, "pages-%" PRIu32 ".img has %" PRIu64 " bytes, and "
			   "only %" PRIu64 " are named", id, have, s->bytes);
	}
}

/* The pagemap by itself.  true: it has PARENT entries. */
static bool check_map(struct check *c, struct chain_map *m)
{
	struct check_entries s = { 0 };
	struct criu_entry e;
	uint64_t offset;
	int r;

	while (!c->error) {
		struct err err = { "" };

		r = chain_map_next(m, &e, &offset, &err);
		if (r == 0)
			break;
		if (r < 0) {
			s.damaged = true;
			check_error(c, r, &err);
			continue;
		}
		check_entry(c, &s, &e);
		if (e.flags & CRIU_PRESENT)
			s.bytes = offset + e.nr_pages * CRIU_PAGE;
	}
	check_sizes(c, m, &s);
	return s.parent != 0;
}

/* ---------------------------------------------------- PARENT, level by level */

/*
 * What the parent says of addresses that ascend.  Entries of it that are out of
 * order were told when it was checked; CRIU would not find them either.
 */
struct check_parent {
	struct chain_map *map;   /* NULL: it has no such pagemap */
	struct criu_entry e;
	bool ended;
};

static void check_seek(struct check_parent *p, uint64_t at)
{
	while (!p->ended && (!p->e.nr_pages || criu_entry_end(&p->e) <= at)) {
		uint64_t offset;
		int r = chain_map_next(p->map, &p->e, &offset, NULL);

		p->ended = r == 0;
		if (r < 0)
			p->e.nr_pages = 0;
	}
}

/* One PARENT entry: told are the stretches that are not there. */
static void check_covered(struct check *c, struct check_parent *p, const struct criu_entry *e)
{
	uint64_t at = e->vaddr, end = criu_entry_end(e), to;

	while (at < end && !c->error) {
		if (p->map)
			check_seek(p, at);
		if (!p->map || p->ended || p->e.vaddr > at) {
			to = !p->map || p->ended ? end : min_u64(end, p->e.vaddr);
			check_tell(c, CHECK_FAULT, at, (to - at) / CRIU_PAGE,
				   c->level + 1 == c->chain->n ?
				   "should be in the parent, and there is none" :
				   "should be in the parent, which does not have it");
		} else {
			to = min_u64(end, criu_entry_end(&p->e));
			if (p->e.flags == CRIU_LAZY)
				check_tell(c, CHECK_FAULT, at, (to - at) / CRIU_PAGE,
					   "should be in the parent, which has it in no file");
		}
		at = to;
	}
}

static void check_parents(struct check *c)
{
	struct check_parent p = { .map = NULL };
	struct chain_map *m = NULL;
	struct err err = { "" };
	struct criu_entry e;
	uint64_t offset, at = 0;
	int r;

	r = chain_map_open(&m, c->chain, c->level, c->id->kind, c->id->id, &err);
	if (r == 0 && c->level + 1 < c->chain->n) {
		r = chain_map_open(&p.map, c->chain, c->level + 1, c->id->kind, c->id->id, &err);
		/* What is wrong with it is told at its own level. */
		r = check_is_ours(r) ? r : 0;
	}
	while (r >= 0 && !c->error && (r = chain_map_next(m, &e, &offset, &err)) != 0) {
		r = r < 0 && !check_is_ours(r) ? 1 : r;
		if (r < 0 || !(e.flags & CRIU_PARENT) || e.vaddr < at)
			continue;
		check_covered(c, &p, &e);
		at = criu_entry_end(&e);
		e.flags = 0;
	}
	if (check_is_ours(r))
		c->error = r;
	chain_map_close(p.map);
	chain_map_close(m);
}

/* -------------------------------------------------------------- the others */

static void check_note(struct check *c)
{
	struct err err = { "" };
	struct criu_note n;
	struct note note;
	int r = note_open(&note, c->chain, c->level, c->id->id, &err);

	if (r == -ENOENT)
		return;
	if (r == 0) {
		while ((r = note_next(&note, &n, &err)) == 1)
			;
		note_close(&note);
	}
	if (r < 0)
		check_error(c, r, &err);
}

static void check_stats(struct check *c)
{
	struct records records = RECORDS_INIT;
	struct criu_stats stats;
	struct err err = { "" };
	const void *body;
	size_t len;
	int r = records_open(&records, c->chain->levels[c->level].fd, NAMES_STATS, CRIU_STATS,
			     CHECK_STATS_MAX, &err);

	if (r == -ENOENT)
		return;
	if (r == 0 && (r = records_next(&records, &body, &len, &err)) == 0)
		r = err_set(&err, -EBADMSG, "has no record");
	if (r == 1)
		r = criu_get_stats(body, len, &stats, &err);
	records_close(&records);
	/* Nobody needs them for the pages. */
	if (check_is_ours(r))
		c->error = r;
	else if (r < 0)
		check_tell(c, CHECK_NOTICE, 0, 0, NAMES_STATS ": %.120s", err.text);
}

static void check_head(struct check *c, const struct err *broken)
{
	const struct chain_level *l = &c->chain->levels[c->level];

	if (broken && broken->text[0] && c->level + 1 == c->chain->n)
		check_tell(c, CHECK_FAULT, 0, 0, "parent: %.150s", broken->text);
	if (l->unfinished)
		check_tell(c, CHECK_FAULT, 0, 0, "unfinished: a writer is at work, or was killed");
	else if (!l->complete)
		check_tell(c, CHECK_NOTICE, 0, 0, "no " NAMES_INVENTORY ": not complete, or "
			   "received by a page server");
	if (check_is_ours(l->inventory_error))
		c->error = l->inventory_error;
	else if (l->inventory_error)
		check_tell(c, CHECK_FAULT, 0, 0, NAMES_INVENTORY ": cannot be read: %s",
			   strerrorname_np(-l->inventory_error));
}

static int check_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int check_unused(void *arg, const char *name)
{
	struct names_parsed p = names_parse(name);
	uint32_t id = (uint32_t)p.id;
	struct check *c = arg;

	if (p.kind == NAMES_PAGES && !p.part &&
	    !bsearch(&id, c->pages, c->pages_n, sizeof(id), check_compare))
		check_tell(c, CHECK_NOTICE, 0, 0, "%s: no pagemap needs it", name);
	return c->error;
}

static void check_pages_files(struct check *c)
{
	int r;

	if (c->pages_n)
		qsort(c->pages, c->pages_n, sizeof(*c->pages), check_compare);
	for (size_t i = 1; i < c->pages_n; i++)
		if (c->pages[i] == c->pages[i - 1])
			check_tell(c, CHECK_FAULT, 0, 0, "pages-%" PRIu32 ".img: is that of "
				   "several pagemaps", c->pages[i]);
	r = names_each(c->chain->levels[c->level].fd, check_unused, c);
	if (r < 0 && !c->error)
		c->error = r;
}

static void check_one(struct check *c)
{
	struct chain_map *m = NULL;
	struct err err = { "" };
	bool parents = false;
	int r = chain_map_open(&m, c->chain, c->level, c->id->kind, c->id->id, &err);

	if (r < 0) {
		check_error(c, r, &err);
	} else {
		c->pages[c->pages_n++] = chain_map_pages_id(m);
		parents = check_map(c, m);
		chain_map_close(m);
	}
	if (parents && !c->error)
		check_parents(c);
	if (c->id->kind == DIR_PROCESS && !c->error)
		check_note(c);
}

static void check_level(struct check *c, const struct err *broken, struct err *e)
{
	struct chain_id *ids = NULL;
	size_t n = 0;
	int r;

	check_head(c, broken);
	r = chain_ids(c->chain, c->level, &ids, &n, e);
	if (r == 0) {
		c->pages = sys_calloc(n + 1, sizeof(*c->pages));
		r = c->pages ? 0 : -ENOMEM;
	}
	if (r < 0)
		c->error = r;
	if (r == 0 && n == 0 && c->level == 0)
		check_tell(c, CHECK_FAULT, 0, 0, "no pagemap: there are no images here");
	c->pages_n = 0;
	for (size_t i = 0; i < n && !c->error; i++) {
		c->id = &ids[i];
		check_one(c);
	}
	c->id = NULL;
	if (!c->error)
		check_pages_files(c);
	if (!c->error)
		check_stats(c);
	free(c->pages);
	c->pages = NULL;
	free(ids);
}

int64_t check_chain(const struct chain *chain, const struct err *broken,
		    int (*fn)(void *arg, const struct check_fault *f), void *arg,
		    struct err *reterr)
{
	struct check c = { .chain = chain, .fn = fn, .arg = arg };

	for (; c.level < chain->n && !c.error; c.level++) {
		struct err e = { "" };

		check_level(&c, broken, &e);
		if (c.error)
			err_errno(reterr, c.error, "%s: checking it", chain->levels[c.level].path);
	}
	return c.error ? c.error : c.faults;
}
