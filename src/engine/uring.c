/* SPDX-License-Identifier: MIT */
/*
 * The io_uring backend: requests become SQEs of one ring.
 *
 * Whoever makes a request submits it (the kernel serialises submissions to a
 * ring anyhow); only the leader reaps.  The ring's descriptor is watched by the
 * poller, so nobody waits inside io_uring_enter.
 */
#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

#include "engine/engine.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "uapi/io_uring.h"

#define URING_SQ_ENTRIES 256
#define URING_CQ_ENTRIES 8192
#define URING_CQ_ENTRIES_MIN 128
#define URING_BUFFERS 64

struct backend_uring {
	struct backend backend;
	struct io_uring ring;
	pthread_mutex_t sq_lock;
	bool report_usage;
	int buffers_n;      /* -1: registering does not work here */
};

static struct backend_uring *uring_of(struct backend *b)
{
	return (struct backend_uring *)b;
}

static const char *uring_op_name(enum request_op op)
{
	switch (op) {
	case REQUEST_READ:
		return "uring_read";
	case REQUEST_WRITE:
		return "uring_write";
	case REQUEST_SEND_ZC:
		return "uring_send_zc";
	default:
		return "uring_fsync";
	}
}

static void uring_prepare(struct backend_uring *u, struct io_uring_sqe *sqe, struct request *r)
{
	uint32_t len = r->len_bytes;

	if (r->op != REQUEST_FSYNC)
		len = (uint32_t)sys_fault_len(uring_op_name(r->op), len);
	switch (r->op) {
	case REQUEST_READ:
		if (r->buffer_index >= 0)
			io_uring_prep_read_fixed(sqe, r->fd, r->addr, len, r->offset,
						 r->buffer_index);
		else
			io_uring_prep_read(sqe, r->fd, r->addr, len, r->offset);
		break;
	case REQUEST_WRITE:
		if (r->buffer_index >= 0)
			io_uring_prep_write_fixed(sqe, r->fd, r->addr, len, r->offset,
						  r->buffer_index);
		else
			io_uring_prep_write(sqe, r->fd, r->addr, len, r->offset);
		break;
	case REQUEST_SEND_ZC:
		/* Not at its completion: what was sent must not be said to have
		 * failed with an error after which one tries again. */
		if (r->injected < 0) {
			io_uring_prep_nop(sqe);
			break;
		}
		if (r->buffer_index >= 0)
			io_uring_prep_send_zc_fixed(sqe, r->fd, r->addr, len,
						    (int)r->flags | MSG_NOSIGNAL, 0,
						    (unsigned)r->buffer_index);
		else
			io_uring_prep_send_zc(sqe, r->fd, r->addr, len,
					      (int)r->flags | MSG_NOSIGNAL, 0);
		if (u->report_usage)
			sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
		break;
	case REQUEST_FSYNC:
		io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC);
		break;
	case REQUEST_POLL:
		io_uring_prep_poll_add(sqe, r->fd, r->flags);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

/* SQEs are in the queue; -EAGAIN and -EBUSY pass, and the leader tries again. */
static void uring_flush(struct backend_uring *u)
{
	int r = sys_uring_submit(&u->ring);
	bool retry = r < 0 || io_uring_sq_ready(&u->ring) > 0;
	/* Told before the leader is woken, or it looks too early and sleeps on. */
	bool known = atomic_exchange(&u->backend.retry, retry);

	if (retry && !known)
		engine_kick(u->backend.engine);
}

static int uring_submit(struct backend *b, struct request *r)
{
	struct backend_uring *u = uring_of(b);
	struct io_uring_sqe *sqe;

	pthread_mutex_lock(&u->sq_lock);
	sqe = io_uring_get_sqe(&u->ring);
	if (!sqe) {
		uring_flush(u);
		sqe = io_uring_get_sqe(&u->ring);
	}
	if (!sqe) {
		pthread_mutex_unlock(&u->sq_lock);
		return -EAGAIN;
	}
	uring_prepare(u, sqe, r);
	uring_flush(u);
	pthread_mutex_unlock(&u->sq_lock);
	return 0;
}

static void uring_cancel(struct backend *b, struct request *r)
{
	struct backend_uring *u = uring_of(b);
	struct io_uring_sqe *sqe;

	pthread_mutex_lock(&u->sq_lock);
	sqe = io_uring_get_sqe(&u->ring);
	if (sqe) {
		io_uring_prep_cancel(sqe, r, 0);
		io_uring_sqe_set_data(sqe, NULL);
		uring_flush(u);
	}
	pthread_mutex_unlock(&u->sq_lock);
}

static void uring_one(struct io_uring_cqe *cqe)
{
	struct request *r = io_uring_cqe_get_data(cqe);
	int res;

	if (!r)
		return; /* a cancellation's own result */
	if (cqe->flags & IORING_CQE_F_NOTIF) {
		request_released(r, (uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED);
		return;
	}
	if (r->op == REQUEST_SEND_ZC)
		res = r->injected < 0 ? r->injected : cqe->res;
	else
		res = sys_fault_result(uring_op_name(r->op), cqe->res);
	request_complete(r, res, !(cqe->flags & IORING_CQE_F_MORE));
}

static void uring_reap(struct backend *b)
{
	struct backend_uring *u = uring_of(b);
	struct io_uring_cqe *cqe, copy;

	if (u->backend.retry) {
		pthread_mutex_lock(&u->sq_lock);
		uring_flush(u);
		pthread_mutex_unlock(&u->sq_lock);
	}
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		copy = *cqe;
		io_uring_cqe_seen(&u->ring, cqe);
		uring_one(&copy);
	}
}

static int uring_register_buffer(struct backend *b, void *data, uint64_t len)
{
	struct backend_uring *u = uring_of(b);
	struct iovec iov = { .iov_base = data, .iov_len = len };
	int r = -ENOSPC;

	pthread_mutex_lock(&u->sq_lock);
	if (u->buffers_n >= 0 && u->buffers_n < URING_BUFFERS) {
		r = sys_uring_update_buffers(&u->ring, (unsigned)u->buffers_n, &iov, 1);
		if (r == 1)
			r = u->buffers_n++;
		else if (r >= 0)
			r = -EIO;
	}
	pthread_mutex_unlock(&u->sq_lock);
	return r;
}

static void uring_destroy(struct backend *b)
{
	struct backend_uring *u = uring_of(b);

	sys_uring_exit(&u->ring);
	pthread_mutex_destroy(&u->sq_lock);
	free(u);
}

static const struct backend_ops uring_ops = {
	.name = "io_uring",
	.submit = uring_submit,
	.cancel = uring_cancel,
	.reap = uring_reap,
	.register_buffer = uring_register_buffer,
	.destroy = uring_destroy,
};

/* The ring's own memory counts against memlock too: less of it will do. */
static int uring_init(struct backend_uring *u)
{
	unsigned cq = URING_CQ_ENTRIES;
	int r;

	for (;;) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = cq,
		};

		r = sys_uring_init(&u->ring, cq > URING_SQ_ENTRIES ? URING_SQ_ENTRIES : cq / 2,
				   &params);
		if (r != -ENOMEM || cq <= URING_CQ_ENTRIES_MIN)
			return r;
		cq /= 4;
	}
}

int backend_uring_create(struct backend **ret, struct engine *e, struct err *reterr)
{
	struct backend_uring *u;
	int r;

	u = sys_calloc(1, sizeof(*u));
	if (!u)
		return err_set(reterr, -ENOMEM, "io_uring: no memory");
	r = uring_init(u);
	if (r < 0) {
		free(u);
		return err_errno(reterr, r, "io_uring");
	}
	pthread_mutex_init(&u->sq_lock, NULL);
	u->backend.ops = &uring_ops;
	u->backend.engine = e;
	u->backend.fd = u->ring.ring_fd;
	u->report_usage = caps_has(e->caps, FACT_SEND_ZC_REPORT);
	u->buffers_n = sys_uring_register_buffers_sparse(&u->ring, URING_BUFFERS) < 0 ? -1 : 0;
	*ret = &u->backend;
	return 0;
}
