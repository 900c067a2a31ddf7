/* SPDX-License-Identifier: MIT */
/* The deep queue: one piece's reads and writes. */
#include <errno.h>

#include "route/deep_slot.h"
#include "sys/sys.h"

/* The same call on this thread, where the engine cannot take the request. */
static void slot_submit(struct job *j, struct slot *s)
{
	struct request *r = &s->req;

	if (!s->scratch && job_request(j, r) == 0)
		return;
	r->result = r->op == REQUEST_READ ? sys_pread(r->fd, r->addr, r->len_bytes, r->offset) :
					    sys_pwrite(r->fd, r->addr, r->len_bytes, r->offset);
	r->done = true;
}

static void slot_request(struct job *j, struct slot *s, enum request_op op, int fd,
			 uint64_t offset, uint32_t len)
{
	s->req = (struct request)REQUEST_INIT;
	s->req.op = op;
	s->req.fd = fd;
	s->req.addr = s->data + s->done;
	s->req.len_bytes = len;
	s->req.offset = offset + s->pos + s->done;
	s->req.buffer_index = s->buffer ? s->buffer->index : -1;
	slot_submit(j, s);
}

void slot_read(struct job *j, struct deep *d, struct slot *s)
{
	uint32_t len = s->len - s->done;

	/* Whole blocks; the buffer has room, and the file may end before. */
	len = (uint32_t)deep_down(d, len + d->block - 1);
	s->state = SLOT_READING;
	slot_request(j, s, REQUEST_READ, d->from_fd, j->from.offset, len);
}

/* The source has no more than this slot has read; the later ones are void. */
static void slot_cut(struct job *j, struct deep *d, struct slot *s)
{
	bool later = false;

	s->len = s->done;
	s->state = SLOT_READ;
	d->plain = true;
	j->taken = s->pos + s->len;
	for (unsigned i = 0; i < d->n; i++) {
		struct slot *o = deep_slot(d, i);

		if (later)
			o->cut = true;
		later = later || o == s;
	}
}

static void slot_read_done(struct job *j, struct deep *d, struct slot *s)
{
	int64_t n = s->req.result;

	if (n == -EINTR) {
		slot_read(j, d, s);
		return;
	}
	if (n < 0 && (j->flags & DECANT_DIRECT)) {
		s->error = (int)n;
		s->read_failed = true;
		s->state = SLOT_FAILED;
		return;
	}
	/*
	 * An error: where exactly, and whether it is there without O_DIRECT
	 * too, the plain read that comes next will say.
	 */
	if (n <= 0) {
		slot_cut(j, d, s);
		return;
	}
	if ((uint64_t)n > s->len - s->done)
		n = s->len - s->done;
	s->done += (uint32_t)n;
	if (s->done == s->len)
		s->state = SLOT_READ;
	else if (s->done & (d->block - 1))
		slot_cut(j, d, s);
	else
		slot_read(j, d, s);
}

static void slot_write(struct job *j, struct deep *d, struct slot *s)
{
	uint32_t len = (uint32_t)deep_down(d, s->len) - s->done;

	if (!len) {
		s->state = s->done == s->len ? SLOT_WRITTEN : SLOT_TAIL;
		s->plain_from = s->done;
		return;
	}
	s->state = SLOT_WRITING;
	slot_request(j, s, REQUEST_WRITE, d->to_fd, j->to.offset, len);
}

static void slot_write_first(struct job *j, struct deep *d, struct slot *s)
{
	s->done = 0;
	if (!s->hole) {
		slot_write(j, d, s);
		return;
	}
	s->error = holes_skip(&d->holes, j->to.offset + s->pos, s->len);
	s->state = s->error < 0 ? SLOT_FAILED : SLOT_WRITTEN;
}

static void slot_write_done(struct job *j, struct deep *d, struct slot *s)
{
	int64_t n = s->req.result;

	if (n == -EINTR) {
		slot_write(j, d, s);
		return;
	}
	/* Not so aligned as was said: through the page cache, if that is allowed. */
	if (n == -EINVAL && !(j->flags & DECANT_DIRECT)) {
		s->state = SLOT_TAIL;
		s->plain_from = s->done;
		return;
	}
	if (n <= 0) {
		s->error = n < 0 ? (int)n : -EIO;
		s->state = SLOT_FAILED;
		return;
	}
	s->done += (uint32_t)n;
	if (s->done & (d->block - 1)) {
		s->state = SLOT_TAIL;
		s->plain_from = s->done;
		return;
	}
	slot_write(j, d, s);
}

/* Stays as it is after -EAGAIN: the next step goes on. */
static void slot_write_tail(struct job *j, struct slot *s)
{
	while (s->done < s->len) {
		int64_t n = end_write(&j->to, s->pos + s->done, s->data + s->done,
				      s->len - s->done, false);

		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			s->error = n < 0 ? (int)n : -EIO;
			s->state = SLOT_FAILED;
			return;
		}
		s->done += (uint32_t)n;
	}
	s->state = SLOT_WRITTEN;
}

void slot_drop(struct job *j, struct slot *s)
{
	if (s->buffer)
		job_buffer_put(j, s->buffer);
	s->buffer = NULL;
	s->data = NULL;
}

/* A request that was made anew, and is over already. */
static bool slot_is_done_again(const struct slot *s)
{
	return (s->state == SLOT_READING || s->state == SLOT_WRITING) && request_done(&s->req);
}

void slot_advance(struct job *j, struct deep *d, struct slot *s, bool in_order, bool is_head)
{
	enum slot_state was;

	do {
		was = s->state;
		if (s->state == SLOT_READING && request_done(&s->req) && !s->cut)
			slot_read_done(j, d, s);
		if (s->cut && (s->state != SLOT_READING || request_done(&s->req))) {
			s->len = s->done = s->plain_from = 0;
			s->hole = false;
			s->state = SLOT_WRITTEN;
		}
		if (s->state == SLOT_READ && in_order)
			slot_write_first(j, d, s);
		if (s->state == SLOT_WRITING && request_done(&s->req))
			slot_write_done(j, d, s);
		if (s->state == SLOT_TAIL && is_head)
			slot_write_tail(j, s);
	} while (s->state != was || slot_is_done_again(s));
}
