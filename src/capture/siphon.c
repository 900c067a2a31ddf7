/* SPDX-License-Identifier: MIT */
#include "capture/siphon.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "base/checked.h"
#include "process/drain.h"
#include "sys/fault.h"
#include "sys/sys.h"

struct siphon_pipe {
	struct drain drain;
	bool open;
	uint64_t offset, left;   /* of what is on its way */
	bool busy;
};

struct siphon {
	struct tracer *tracer;
	struct shadow *shadow;
	int fd;
	struct io_uring ring;
	bool ring_on;
	struct siphon_pipe pipes[SIPHON_PIPES];
	struct siphon_pipe *last;
	int error;
	struct err err;
	/* Of siphon_fill(), in the tracer. */
	const struct range *v;
	size_t n;
	int64_t filled;
};

/* ------------------------------------------------------------- open, close */

static int siphon_pipes(void *arg)
{
	struct siphon *s = arg;
	int r = 0;

	for (unsigned i = 0; i < SIPHON_PIPES && r >= 0; i++) {
		r = drain_open(&s->pipes[i].drain, s->shadow, &s->err);
		s->pipes[i].open = r >= 0;
	}
	/* With fewer it is slower, that is all. */
	return s->pipes[0].open ? 0 : r;
}

int siphon_open(struct siphon **ret, struct caps *caps, struct tracer *tr, struct shadow *shadow,
		int fd, struct err *reterr)
{
	struct siphon *s = sys_calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(reterr, -ENOMEM, "shadow: out of memory");
	s->tracer = tr;
	s->shadow = shadow;
	s->fd = fd;
	r = tracer_run(tr, siphon_pipes, s);
	if (r < 0) {
		r = err_set(reterr, r, "%s", s->err.text[0] ? s->err.text : "shadow: pipes");
		siphon_close(s);
		return r;
	}
	if (fd >= 0 && caps_has(caps, FACT_IO_URING))
		s->ring_on = sys_uring_init(&s->ring, SIPHON_PIPES, NULL) >= 0;
	*ret = s;
	return 0;
}

static void siphon_wait(struct siphon *s);

static bool siphon_busy(const struct siphon *s)
{
	for (unsigned i = 0; i < SIPHON_PIPES; i++)
		if (s->pipes[i].busy)
			return true;
	return false;
}

void siphon_close(struct siphon *s)
{
	if (!s)
		return;
	while (siphon_busy(s))
		siphon_wait(s);
	if (s->ring_on)
		sys_uring_exit(&s->ring);
	for (unsigned i = 0; i < SIPHON_PIPES; i++)
		if (s->pipes[i].open)
			drain_close(&s->pipes[i].drain);
	free(s);
}

int siphon_fd(const struct siphon *s)
{
	return s->last->drain.fd;
}

uint64_t siphon_size(const struct siphon *s)
{
	return s->pipes[0].drain.size;
}

/* ----------------------------------------------------------------- emptying */

static void siphon_fail(struct siphon *s, int code)
{
	if (s->error == 0)
		s->error = err_errno(&s->err, code, "writing the image");
}

/* The rest of a pipe, now, on this thread. */
static void siphon_now(struct siphon *s, struct siphon_pipe *p)
{
	while (p->left && s->error == 0) {
		ssize_t n = sys_splice(p->drain.fd, NULL, s->fd, &p->offset, p->left, 0);

		if (n <= 0)
			siphon_fail(s, n < 0 ? (int)n : -EIO);
		else
			p->left -= (uint64_t)n;
	}
	p->busy = false;
}

static void siphon_completed(struct siphon *s, struct siphon_pipe *p, int res)
{
	if (res < 0 && res != -EINTR && res != -EAGAIN && res != -EINVAL) {
		siphon_fail(s, res);
		p->busy = false;
		return;
	}
	p->offset += res > 0 ? (uint64_t)res : 0;
	p->left -= res > 0 ? (uint64_t)res : 0;
	siphon_now(s, p);
}

/* For one completion. */
static void siphon_wait(struct siphon *s)
{
	struct io_uring_cqe *cqe;
	struct siphon_pipe *p;
	int r, res;

	do
		r = sys_uring_wait(&s->ring, &cqe, UINT64_MAX);
	while (r == -EINTR || r == -EAGAIN || r == -ETIME);
	if (r < 0) {
		/* The ring is no more; nothing of it can be waited for. */
		siphon_fail(s, r);
		for (unsigned i = 0; i < SIPHON_PIPES; i++)
			s->pipes[i].busy = false;
		return;
	}
	p = (struct siphon_pipe *)(uintptr_t)cqe->user_data;
	res = sys_fault_result("uring_splice", cqe->res);
	io_uring_cqe_seen(&s->ring, cqe);
	siphon_completed(s, p, res);
}

int siphon_put(struct siphon *s, uint64_t offset, struct err *reterr)
{
	struct siphon_pipe *p = s->last;
	struct io_uring_sqe *sqe = NULL;

	p->offset = offset;
	p->left = (uint64_t)s->filled;
	p->busy = true;
	if (s->ring_on)
		sqe = io_uring_get_sqe(&s->ring);
	if (!sqe) {
		siphon_now(s, p);
	} else {
		io_uring_prep_splice(sqe, p->drain.fd, -1, s->fd, (int64_t)offset,
				     (unsigned)p->left, 0);
		sqe->user_data = (uint64_t)(uintptr_t)p;
		for (int n = 0; n == 0;) {
			n = sys_uring_submit(&s->ring);
			if (n == -EINTR || n == -EAGAIN || n == -EBUSY)
				n = 0;
			if (n < 0)
				siphon_fail(s, n);
			p->busy = n >= 0;
		}
	}
	return s->error ? err_set(reterr, s->error, "%s", s->err.text) : 0;
}

int siphon_flush(struct siphon *s, struct err *reterr)
{
	while (siphon_busy(s))
		siphon_wait(s);
	return s->error ? err_set(reterr, s->error, "%s", s->err.text) : 0;
}

/* ------------------------------------------------------------------ filling */

static struct siphon_pipe *siphon_free(struct siphon *s)
{
	for (;;) {
		for (unsigned i = 0; i < SIPHON_PIPES; i++)
			if (s->pipes[i].open && !s->pipes[i].busy)
				return &s->pipes[i];
		siphon_wait(s);
	}
}

static int siphon_tracer(void *arg)
{
	struct siphon *s = arg;

	s->filled = drain_fill_ranges(&s->last->drain, s->v, s->n, &s->err);
	return 0;
}

int64_t siphon_fill(struct siphon *s, const struct range *v, size_t n, struct err *reterr)
{
	int r;

	s->last = siphon_free(s);
	if (s->error)
		return err_set(reterr, s->error, "%s", s->err.text);
	s->v = v;
	s->n = n;
	r = tracer_run(s->tracer, siphon_tracer, s);
	if (r < 0)
		return err_errno(reterr, r, "shadow: its pages");
	if (s->filled == -EFAULT || s->filled == -EAGAIN)
		return 0;
	return s->filled < 0 ? err_set(reterr, (int)s->filled, "%s", s->err.text) : s->filled;
}
