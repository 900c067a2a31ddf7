/* SPDX-License-Identifier: MIT */
/* decant_images_*(): arguments checked, sentences put where decant_strerror() finds them. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/api.h"
#include "dump/check.h"
#include "dump/core.h"
#include "dump/diff.h"
#include "dump/flatten.h"
#include "dump/note.h"
#include "sys/sys.h"

static_assert((int)DECANT_IMAGES_PRESENT == (int)CRIU_PRESENT &&
	       (int)DECANT_IMAGES_PARENT == (int)CRIU_PARENT &&
	       (int)DECANT_IMAGES_LAZY == (int)CRIU_LAZY, "flags of entries");
static_assert((int)DECANT_IMAGES_IN_SHMEM == (int)CRIU_MAP_SHMEM &&
	       (int)DECANT_IMAGES_FILE == (int)CRIU_MAP_FILE, "flags of mappings");
static_assert((int)DECANT_IMAGES_ONLY_B == (int)DIFF_ONLY_B, "what differs");

struct decant_images {
	struct decant *d;
	struct chain chain;
	struct err broken;
};

int decant_images_open(struct decant *d, struct decant_images **ret, const char *dir,
		       uint32_t flags)
{
	struct decant_images *i;
	int r;

	if (!d || !ret || !dir)
		return -EINVAL;
	if (flags & ~(uint32_t)DECANT_IMAGES_BROKEN)
		return err_set(&d->err, -EINVAL, "images: unknown flag");
	i = sys_calloc(1, sizeof(*i));
	if (!i)
		return err_set(&d->err, -ENOMEM, "images: out of memory");
	i->d = d;
	r = chain_open(&i->chain, dir, flags & DECANT_IMAGES_BROKEN ? &i->broken : NULL, &d->err);
	if (r < 0) {
		free(i);
		return r;
	}
	*ret = i;
	return 0;
}

void decant_images_close(struct decant_images *i)
{
	if (!i)
		return;
	chain_close(&i->chain);
	free(i);
}

int decant_images_level(const struct decant_images *i, unsigned level,
			struct decant_images_level *ret)
{
	const struct chain_level *l;

	if (!i)
		return -EINVAL;
	if (!ret)
		return (int)i->chain.n;
	if (level >= i->chain.n || ret->size < sizeof(*ret))
		return err_set(&i->d->err, level >= i->chain.n ? -ENOENT : -EINVAL,
			       "images: level %u: no such level, or size is not set", level);
	l = &i->chain.levels[level];
	ret->complete = l->complete;
	ret->unfinished = l->unfinished;
	ret->img_version = l->inventory.img_version;
	ret->pre_dump_mode = l->inventory.pre_dump_mode;
	ret->dump_uptime_us = l->inventory.dump_uptime_us;
	ret->path = l->path;
	ret->parent = l->parent;
	return (int)i->chain.n;
}

/* --------------------------------------------------------------- pagemaps */

static int images_no_level(const struct decant_images *i, unsigned level)
{
	if (level < i->chain.n)
		return 0;
	return err_set(&i->d->err, -ENOENT, "images: there is no level %u", level);
}

static void images_count(struct decant_images *i, unsigned level, struct decant_images_map *ret)
{
	struct chain_map *m = NULL;
	struct criu_entry e;
	struct err err = { "" };
	uint64_t offset;
	int r = chain_map_open(&m, &i->chain, level, ret->kind, ret->id, &err);

	if (r == 0) {
		ret->pages_id = chain_map_pages_id(m);
		ret->file_bytes = chain_map_pages_bytes(m);
	}
	while (r >= 0 && (r = chain_map_next(m, &e, &offset, &err)) == 1) {
		ret->entries++;
		ret->present_pages += e.flags & CRIU_PRESENT ? e.nr_pages : 0;
		ret->parent_pages += e.flags & CRIU_PARENT ? e.nr_pages : 0;
		ret->lazy_pages += e.flags & CRIU_LAZY ? e.nr_pages : 0;
	}
	chain_map_close(m);
	ret->error = r < 0 ? r : 0;
	if (r < 0)
		memcpy(ret->message, err.text, sizeof(ret->message));
}

