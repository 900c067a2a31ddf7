/* SPDX-License-Identifier: MIT */
/* What is in a directory before we write: images, or what a killed run left. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "dump/dir_private.h"
#include "sys/name.h"
#include "sys/proc.h"
#include "sys/sys.h"

/* Magic, length and head of a pagemap; ours and CRIU's fit. */
#define CLEAN_HEAD_BYTES 64

struct clean {
	struct dir *d;
	unsigned parts, images;  /* under temporary and under final names */
	bool inventory;
	uint32_t *pages;         /* that a pagemap needs, sorted once all are in */
	size_t n;
};

int dir_pages_of(struct dir *d, const char *name, uint32_t *ret)
{
	_cleanup_close_ int fd = -1;
	unsigned char head[CLEAN_HEAD_BYTES];
	const void *body;
	size_t len;
	ssize_t n;
	int magic;

	fd = sys_openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	n = fd < 0 ? fd : sys_pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return (int)n;
	magic = criu_get_magic(CRIU_PAGEMAP, head, (size_t)n, NULL);
	if (magic <= 0 ||
	    criu_get_record(head + magic, (size_t)(n - magic), &body, &len, NULL) <= 0 ||
	    criu_get_head(body, len, ret, NULL) < 0)
		return -EBADMSG;
	return 0;
}

static bool clean_is_image(enum names_kind kind)
{
	return kind != NAMES_OTHER && kind != NAMES_PARENT_LINK && kind != NAMES_STATS_DUMP;
}

static int clean_count(void *arg, const char *name)
{
	struct names_parsed p = names_parse(name);
	struct clean *c = arg;

	c->parts += p.part;
	c->images += !p.part && clean_is_image(p.kind);
	c->inventory |= !p.part && p.kind == NAMES_INVENTORY_IMG;
	return 0;
}

/* ---------------------------------------------------------------- removing */

static int clean_add(struct clean *c, uint32_t id)
{
	uint32_t *v;

	if (c->n >= 2 * DIR_PAGES_MAX)
		return -EFBIG;
	if ((c->n & (c->n + 1)) == 0 || !c->pages) {
		v = sys_realloc(c->pages, (2 * c->n + 2) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		c->pages = v;
	}
	c->pages[c->n++] = id;
	return 0;
}

/* Which pages a pagemap needs.  One that cannot be read is nobody's to judge here: stop. */
static int clean_need(void *arg, const char *name)
{
	struct names_parsed p = names_parse(name);
	struct clean *c = arg;
	uint32_t id = 0;
	int r;

	if (p.part || (p.kind != NAMES_PAGEMAP && p.kind != NAMES_PAGEMAP_SHMEM))
		return 0;
	r = dir_pages_of(c->d, name, &id);
	return r < 0 ? r : clean_add(c, id);
}

static int clean_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Temporary names; pages that no pagemap needs; and without an inventory, where
 * only one writer is at a time, everything that he had renamed already.
 */
static int clean_remove(void *arg, const char *name)
{
	struct names_parsed p = names_parse(name);
	struct clean *c = arg;
	uint32_t id = (uint32_t)p.id;
	bool alone = !(c->d->flags & DIR_SHARED) && !c->inventory;
	bool go = p.part || (alone && p.kind != NAMES_OTHER);
	int r;

	if (p.kind == NAMES_PAGES && !go)
		go = !bsearch(&id, c->pages, c->n, sizeof(id), clean_compare);
	r = go ? sys_unlinkat(c->d->fd, name, 0) : 0;
	return r == -ENOENT ? 0 : r;
}

static int clean_all(struct clean *c, struct err *e)
{
	int r = names_each(c->d->fd, clean_need, c);

	if (r == 0 && c->n)
		qsort(c->pages, c->n, sizeof(*c->pages), clean_compare);
	if (r == 0)
		r = names_each(c->d->fd, clean_remove, c);
	return r < 0 ? err_errno(e, r, "%s: removing what a killed run left", c->d->path) : 0;
}

/* ----------------------------------------------------------------- looking */

static int clean_refuse(const struct clean *c, struct err *e)
{
	if (c->parts && !c->inventory)
		return err_set(e, -EEXIST, "%s: a run that was killed left %u unfinished file%s "
			       "here", c->d->path, c->parts + c->images,
			       c->parts + c->images == 1 ? "" : "s");
	if (c->images)
		return err_set(e, -EEXIST, "%s: holds %simages already", c->d->path,
			       c->inventory ? "" : "incomplete ");
	return 0;
}

int dir_look(struct dir *d, struct err *reterr)
{
	struct clean c = { .d = d };
	int r;

	if (d->made)
		return 0;
	r = names_each(d->fd, clean_count, &c);
	if (r < 0)
		return err_errno(reterr, r, "%s: reading it", d->path);
	if (d->flags & DIR_CLEAN && c.parts) {
		r = clean_all(&c, reterr);
		free(c.pages);
		c = (struct clean){ .d = d };
		if (r == 0 && (r = names_each(d->fd, clean_count, &c)) < 0)
			r = err_errno(reterr, r, "%s: reading it", d->path);
	}
	if (r == 0 && !(d->flags & DIR_SHARED))
		r = clean_refuse(&c, reterr);
	return r;
}
