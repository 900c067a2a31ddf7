/* SPDX-License-Identifier: MIT */
/*
 * What a connection brings, into its directory: from the socket into a buffer
 * of the writer's, from there past the page cache to the disk.  One copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>

#include "base/checked.h"
#include "capture/writer.h"
#include "dump/names.h"
#include "sys/sys.h"
#include "wire/server.h"

#define STORE_BIG_BYTES (8ull << 20)     /* borrowed, at most */
#define STORE_BUFFER_BYTES (1u << 20)
#define STORE_OWN_BUFFERS 2
#define STORE_AHEAD_MIN (1ull << 20)
#define STORE_AHEAD_MAX (128ull << 20)
#define STORE_IMAGES_MAX 1000000

void store_init(struct store *t, struct decant_page_server *s)
{
	*t = (struct store){ .s = s };
}

/* ------------------------------------------------------------------ memory */

static void store_memory(struct store *t)
{
	t->lent_bytes = server_borrow(t->s, STORE_BIG_BYTES);
	if (t->lent_bytes) {
		t->buffer_bytes = STORE_BUFFER_BYTES;
		t->buffers = (unsigned)(t->lent_bytes / STORE_BUFFER_BYTES);
	} else {
		t->buffers = STORE_OWN_BUFFERS;
		t->buffer_bytes = server_own_bytes(t->s) / STORE_OWN_BUFFERS;
	}
}

static void store_memory_back(struct store *t)
{
	writer_close(t->writer);
	t->writer = NULL;
	t->buffer = NULL;
	server_give_back(t->s, t->lent_bytes);
	t->lent_bytes = 0;
}

/* ------------------------------------------------------------- directories */