int decant_images_maps(struct decant_images *i, unsigned level,
		       int (*fn)(void *arg, const struct decant_images_map *m), void *arg)
{
	struct chain_id *ids = NULL;
	size_t n = 0;
	int r;

	if (!i || !fn)
		return -EINVAL;
	r = images_no_level(i, level);
	if (r == 0)
		r = chain_ids(&i->chain, level, &ids, &n, &i->d->err);
	for (size_t k = 0; k < n && r == 0; k++) {
		struct decant_images_map m = {
			.size = sizeof(m), .kind = ids[k].kind, .id = ids[k].id,
		};

		images_count(i, level, &m);
		r = fn(arg, &m);
	}
	free(ids);
	return r;
}

int decant_images_entries(struct decant_images *i, unsigned level, uint32_t kind, uint64_t id,
			  int (*fn)(void *arg, const struct decant_images_range *r), void *arg)
{
	struct chain_map *m = NULL;
	struct criu_entry e;
	uint64_t offset;
	int r;

	if (!i || !fn || kind > DECANT_IMAGES_SHMEM)
		return -EINVAL;
	r = images_no_level(i, level);
	if (r == 0)
		r = chain_map_open(&m, &i->chain, level, kind, id, &i->d->err);
	while (r == 0 && (r = chain_map_next(m, &e, &offset, &i->d->err)) == 1) {
		struct decant_images_range range = {
			.start = e.vaddr, .end = criu_entry_end(&e), .flags = e.flags,
			.offset = e.flags & CRIU_PRESENT ? offset : 0, .level = level,
		};

		r = fn(arg, &range);
	}
	chain_map_close(m);
	return r;
}

int decant_images_pages(struct decant_images *i, uint32_t kind, uint64_t id,
			int (*fn)(void *arg, const struct decant_images_range *r), void *arg)
{
	struct chain_walk *w = NULL;
	struct chain_piece p;
	int r;

	if (!i || !fn || kind > DECANT_IMAGES_SHMEM)
		return -EINVAL;
	r = chain_walk_open(&w, &i->chain, kind, id, &i->d->err);
	while (r == 0 && (r = chain_walk_next(w, &p, &i->d->err)) == 1) {
		struct decant_images_range range = {
			.start = p.start, .end = p.end, .offset = p.offset, .level = p.level,
			.flags = p.fd < 0 ? CRIU_LAZY : CRIU_PRESENT,
		};

		r = fn(arg, &range);
	}
	chain_walk_close(w);
	return r;
}

static int images_mapping(const struct criu_mapping *m,
			  int (*fn)(void *arg, const struct decant_images_mapping *m), void *arg)
{
	char name[CRIU_NAME_MAX + 1];
	struct decant_images_mapping out = {
		.start = m->start, .end = m->end, .file_offset = m->file_offset,
		.shmid = m->shmid, .flags = m->flags, .name = name,
	};

	memcpy(name, m->name, m->name_len);
	name[m->name_len] = '\0';
	return fn(arg, &out);
}

int decant_images_mappings(struct decant_images *i, uint64_t pid,
			   int (*fn)(void *arg, const struct decant_images_mapping *m), void *arg)
{
	struct criu_note n;
	struct note note;
	int r;

	if (!i || !fn)
		return -EINVAL;
	r = note_open(&note, &i->chain, 0, pid, &i->d->err);
	if (r == -ENOENT)
		return err_set(&i->d->err, -ENODATA, "%s: no decant-%" PRIu64 ".img",
			       i->chain.levels[0].path, pid);
	if (r < 0)
		return r;
	while ((r = note_next(&note, &n, &i->d->err)) == 1) {
		r = n.kind == CRIU_NOTE_MAPPING ? images_mapping(&n.mapping, fn, arg) : 0;
		if (r != 0)
			break;
	}
	note_close(&note);
	return r;
}

/* ------------------------------------------------------------------- jobs */

struct images_check {
	int (*fn)(void *arg, const struct decant_images_fault *f);
	void *arg;
};

