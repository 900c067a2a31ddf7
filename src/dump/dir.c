/* SPDX-License-Identifier: MIT */
#include "dump/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dump/dir_private.h"
#include "sys/name.h"
#include "sys/sys.h"

/* ------------------------------------------------------------------ begin */

static int dir_open(struct dir *d, struct err *e)
{
	int r = sys_mkdir(d->path, DIR_MODE);

	d->made = r == 0;
	if (r < 0 && r != -EEXIST)
		return err_errno(e, r, "%s: making it", d->path);
	d->fd = sys_open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (d->fd < 0)
		return err_errno(e, d->fd, "%s", d->path);
	/*
	 * Whoever writes here alone holds the directory for himself.  The kernel
	 * lets go of it when he dies, so that a lock is never left behind.
	 */
	r = sys_flock(d->fd, (d->flags & DIR_SHARED && !(d->flags & DIR_CLEAN) ? LOCK_SH :
			      LOCK_EX) | LOCK_NB);
	if (r == -EWOULDBLOCK)
		return err_set(e, -EBUSY, "%s: is being written by another process", d->path);
	return r < 0 ? err_errno(e, r, "%s: locking it", d->path) : 0;
}

/* What tells that this is not complete, from the first moment to the last. */
static int dir_mark(struct dir *d, struct err *e)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	int fd;

	if (d->flags & DIR_SHARED)
		return 0;
	names_part(part, NAMES_INVENTORY);
	fd = sys_openat(d->fd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			DIR_FILE_MODE);
	if (fd < 0)
		return err_errno(e, fd, "%s/%s", d->path, part);
	d->marked = true;
	(void)sys_close(fd);
	return 0;
}

