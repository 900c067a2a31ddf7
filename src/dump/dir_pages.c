/* SPDX-License-Identifier: MIT */
/* One pagemap and its pages, entries put in order. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "dump/dir_private.h"
#include "sys/name.h"
#include "sys/sys.h"

#define PAGES_TEXT_BYTES (64u << 10)
/* Entries grow together up to here, so that any reader's sums stay small. */
#define PAGES_MERGE_MAX (UINT64_C(1) << 24)
/* Numbers tried: others may have taken some. */
#define PAGES_TRIES (2u * DIR_PAGES_MAX)

static int pages_fail(struct dir_pages *p, int r, struct err *reterr)
{
	if (!p->error) {
		p->error = r;
		if (reterr)
			p->err = *reterr;
	}
	return r;
}

/* ------------------------------------------------------------------ begin */

static int pages_open(struct dir_pages *p, struct err *e)
{
	struct dir *d = p->d;
	char name[NAMES_MAX];

	for (unsigned i = 0; i < PAGES_TRIES && d->next_pages_id; i++) {
		p->pages_id = d->next_pages_id++;
		names_pages(name, p->pages_id);
		p->pages_fd = sys_openat(d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
					 O_CLOEXEC, DIR_FILE_MODE);
		if (p->pages_fd >= 0) {
			p->file->pages_id = p->pages_id;
			return 0;
		}
		if (p->pages_fd != -EEXIST)
			return err_errno(e, p->pages_fd, "%s/%s", d->path, name);
	}
	return err_set(e, -EEXIST, "%s: all numbers for pages are taken", d->path);
}

int dir_pages_begin(struct dir *d, enum dir_kind kind, uint64_t id, struct dir_pages **ret,
		    struct err *reterr)
{
	struct dir_pages *p;
	char name[NAMES_MAX];
	int r;

	names_pagemap(name, kind, id);
	if (names_parse(name).kind == NAMES_OTHER || (kind == DIR_PROCESS && !id))
		return err_set(reterr, -EINVAL, "%s: %" PRIu64 " is no process", d->path, id);
	if (dir_find(d, name))
		return err_set(reterr, -EEXIST, "%s/%s: is there already", d->path, name);
	p = sys_calloc(1, sizeof(*p));
	if (!p)
		return err_set(reterr, -ENOMEM, "%s/%s: out of memory", d->path, name);
	p->d = d;
	p->pages_fd = -1;
	p->map_fd = dir_create(d, name, &p->file, reterr);
	if (p->map_fd < 0) {
		r = p->map_fd;
		free(p);
		return r;
	}
	list_push(&d->open, &p->link);
	r = pages_open(p, reterr);
	criu_put_magic(&p->text, CRIU_PAGEMAP);
	criu_put_head(&p->text, p->pages_id);
	if (r < 0) {
		(void)pages_fail(p, r, reterr);
		(void)dir_pages_end(p, NULL);
		return r;
	}
	*ret = p;
	return 0;
}

/* ---------------------------------------------------------------- entries */

static int pages_flush(struct dir_pages *p, struct err *e)
{
	int r = p->text.error;

	if (r < 0)
		return err_errno(e, r, "%s/%s", p->d->path, p->file->name);
	r = dir_write(p->d, p->map_fd, p->file->name, p->text.data, p->text.len, e);
	buf_clear(&p->text);
	return r;
}

static int pages_put_last(struct dir_pages *p, struct err *e)
{
	if (!p->last.nr_pages)
		return 0;
	criu_put_entry(&p->text, &p->last);
	p->count.entries++;
	p->last.nr_pages = 0;
	return p->text.len >= PAGES_TEXT_BYTES ? pages_flush(p, e) : 0;
}

static int pages_check(const struct dir_pages *p, const struct criu_entry *e, struct err *reterr)
{
	const char *why = NULL;
	uint64_t bytes, end;

	if (e->vaddr % CRIU_PAGE || !e->nr_pages ||
	    !checked_mul(e->nr_pages, CRIU_PAGE, &bytes) || !checked_add(e->vaddr, bytes, &end) ||
	    end > CRIU_ADDRESS_MAX || p->bytes > INT64_MAX - bytes)
		why = "is no range of pages";
	else if (!e->flags || e->flags & ~(uint32_t)(CRIU_PRESENT | CRIU_PARENT | CRIU_LAZY) ||
		 (e->flags & CRIU_PRESENT && e->flags & CRIU_PARENT))
		why = "has flags that do not go together";
	else if (e->vaddr < p->at)
		why = "lies before the end of the one before it";
	if (why)
		return err_set(reterr, -EINVAL, "%s/%s: the entry at %#" PRIx64 " %s", p->d->path,
			       p->file->name, e->vaddr, why);
	return 0;
}