static int images_fault(void *arg, const struct check_fault *f)
{
	const struct images_check *c = arg;
	struct decant_images_fault out = {
		.level = f->level, .notice = f->weight == CHECK_NOTICE, .of_map = f->of_map,
		.kind = f->kind, .id = f->id, .addr = f->addr, .pages = f->pages,
	};

	memcpy(out.message, f->text, sizeof(out.message));
	return c->fn(c->arg, &out);
}

int64_t decant_images_check(struct decant_images *i,
			    int (*fn)(void *arg, const struct decant_images_fault *f), void *arg)
{
	struct images_check c = { fn, arg };

	if (!i || !fn)
		return -EINVAL;
	return check_chain(&i->chain, &i->broken, images_fault, &c, &i->d->err);
}

/* What came of it, in the engine's sentence: moving pages may have changed that meanwhile. */
static int images_end(struct decant_images *i, int r, const struct err *e)
{
	if (r < 0)
		(void)err_set(&i->d->err, r, "%s", e->text);
	return r;
}

static int images_check_report(struct decant_images *i, const struct decant_images_report *ret)
{
	if (ret && ret->size < sizeof(*ret))
		return err_set(&i->d->err, -EINVAL,
			       "report: size is not set (use DECANT_IMAGES_REPORT_INIT)");
	return 0;
}

int decant_images_flatten(struct decant_images *i, const char *to, uint32_t flags,
			  struct decant_images_report *ret)
{
	struct flatten_report report;
	struct err e = { "" };
	int r;

	if (!i)
		return -EINVAL;
	r = images_check_report(i, ret);
	if (r == 0 && flags & ~(uint32_t)(DECANT_IMAGES_CLEAN | DECANT_IMAGES_SYNC))
		r = err_set(&i->d->err, -EINVAL, "flatten: unknown flag");
	if (r == 0 && i->broken.text[0])
		r = err_set(&i->d->err, -ENODATA, "%s", i->broken.text);
	if (r < 0)
		return r;
	r = flatten_chain(i->d, &i->chain, to,
			  (flags & DECANT_IMAGES_CLEAN ? (uint32_t)DIR_CLEAN : 0) |
			  (flags & DECANT_IMAGES_SYNC ? (uint32_t)DIR_SYNC : 0), &report, &e);
	if (ret) {
		ret->maps = report.maps;
		ret->pages = report.pages;
		ret->copied_bytes = report.copied_bytes;
	}
	return images_end(i, r, &e);
}

int decant_images_core(struct decant_images *i, uint64_t pid, int fd,
		       struct decant_images_report *ret)
{
	struct core_report report = { 0 };
	struct err e = { "" };
	struct stat st;
	int r;

	if (!i)
		return -EINVAL;
	r = images_check_report(i, ret);
	if (r < 0)
		return r;
	r = sys_fstat(fd, &st);
	if (r < 0)
		return err_errno(&i->d->err, r, "core: its file");
	if (!S_ISREG(st.st_mode) || st.st_size)
		return err_set(&i->d->err, -EINVAL, "core: needs a regular file that is empty");
	r = core_from_chain(i->d, &i->chain, pid, fd, &report, &e);
	if (ret) {
		ret->maps = 1;
		ret->pages = report.pages;
		ret->stray_pages = report.stray_pages;
		ret->mappings = (uint32_t)report.mappings;
		ret->copied_bytes = report.copied_bytes;
		ret->file_bytes = report.file_bytes;
	}
	return images_end(i, r, &e);
}

struct images_diff {
	int (*fn)(void *arg, const struct decant_images_change *c);
	void *arg;
};

static int images_change(void *arg, const struct diff_range *r)
{
	const struct images_diff *d = arg;
	struct decant_images_change c = {
		.kind = r->id.kind, .id = r->id.id, .what = r->what,
		.start = r->start, .end = r->end,
	};

	return d->fn(d->arg, &c);
}

int decant_images_diff(struct decant_images *a, struct decant_images *b,
		       int (*fn)(void *arg, const struct decant_images_change *c), void *arg)
{
	struct images_diff d = { fn, arg };

	if (!a || !b || !fn)
		return -EINVAL;
	return diff_chains(&a->chain, &b->chain, images_change, &d, &a->d->err);
}