int dir_begin(struct dir **ret, const char *path, const struct dir_options *options,
	      struct err *reterr)
{
	struct dir *d = sys_calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_set(reterr, -ENOMEM, "%s: out of memory", path);
	list_init(&d->files);
	list_init(&d->open);
	d->fd = -1;
	d->flags = options->flags;
	d->next_pages_id = options->first_pages_id ? options->first_pages_id : 1;
	d->path = sys_strdup(path);
	r = d->path ? dir_open(d, reterr) : err_set(reterr, -ENOMEM, "%s: out of memory", path);
	if (r == 0)
		r = dir_look(d, reterr);
	if (r == 0 && d->flags & DIR_SHARED && d->flags & DIR_CLEAN)
		(void)sys_flock(d->fd, LOCK_SH | LOCK_NB);
	if (r == 0)
		r = dir_mark(d, reterr);
	if (r == 0 && options->parent)
		r = dir_link(d, options->parent, reterr);
	if (r < 0) {
		dir_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

int dir_fd(const struct dir *d)
{
	return d->fd;
}

/* ------------------------------------------------------------------ files */

struct dir_made *dir_find(struct dir *d, const char *name)
{
	/* From the end: the file that was written last is asked for again. */
	for (struct list *l = d->files.prev; l != &d->files; l = l->prev) {
		struct dir_made *m = list_entry(l, struct dir_made, link);

		if (strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

int dir_create(struct dir *d, const char *name, struct dir_made **ret, struct err *reterr)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	struct dir_made *m = sys_calloc(1, sizeof(*m));
	int fd;

	if (!m)
		return err_set(reterr, -ENOMEM, "%s/%s: out of memory", d->path, name);
	memcpy(m->name, name, strlen(name) + 1);
	names_part(part, name);
	fd = sys_openat(d->fd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			DIR_FILE_MODE);
	if (fd < 0) {
		free(m);
		if (fd == -EEXIST && d->flags & DIR_SHARED)
			return err_set(reterr, -EBUSY, "%s/%s: is being written, or was left by "
				       "one who was killed", d->path, part);
		return err_errno(reterr, fd, "%s/%s", d->path, part);
	}
	list_push(&d->files, &m->link);
	*ret = m;
	return fd;
}

void dir_forget(struct dir_made *file)
{
	list_remove(&file->link);
	free(file);
}

int dir_write(struct dir *d, int fd, const char *name, const void *data, size_t len,
	      struct err *reterr)
{
	const char *p = data;

	while (len) {
		ssize_t n = sys_write(fd, p, len);

		if (n <= 0)
			return err_errno(reterr, n < 0 ? (int)n : -EIO, "%s/%s: writing",
					 d->path, name);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Names of other files only: no path, no temporary name, none that has a function of its own. */
static bool dir_may_append(const char *name, const struct dir_made *there)
{
	enum names_kind kind = names_parse(name).kind;
	size_t len = strlen(name), part = sizeof(NAMES_PART) - 1;

	return len && len < NAMES_MAX && name[0] != '.' && !strchr(name, '/') &&
	       !(len >= part && strcmp(name + len - part, NAMES_PART) == 0) &&
	       kind != NAMES_PARENT_LINK && kind != NAMES_INVENTORY_IMG && kind != NAMES_PAGES &&
	       !(there && there->pages_id);
}

int dir_append(struct dir *d, const char *name, const struct buf *data, struct err *reterr)
{
	struct dir_made *m = dir_find(d, name);
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	_cleanup_close_ int fd = -1;
	int r;

	if (data->error)
		return err_errno(reterr, data->error, "%s/%s", d->path, name);
	if (!dir_may_append(name, m))
		return err_set(reterr, -EINVAL, "%s/%.40s: is no name for a file here", d->path,
			       name);
	names_part(part, name);
	if (m)
		fd = sys_openat(d->fd, part, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0);
	else
		fd = dir_create(d, name, &m, reterr);
	if (fd < 0)
		return m ? err_errno(reterr, fd, "%s/%s", d->path, part) : fd;
	r = dir_write(d, fd, name, data->data, data->len, reterr);
	if (r == 0 && d->flags & DIR_SYNC && (r = sys_fdatasync(fd)) < 0)
		r = err_errno(reterr, r, "%s/%s: syncing", d->path, name);
	return r;
}

/* ----------------------------------------------------------------- commit */

static int dir_rename(struct dir *d, const char *name, struct err *e)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	int r;

	names_part(part, name);
	r = sys_renameat(d->fd, part, d->fd, name);
	return r < 0 ? err_errno(e, r, "%s/%s", d->path, name) : 0;
}

static int dir_sync(struct dir *d, const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!(d->flags & DIR_SYNC))
		return 0;
	fd = sys_openat(d->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	r = fd < 0 ? fd : sys_fsync(fd);
	return r < 0 ? err_errno(e, r, "%s: syncing", d->path) : 0;
}

static int dir_put_inventory(struct dir *d, const struct criu_inventory *inventory,
			     struct err *e)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	_cleanup_close_ int fd = -1;
	struct buf b = BUF_INIT;
	int r;

	names_part(part, NAMES_INVENTORY);
	if (inventory) {
		criu_put_magic(&b, CRIU_INVENTORY);
		criu_put_inventory(&b, inventory);
	} else {
		buf_append(&b, d->inventory.data, d->inventory.len);
	}
	fd = sys_openat(d->fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			DIR_FILE_MODE);
	d->marked |= fd >= 0;
	r = fd < 0 ? err_errno(e, fd, "%s/%s", d->path, part) :
	    b.error ? err_errno(e, b.error, "%s/%s", d->path, part) :
		      dir_write(d, fd, part, b.data, b.len, e);
	buf_free(&b);
	if (r == 0 && d->flags & DIR_SYNC && (r = sys_fdatasync(fd)) < 0)
		r = err_errno(e, r, "%s/%s: syncing", d->path, part);
	return r;
}

int dir_set_inventory(struct dir *d, const void *data, size_t len, struct err *reterr)
{
	buf_clear(&d->inventory);
	buf_append(&d->inventory, data, len);
	return d->inventory.error ? err_errno(reterr, d->inventory.error, "%s/" NAMES_INVENTORY,
					      d->path) : 0;
}

static int dir_put_stats(struct dir *d, const struct criu_stats *stats, struct err *e)
{
	struct buf b = BUF_INIT;
	int r;

	criu_put_magic(&b, CRIU_STATS);
	criu_put_stats(&b, stats);
	r = dir_append(d, NAMES_STATS, &b, e);
	buf_free(&b);
	return r;
}

/* A pagemap takes the place of an older one, whose pages nobody needs any more. */
static int dir_replace(struct dir *d, const struct dir_made *m, struct err *e)
{
	uint32_t old = m->pages_id;
	char pages[NAMES_MAX];
	int r;

	if (d->flags & DIR_SHARED && m->pages_id && dir_pages_of(d, m->name, &old) < 0)
		old = m->pages_id;
	r = dir_rename(d, m->name, e);
	if (r == 0 && old != m->pages_id) {
		names_pages(pages, old);
		(void)sys_unlinkat(d->fd, pages, 0);
	}
	return r;
}

static int dir_commit_files(struct dir *d, struct err *e)
{
	for (struct list *l = d->files.next; l != &d->files; l = l->next) {
		struct dir_made *m = list_entry(l, struct dir_made, link);
		int r = dir_replace(d, m, e);

		if (r < 0)
			return r;
		m->renamed = true;
	}
	return dir_sync(d, ".", e);
}

/* The mark becomes the inventory, or goes. */
static int dir_commit_last(struct dir *d, bool inventory, struct err *e)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	int r = 0;

	if (inventory) {
		r = dir_rename(d, NAMES_INVENTORY, e);
	} else if (d->marked) {
		names_part(part, NAMES_INVENTORY);
		r = sys_unlinkat(d->fd, part, 0);
		if (r < 0)
			err_errno(e, r, "%s/%s", d->path, part);
	}
	if (r < 0)
		return r;
	d->marked = false;
	d->committed = true;
	r = dir_sync(d, ".", e);
	return r == 0 && d->made ? dir_sync(d, "..", e) : r;
}

int dir_commit(struct dir *d, const struct criu_inventory *inventory,
	       const struct criu_stats *stats, struct err *reterr)
{
	bool last = inventory || d->inventory.len;
	int r = 0;

	if (!list_empty(&d->open))
		return err_set(reterr, -EINVAL, "%s: pages are still being written", d->path);
	if (stats)
		r = dir_put_stats(d, stats, reterr);
	if (r == 0 && last)
		r = dir_put_inventory(d, inventory, reterr);
	if (r == 0)
		r = dir_commit_files(d, reterr);
	if (r == 0)
		r = dir_commit_last(d, last, reterr);
	if (r < 0)
		dir_abort(d);
	return r;
}

/* ------------------------------------------------------------ abort, close */

/* What is complete stays where others may use it already. */
static void dir_remove(struct dir *d, struct dir_made *m)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)], pages[NAMES_MAX];

