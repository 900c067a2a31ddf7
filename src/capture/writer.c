/* SPDX-License-Identifier: MIT */
#include "capture/writer.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "base/checked.h"
#include "sys/fault.h"
#include "sys/sys.h"

#define WRITER_DEPTH 64
#define WRITER_REQUEST_MAX (1u << 20)   /* larger ones only make the queue shallow */
#define WRITER_HUGE (2ull << 20)

struct writer_request {
	struct writer_buffer *buffer;   /* NULL: memory of the caller */
	const unsigned char *data;
	uint32_t len;
	uint64_t offset;
	bool busy;
};

struct writer {
	int fd;
	int flags;                      /* of fd, before we came */
	bool direct, ring_on;
	bool allocates;                 /* the file system can, as far as we know */
	struct io_uring ring;
	unsigned in_flight;
	unsigned unsubmitted;
	uint64_t bytes;
	int error;
	struct err err;
	void *memory;
	size_t memory_len;
	unsigned buffers_n;
	uint32_t buffer_bytes;
	struct writer_buffer buffers[WRITER_BUFFERS];
	struct writer_request requests[WRITER_DEPTH];
};

/* --------------------------------------------------------- open and close */

static int writer_memory(struct writer *w)
{
	size_t len = (size_t)w->buffers_n * w->buffer_bytes;
	bool huge = len % WRITER_HUGE == 0;
	void *p;
	int r;

	w->memory_len = len + (huge ? WRITER_HUGE : 0);
	r = sys_mmap(&w->memory, NULL, w->memory_len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r < 0)
		return r;
	/* The disk takes one huge page sooner than 512 small ones; more than that is waste. */
	(void)sys_madvise(w->memory, w->memory_len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	p = w->memory;
	if (huge)
		p = (void *)align_down((uint64_t)(uintptr_t)p + WRITER_HUGE - 1, WRITER_HUGE);
	for (unsigned i = 0; i < w->buffers_n; i++)
		w->buffers[i].data = (unsigned char *)p + (size_t)i * w->buffer_bytes;
	return 0;
}

/* Past the page cache, where this file can be written so in pages. */
static void writer_try_direct(struct writer *w, struct caps *caps)
{
	struct statx stx;

	if (caps_masked(caps, FACT_O_DIRECT))
		return;
	if (!caps_masked(caps, FACT_STATX_DIOALIGN) &&
	    sys_statx(w->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
		return;
	w->direct = sys_setfl(w->fd, w->flags | O_DIRECT) >= 0;
}

int writer_open(struct writer **ret, struct caps *caps, int fd, struct err *reterr)
{
	return writer_open_sized(ret, caps, fd, WRITER_BUFFERS, WRITER_BUFFER_BYTES, reterr);
}

int writer_open_sized(struct writer **ret, struct caps *caps, int fd, unsigned buffers,
		      uint32_t buffer_bytes, struct err *reterr)
{
	struct writer *w = sys_calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(reterr, -ENOMEM, "writer: out of memory");
	w->fd = fd;
	w->buffers_n = buffers;
	w->buffer_bytes = buffer_bytes;
	w->flags = sys_getfl(fd);
	r = w->flags < 0 ? w->flags : writer_memory(w);
	if (r < 0) {
		w->fd = -1;
		writer_close(w);
		return err_errno(reterr, r, "writer");
	}
	writer_try_direct(w, caps);
	w->allocates = w->direct;
	w->ring_on = caps_has(caps, FACT_IO_URING) &&
		     sys_uring_init(&w->ring, WRITER_DEPTH, NULL) >= 0;
	*ret = w;
	return 0;
}

static int writer_reap(struct writer *w, bool wait);

void writer_close(struct writer *w)
{
	if (!w)
		return;
	while (w->in_flight && writer_reap(w, true) >= 0)
		;
	if (w->ring_on)
		sys_uring_exit(&w->ring);
	if (w->direct)
		(void)sys_setfl(w->fd, w->flags);
	if (w->memory)
		(void)sys_munmap(w->memory, w->memory_len);
	free(w);
}

bool writer_is_direct(const struct writer *w)
{
	return w->direct;
}

uint64_t writer_bytes(const struct writer *w)
{
	return w->bytes;
}

/* ------------------------------------------------------------ one request */

static int writer_fail(struct writer *w, int code)
{
	if (w->error == 0)
		w->error = err_errno(&w->err, code, "writing the image");
	return w->error;
}

static int writer_error(const struct writer *w, struct err *reterr)
{
	return w->error ? err_set(reterr, w->error, "%s", w->err.text) : 0;
}

int writer_failed(const struct writer *w)
{
	return w->error ? w->error : -EIO;
}

static void writer_over(struct writer *w, struct writer_request *q)
{
	q->busy = false;
	w->in_flight--;
	if (q->buffer)
		q->buffer->refs--;
}

/*
 * The rest of a request, now, on this thread: the way without io_uring, and
 * what is left of short writes.  A file system may find out only now that it
 * does not like O_DIRECT here.
 */
static int writer_now(struct writer *w, const unsigned char *data, uint64_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = sys_pwrite(w->fd, data, (size_t)min_u64(len, WRITER_BUFFER_BYTES),
				       offset);

		if (n == -EINVAL && w->direct) {
			w->direct = false;
			if (sys_setfl(w->fd, w->flags & ~O_DIRECT) >= 0)
				continue;
		}
		if (n <= 0)
			return writer_fail(w, n < 0 ? (int)n : -EIO);
		if (w->direct && n % WRITER_PAGE) {
			/* What is left does not lie on a page any more. */
			w->direct = false;
			(void)sys_setfl(w->fd, w->flags & ~O_DIRECT);
		}
		data += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
		w->bytes += (uint64_t)n;
	}
	return 0;
}

static void writer_completed(struct writer *w, struct writer_request *q, int res)
{
	uint32_t done = res > 0 ? (uint32_t)res : 0;

	if (res == -ECANCELED || (res < 0 && res != -EINVAL && res != -EAGAIN && res != -EINTR)) {
		(void)writer_fail(w, res);
	} else if (w->error == 0) {
		w->bytes += done;
		if (done < q->len)
			(void)writer_now(w, q->data + done, q->len - done, q->offset + done);
	}
	writer_over(w, q);
}

static int writer_submit(struct writer *w)
{
	int n;

	while (w->unsubmitted) {
		n = sys_uring_submit(&w->ring);
		if (n == -EAGAIN || n == -EBUSY)
			return 0;
		if (n < 0)
			return writer_fail(w, n);
		w->unsubmitted -= (unsigned)n < w->unsubmitted ? (unsigned)n : w->unsubmitted;
		if (n == 0)
			break;
	}
	return 0;
}

/* Take completions; with wait at least one, if any is in flight. */
static int writer_reap(struct writer *w, bool wait)
{
	struct io_uring_cqe *cqe;
	int r;

	if (!w->in_flight)
		return 0;
	r = writer_submit(w);
	if (r < 0 && w->unsubmitted == w->in_flight)
		return r;
	for (;;) {
		r = sys_uring_wait(&w->ring, &cqe, wait ? UINT64_MAX : 0);
		if (r == -EINTR)
			continue;
		if (r == -ETIME || r == -EAGAIN)
			return 0;
		if (r < 0)
			return writer_fail(w, r);
		struct writer_request *q = (struct writer_request *)(uintptr_t)cqe->user_data;
		int res = sys_fault_result("uring_write", cqe->res);

		io_uring_cqe_seen(&w->ring, cqe);
		writer_completed(w, q, res);
		wait = false;
		if (!w->in_flight)
			return 0;
	}
}

static struct writer_request *writer_slot(struct writer *w)
{
	for (;;) {
		for (unsigned i = 0; i < WRITER_DEPTH; i++)
			if (!w->requests[i].busy)
				return &w->requests[i];
		if (writer_reap(w, true) < 0)
			return NULL;
	}
}

static int writer_queue(struct writer *w, struct writer_buffer *b, const unsigned char *data,
			uint32_t len, uint64_t offset)
{
	struct writer_request *q;
	struct io_uring_sqe *sqe;

	if (!w->ring_on)
		return writer_now(w, data, len, offset);
	q = writer_slot(w);
	if (!q)
		return w->error;
	sqe = io_uring_get_sqe(&w->ring);
	if (!sqe) {
		if (writer_submit(w) < 0)
			return w->error;
		sqe = io_uring_get_sqe(&w->ring);
	}
	if (!sqe)
		return writer_now(w, data, len, offset);
	*q = (struct writer_request){ b, data, len, offset, true };
	io_uring_prep_write(sqe, w->fd, data, len, offset);
	sqe->user_data = (uint64_t)(uintptr_t)q;
	w->in_flight++;
	w->unsubmitted++;
	if (b)
		b->refs++;
	/* Small ones go in batches: a system call each would cost more than they do. */
	if (len >= 64u << 10 || w->unsubmitted >= WRITER_DEPTH / 4)
		return writer_submit(w);
	return 0;
}

/* ----------------------------------------------------------------- the API */

struct writer_buffer *writer_get(struct writer *w, struct err *reterr)
{
	for (;;) {
		(void)writer_reap(w, false);
		if (writer_error(w, reterr) < 0)
			return NULL;
		for (unsigned i = 0; i < w->buffers_n; i++) {
			if (w->buffers[i].refs == 0) {
				w->buffers[i].refs = 1;
				return &w->buffers[i];
			}
		}
		(void)writer_reap(w, true);
	}
}

int writer_put(struct writer *w, struct writer_buffer *b, uint32_t at, uint32_t len,
	       uint64_t offset, struct err *reterr)
{
	while (len && w->error == 0) {
		uint32_t n = (uint32_t)min_u64(len, WRITER_REQUEST_MAX);

		(void)writer_queue(w, b, b->data + at, n, offset);
		at += n;
		len -= n;
		offset += n;
	}
	return writer_error(w, reterr);
}

void writer_done(struct writer *w, struct writer_buffer *b)
{
	b->refs--;
	if (w->ring_on)
		(void)writer_submit(w);
}

int writer_pages(struct writer *w, const void *data, uint64_t len, uint64_t offset,
		 struct err *reterr)
{
	const unsigned char *p = data;

	while (len && w->error == 0) {
		uint32_t n = (uint32_t)min_u64(len, WRITER_REQUEST_MAX);

		(void)writer_queue(w, NULL, p, n, offset);
		p += n;
		len -= n;
		offset += n;
	}
	return writer_error(w, reterr);
}

void writer_allocate(struct writer *w, uint64_t offset, uint64_t len)
{
	if (w->allocates && sys_fallocate(w->fd, 0, offset, len) < 0)
		w->allocates = false;
}

int writer_flush(struct writer *w, struct err *reterr)
{
	while (w->in_flight) {
		int r = writer_reap(w, true);

		if (r < 0 && w->unsubmitted == w->in_flight)
			break;
	}
	return writer_error(w, reterr);
}