int dir_pages_entry(struct dir_pages *p, const struct criu_entry *e, uint64_t *ret_offset,
		    struct err *reterr)
{
	struct criu_entry *last = &p->last;
	int r = p->error ? err_set(reterr, p->error, "%s", p->err.text) :
			   pages_check(p, e, reterr);

	if (r < 0)
		return r;
	if (last->nr_pages && criu_entry_end(last) == e->vaddr && last->flags == e->flags &&
	    e->nr_pages <= PAGES_MERGE_MAX && last->nr_pages <= PAGES_MERGE_MAX - e->nr_pages) {
		last->nr_pages += e->nr_pages;
	} else {
		r = pages_put_last(p, reterr);
		if (r < 0)
			return pages_fail(p, r, reterr);
		*last = *e;
	}
	p->at = criu_entry_end(e);
	if (ret_offset)
		*ret_offset = p->bytes;
	if (e->flags & CRIU_PRESENT) {
		p->count.present += e->nr_pages;
		p->bytes += e->nr_pages * CRIU_PAGE;
	}
	if (e->flags & CRIU_PARENT)
		p->count.parent += e->nr_pages;
	if (e->flags & CRIU_LAZY)
		p->count.lazy += e->nr_pages;
	return 0;
}

int dir_pages_put(struct dir_pages *p, uint64_t vaddr, uint64_t nr_pages, const void *data,
		  struct err *reterr)
{
	struct criu_entry e = { vaddr, nr_pages, CRIU_PRESENT };
	uint64_t offset = 0, len = nr_pages * CRIU_PAGE;
	const char *from = data;
	int r = dir_pages_entry(p, &e, &offset, reterr);

	while (r == 0 && len) {
		ssize_t n = sys_pwrite(p->pages_fd, from, len, offset);

		if (n <= 0) {
			r = n < 0 ? (int)n : -EIO;
			(void)err_errno(reterr, r, "%s/pages-%u.img: writing", p->d->path,
					p->pages_id);
			return pages_fail(p, r, reterr);
		}
		from += n;
		len -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return r;
}

int dir_pages_fd(const struct dir_pages *p)
{
	return p->pages_fd;
}

uint32_t dir_pages_id(const struct dir_pages *p)
{
	return p->pages_id;
}

struct dir_count dir_pages_count(const struct dir_pages *p)
{
	struct dir_count count = p->count;

	count.entries += p->last.nr_pages != 0;
	return count;
}

/* -------------------------------------------------------------------- end */

void dir_pages_drop(struct dir_pages *p)
{
	list_remove(&p->link);
	if (p->map_fd >= 0)
		(void)sys_close(p->map_fd);
	if (p->pages_fd >= 0)
		(void)sys_close(p->pages_fd);
	buf_free(&p->text);
	free(p);
}

/* Pages that nobody wrote are zeros; what a writer of whole blocks wrote too much goes. */
static int pages_finish(struct dir_pages *p, struct err *e)
{
	int r = pages_put_last(p, e);

	if (r == 0)
		r = pages_flush(p, e);
	if (r < 0)
		return r;
	r = sys_ftruncate(p->pages_fd, p->bytes);
	if (r == 0 && p->d->flags & DIR_SYNC)
		r = sys_fdatasync(p->pages_fd);
	if (r == 0 && p->d->flags & DIR_SYNC)
		r = sys_fdatasync(p->map_fd);
	return r < 0 ? err_errno(e, r, "%s/pages-%u.img", p->d->path, p->pages_id) : 0;
}

/* Nothing of a pagemap stays: half of one must not be there at the commit. */
static void pages_unlink(struct dir *d, struct dir_made *file)
{
	char name[NAMES_MAX + sizeof(NAMES_PART)];

	names_part(name, file->name);
	(void)sys_unlinkat(d->fd, name, 0);
	names_pages(name, file->pages_id);
	if (file->pages_id)
		(void)sys_unlinkat(d->fd, name, 0);
	dir_forget(file);
}

int dir_drop(struct dir *d, enum dir_kind kind, uint64_t id)
{
	struct dir_made *file;
	char name[NAMES_MAX];

	names_pagemap(name, kind, id);
	file = dir_find(d, name);
	if (!file)
		return 0;
	for (struct list *l = d->open.next; l != &d->open; l = l->next) {
		struct dir_pages *p = list_entry(l, struct dir_pages, link);

		if (p->file == file) {
			dir_pages_drop(p);
			break;
		}
	}
	pages_unlink(d, file);
	return 0;
}

int dir_pages_end(struct dir_pages *p, struct err *reterr)
{
	struct dir_made *file = p->file;
	struct dir *d = p->d;
	int r = p->error ? err_set(reterr, p->error, "%s", p->err.text) : pages_finish(p, reterr);

	dir_pages_drop(p);
	if (r == 0)
		return 0;
	pages_unlink(d, file);
	return r;
}