	if (!m->renamed || !(d->flags & DIR_SHARED)) {
		names_part(part, m->name);
		(void)sys_unlinkat(d->fd, m->renamed ? m->name : part, 0);
		names_pages(pages, m->pages_id);
		if (m->pages_id)
			(void)sys_unlinkat(d->fd, pages, 0);
	}
	dir_forget(m);
}

void dir_abort(struct dir *d)
{
	char part[NAMES_MAX + sizeof(NAMES_PART)];
	struct list *l;

	if (d->committed)
		return;
	while ((l = d->open.next) != &d->open)
		dir_pages_drop(list_entry(l, struct dir_pages, link));
	while ((l = d->files.next) != &d->files)
		dir_remove(d, list_entry(l, struct dir_made, link));
	if (d->linked)
		(void)sys_unlinkat(d->fd, NAMES_PARENT, 0);
	d->linked = false;
	names_part(part, NAMES_INVENTORY);
	if (d->marked)
		(void)sys_unlinkat(d->fd, part, 0);
	d->marked = false;
	if (d->made)
		(void)sys_unlinkat(AT_FDCWD, d->path, AT_REMOVEDIR);
	d->made = false;
}

void dir_close(struct dir *d)
{
	struct list *l;

	if (!d)
		return;
	dir_abort(d);
	while ((l = list_pop(&d->files)))
		free(list_entry(l, struct dir_made, link));
	if (d->fd >= 0)
		(void)sys_close(d->fd);
	buf_free(&d->inventory);
	free(d->path);
	free(d);
}
