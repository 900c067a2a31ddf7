/* SPDX-License-Identifier: MIT */
#include "predump/put.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "predump/predump.h"
#include "sys/sys.h"

#define PUT_AHEAD_BYTES (128ull << 20)

static int put_siphon(struct put *u)
{
	struct capture *c = &u->p->c;
	struct err err = { "" };
	int r;

	r = siphon_open(&u->siphon, c->caps, c->tracer, &c->shadow,
			u->to ? -1 : dir_pages_fd(u->pages), &err);
	/* Its memory can be read as well; but not when it is no more. */
	return r == -ESRCH || r == -EOWNERDEAD ? err_set(&c->err, r, "%s", err.text) : 0;
}

int put_begin(struct put *u, struct predump *p, struct dir *d, enum dir_kind kind, uint64_t id,
	      uint64_t most, bool from_shadow)
{
	struct capture *c = &p->c;
	int r;

	*u = (struct put){ .p = p, .to = p->o->to, .most = most, .parent = true };
	if (u->to) {
		r = remote_open(u->to, kind, id, &u->parent, &c->err);
		if (kind == DIR_PROCESS)
			p->to_parent = r >= 0 && u->parent;
	} else {
		r = dir_pages_begin(d, kind, id, &u->pages, &c->err);
		if (r >= 0)
			r = writer_open(&u->writer, c->caps, dir_pages_fd(u->pages), &c->err);
	}
	if (r >= 0 && from_shadow)
		r = put_siphon(u);
	if (r < 0)
		put_drop(u);
	return r;
}

/* What is not whole goes with the directory. */
void put_drop(struct put *u)
{
	siphon_close(u->siphon);
	writer_close(u->writer);
	u->siphon = NULL;
	u->writer = NULL;
}

int put_end(struct put *u)
{
	struct err *e = &u->p->c.err;
	int r = u->siphon && !u->to ? siphon_flush(u->siphon, e) : 0;

	if (r >= 0 && u->writer)
		r = writer_flush(u->writer, e);
	put_drop(u);
	return r < 0 || u->to ? r : dir_pages_end(u->pages, e);
}

uint64_t put_bytes(const struct put *u)
{
	return u->to ? REMOTE_BUFFER_BYTES : WRITER_BUFFER_BYTES;
}

int put_buffer(struct put *u, struct put_buffer *ret)
{
	struct err *e = &u->p->c.err;

	*ret = (struct put_buffer){ .data = NULL };
	if (u->to)
		ret->remote = remote_get(u->to, e);
	else
		ret->file = writer_get(u->writer, e);
	if (!ret->remote && !ret->file)
		return u->to ? -EIO : writer_failed(u->writer);
	ret->data = u->to ? ret->remote->data : ret->file->data;
	return 0;
}

/* Pages that lie one behind the other in the buffer, and in the file. */
static int put_run(struct put *u, const struct put_buffer *b)
{
	uint32_t len = u->run_len;

	u->run_len = 0;
	return len ? writer_put(u->writer, b->file, u->run_at, len, u->run_offset, &u->p->c.err) :
		     0;
}

int put_done(struct put *u, struct put_buffer *b)
{
	int r;

	if (u->to)
		return remote_done(u->to, b->remote, &u->p->c.err);
	r = put_run(u, b);
	writer_done(u->writer, b->file);
	return r;
}

/* ------------------------------------------------------------------ entries */

static void put_room(struct put *u, uint64_t offset, uint64_t len)
{
	while (offset + len > u->ahead && u->ahead < u->most) {
		uint64_t end = min_u64(u->most, u->ahead + PUT_AHEAD_BYTES);

		writer_allocate(u->writer, u->ahead, end - u->ahead);
		u->ahead = end;
	}
}

static struct criu_entry put_make(uint64_t start, uint64_t end, uint32_t flags)
{
	return (struct criu_entry){ start, (end - start) / CRIU_PAGE, flags };
}

static int put_entry(struct put *u, uint64_t start, uint64_t end, uint64_t *ret_offset)
{
	struct criu_entry e = put_make(start, end, CRIU_PRESENT);
	int r = dir_pages_entry(u->pages, &e, ret_offset, &u->p->c.err);

	if (r >= 0)
		put_room(u, *ret_offset, end - start);
	return r;
}

int put_parent(struct put *u, uint64_t start, uint64_t end)
{
	struct criu_entry e = put_make(start, end, CRIU_PARENT);

	u->parent_pages += e.nr_pages;
	return u->to ? remote_put(u->to, &e, NULL, 0, &u->p->c.err) :
		       dir_pages_entry(u->pages, &e, NULL, &u->p->c.err);
}

int put_pages(struct put *u, const struct put_buffer *b, uint32_t at, uint64_t start, uint64_t end)
{
	struct criu_entry e = put_make(start, end, CRIU_PRESENT);
	uint64_t offset = 0;
	int r;

	u->present_pages += e.nr_pages;
	if (u->to)
		return remote_put(u->to, &e, b->remote, at, &u->p->c.err);
	r = put_entry(u, start, end, &offset);
	if (r >= 0 && u->run_len &&
	    (u->run_at + u->run_len != at || u->run_offset + u->run_len != offset))
		r = put_run(u, b);
	if (u->run_len == 0) {
		u->run_at = at;
		u->run_offset = offset;
	}
	u->run_len += (uint32_t)(end - start);
	return r;
}

int put_pipe(struct put *u, uint64_t start, uint64_t end, bool first)
{
	struct criu_entry e = put_make(start, end, CRIU_PRESENT);
	uint64_t offset = 0;
	int r;

	u->present_pages += e.nr_pages;
	r = u->to ? remote_splice(u->to, &e, siphon_fd(u->siphon), &u->p->c.err) :
		    put_entry(u, start, end, &offset);
	/* In the file they lie one behind the other. */
	if (first)
		u->pipe_offset = offset;
	return r;
}

int put_piped(struct put *u)
{
	return u->to ? 0 : siphon_put(u->siphon, u->pipe_offset, &u->p->c.err);
}