/* Is that pagemap in there?  1, 0, negative errno. */
static int store_has(int dir_fd, const char *dir, enum dir_kind kind, uint64_t id)
{
	_cleanup_close_ int fd = -1, map_fd = -1;
	char name[NAMES_MAX];

	fd = sys_openat(dir_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	names_pagemap(name, kind, id);
	map_fd = sys_openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	return map_fd >= 0 ? 1 : map_fd == -ENOENT ? 0 : map_fd;
}

/* The directory that everybody shares. */
static int store_shared(struct store *t, struct dir_options *o, struct err *e)
{
	o->flags |= DIR_SHARED;
	return dir_begin(&t->d, t->s->path, o, e);
}

/* One of our own, behind all that are there; its parent is the last that has this pagemap. */
static int store_next(struct store *t, enum dir_kind kind, uint64_t id, struct dir_options *o,
		      struct err *e)
{
	char path[DIR_PATH_MAX], parent[DIR_PATH_MAX], name[16];
	int house_fd = dir_fd(t->s->house), r;
	unsigned last, k;

	r = server_images(t->s, &last);
	if (r < 0)
		return err_errno(e, r, "%s: reading it", t->s->path);
	for (k = last, r = 0; k && r == 0; k -= r == 0) {
		(void)snprintf(name, sizeof(name), "%u", k);
		r = store_has(house_fd, name, kind, id);
	}
	if (r < 0)
		return err_errno(e, r, "%s/%u", t->s->path, k);
	/* A process that is new here comes with others that are not, perhaps. */
	if (!k)
		k = server_last(t->s);
	(void)snprintf(parent, sizeof(parent), "%s/%u", t->s->path, k);
	o->parent = k ? parent : NULL;
	do {
		t->image = ++last;
		(void)snprintf(path, sizeof(path), "%s/%u", t->s->path, last);
		r = dir_begin(&t->d, path, o, e);
	} while ((r == -EBUSY || r == -EEXIST) && last < STORE_IMAGES_MAX);
	return r;
}

static int store_dir(struct store *t, enum dir_kind kind, uint64_t id, struct err *e)
{
	struct dir_options o = {
		.flags = t->s->o.flags & DECANT_PAGE_SERVER_SYNC ? DIR_SYNC : 0u,
		.first_pages_id = SERVER_PAGES_ID,
	};

	return t->s->o.flags & DECANT_PAGE_SERVER_CHAIN ? store_next(t, kind, id, &o, e) :
							  store_shared(t, &o, e);
}

int store_has_parent(struct store *t, enum dir_kind kind, uint64_t id, bool *ret,
		     struct err *reterr)
{
	int r = 0;

	*ret = false;
	if (t->s->o.flags & DECANT_PAGE_SERVER_DISCARD)
		return 0;
	if (!t->d)
		r = store_dir(t, kind, id, reterr);
	if (r < 0)
		return r;
	r = store_has(dir_fd(t->d), NAMES_PARENT, kind, id);
	if (r < 0)
		return err_errno(reterr, r, "%s/" NAMES_PARENT, t->s->path);
	*ret = r;
	return 0;
}

/* ------------------------------------------------------------------- pages */

static int store_flush(struct store *t, struct err *e)
{
	uint32_t len = t->at;
	int r;

	t->at = 0;
	if (!t->buffer)
		return 0;
	if (t->offset + len > t->ahead) {
		uint64_t more = min_u64(max_u64(t->offset, STORE_AHEAD_MIN), STORE_AHEAD_MAX);

		t->ahead = max_u64(t->ahead, t->offset);
		more = max_u64(more, t->offset + len - t->ahead);
		writer_allocate(t->writer, t->ahead, more);
		t->ahead += more;
	}
	r = writer_put(t->writer, t->buffer, 0, len, t->offset, e);
	writer_done(t->writer, t->buffer);
	t->buffer = NULL;
	t->offset += len;
	return r;
}

static int store_take(struct store *t, uint64_t bytes, struct channel *from, struct err *e)
{
	int r = 0;

	while (bytes && r == 0) {
		uint32_t n;

		if (!t->buffer && !(t->buffer = writer_get(t->writer, e)))
			return -EIO;
		n = (uint32_t)min_u64(bytes, t->buffer_bytes - t->at);
		r = channel_need(from, t->buffer->data + t->at, n, e);
		t->at += n;
		bytes -= n;
		if (r == 0 && t->at == t->buffer_bytes)
			r = store_flush(t, e);
	}
	return r;
}

static int store_throw(struct store *t, uint64_t bytes, struct channel *from, struct err *e)
{
	uint32_t most = server_own_bytes(t->s);
	int r = 0;

	if (!t->own && !(t->own = sys_malloc(most)))
		return err_set(e, -ENOMEM, "pages: out of memory");
	while (bytes && r == 0) {
		uint32_t n = (uint32_t)min_u64(bytes, most);

		r = channel_skip(from, t->own, n, e);
		bytes -= n;
	}
	return r;
}

/* All of it must fit: else it is refused before the first byte, not after the last that does. */
static int store_room(struct store *t, uint64_t bytes, struct err *e)
{
	uint64_t limit = t->s->o.limit_bytes, left = UINT64_MAX;
	struct statfs fs;

	if (limit)
		left = limit > t->stored_bytes ? limit - t->stored_bytes : 0;
	if (bytes > left)
		return err_set(e, -EFBIG, "pages: %" PRIu64 " bytes more than the limit of %" PRIu64
			       " allows", bytes - left, limit);
	if (t->d && bytes >= STORE_BUFFER_BYTES && sys_fstatfs(dir_fd(t->d), &fs) == 0 &&
	    checked_mul((uint64_t)fs.f_bavail, (uint64_t)fs.f_bsize, &left) &&
	    bytes > saturating_add(left, t->ahead > t->offset ? t->ahead - t->offset : 0))
		return err_set(e, -ENOSPC, "pages: %" PRIu64 " bytes are announced, the disk has %"
			       PRIu64, bytes, left);
	return 0;
}

int store_entry(struct store *t, const struct criu_entry *e, struct channel *from,
		struct err *reterr)
{
	uint64_t bytes = e->flags & CRIU_PRESENT ? e->nr_pages * CRIU_PAGE : 0;
	int r;

	if (e->flags & CRIU_PARENT && !t->parent)
		return err_set(reterr, -EPROTO, "pages: %" PRIu64 " at %#" PRIx64 " are said to be "
			       "in the parent, and there is none", e->nr_pages, e->vaddr);
	r = store_room(t, bytes, reterr);
	if (r == 0 && t->pages)
		r = dir_pages_entry(t->pages, e, NULL, reterr);
	if (r < 0)
		return r;
	t->stored_bytes += bytes;
	if (bytes)
		t->present_pages += e->nr_pages;
	if (e->flags & CRIU_PARENT)
		t->parent_pages += e->nr_pages;
	return t->pages ? store_take(t, bytes, from, reterr) :
			  store_throw(t, bytes, from, reterr);
}

/* ------------------------------------------------------------- begin, end */

/* The pagemap that is open is whole. */
static int store_end(struct store *t, struct err *e)
{
	struct dir_pages *pages = t->pages;
	int r = 0, ended;

	if (!t->open)
		return 0;
	t->open = false;
	t->pagemaps++;
	if (!pages)
		return 0;
	if (t->at)
		r = store_flush(t, e);
	if (r == 0)
		r = writer_flush(t->writer, e);
	store_memory_back(t);
	if (r < 0)
		return r;
	t->pages = NULL;
	ended = dir_pages_end(pages, e);
	return ended;
}

int store_open(struct store *t, enum dir_kind kind, uint64_t id, bool *ret_parent,
	       struct err *reterr)
{
	int r = store_end(t, reterr);

	if (r == 0)
		r = store_has_parent(t, kind, id, &t->parent, reterr);
	if (r == 0 && t->d) {
		r = dir_pages_begin(t->d, kind, id, &t->pages, reterr);
		if (r == 0) {
			store_memory(t);
			r = writer_open_sized(&t->writer, t->s->d->caps, dir_pages_fd(t->pages),
					      t->buffers, t->buffer_bytes, reterr);
		}
	}
	if (r < 0)
		return r;
	t->open = true;
	t->kind = kind;
	t->id = id;
	t->offset = t->ahead = t->at = 0;
	*ret_parent = t->parent;
	return 0;
}

int store_commit(struct store *t, struct err *reterr)
{
	int r = store_end(t, reterr);

	if (r == 0 && t->d)
		r = dir_commit(t->d, NULL, NULL, reterr);
	if (r == 0 && t->d)
		server_kept(t->s, t->image);
	return r;
}

void store_close(struct store *t)
{
	store_memory_back(t);
	dir_close(t->d);
	t->d = NULL;
	free(t->own);
	t->own = NULL;
}
