/* SPDX-License-Identifier: MIT */
/* decant_remote_*(): the client of a page server, CRIU's or ours. */
#include "wire/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/le.h"
#include "sys/sys.h"

#define CLIENT_PATIENCE_NS UINT64_C(60000000000)
/*
 * A server of CRIU before 4.2 answers 24 bytes, a later one waits for 32: so
 * long do we wait to see which it is, once for all connections.
 */
#define CLIENT_TELL_NS UINT64_C(500000000)
#define CLIENT_ZC_MIN (64u << 10)
#define CLIENT_ENTRY_MAX (UINT64_C(1) << 24) /* pages of one message */

/* Makers of images know the table only; this is what is behind it. */
static struct client *client_of(struct decant_remote *r)
{
	return (struct client *)r;
}

static int client_fail(int r, struct err *e)
{
	return err_wrap(e, r, "page server");
}

/* ---------------------------------------------------------------- messages */

static int client_flush(struct client *c, struct err *e)
{
	unsigned n = c->iov_n;
	int r;

	c->headers_n = c->iov_n = 0;
	r = n ? channel_write(&c->channel, c->iov, n, 0, e) : 0;
	return r < 0 ? client_fail(r, e) : 0;
}

/* Queue a header; there is room for its pages behind it. */
static int client_header(struct client *c, const struct frame *f, struct err *e)
{
	unsigned char *data;
	int r = c->headers_n == CLIENT_BATCH ? client_flush(c, e) : 0;

	if (r < 0)
		return r;
	data = c->headers[c->headers_n++];
	c->iov[c->iov_n++] = (struct iovec){ data, frame_put(f, c->header_bytes, data) };
	return 0;
}

/* ---------------------------------------------------------- one connection */

static void client_leave(struct client *c, bool whole)
{
	if (c->channel.fd >= 0 && whole)
		channel_close(&c->channel);
	else if (c->channel.fd >= 0)
		channel_break(&c->channel);
	client_zc_end(c);
	c->headers_n = c->iov_n = 0;
	for (unsigned i = 0; i < CLIENT_BUFFERS; i++)
		c->buffers[i].used = false;
}

static void client_abort(struct decant_remote *r)
{
	client_leave(client_of(r), false);
}

static int client_begin(struct decant_remote *remote, uint64_t deadline_ns, struct err *reterr)
{
	struct client *c = client_of(remote);
	int fd, r;

	client_leave(c, false);
	fd = c->o.connect(c->o.arg);
	if (fd < 0)
		return err_errno(reterr, fd, "page server: connecting");
	c->channel = (struct channel)CHANNEL_INIT;
	c->channel.patience_ns = c->o.patience_ns;
	c->channel.deadline_ns = deadline_ns;
	c->channel.fd = fd;
	r = sys_getfl(fd);
	if (r >= 0)
		r = sys_setfl(fd, r | O_NONBLOCK);
	if (r < 0)
		(void)err_errno(reterr, r, "connection");
	else
		r = channel_open(&c->channel, fd, c->tls, reterr);
	if (r < 0) {
		client_leave(c, false);
		return client_fail(r, reterr);
	}
	client_zc_begin(c);
	return 0;
}

/*
 * With TLS a message must come as a whole: CRIU's server takes what one record
 * has for all of it.  So nothing can be sent later, and only who told us knows.
 */
static int client_tell_tls(struct client *c, const struct frame *f, struct err *e)
{
	unsigned char data[FRAME_MAX];
	struct iovec iov = { data, frame_put(f, FRAME_OLD, data) };
	int r = channel_write(&c->channel, &iov, 1, 0, e);

	/* The answer is left there. */
	if (r == 0)
		r = channel_poll(&c->channel, c->o.patience_ns, e);
	if (r == -ECONNRESET || (r > 0 && !channel_has(&c->channel)))
		return err_set(e, -ECONNRESET, "it took the first message for none; CRIU since 4.2 "
			       "awaits longer headers, and with TLS must be known for it");
	if (r == 0)
		return err_set(e, -ETIMEDOUT, "it does not answer the first message");
	c->header_bytes = FRAME_OLD;
	return r < 0 ? r : 0;
}

/* The first message of all: see how long a header has to be. */
static int client_tell(struct client *c, const struct frame *f, struct err *e)
{
	unsigned char data[FRAME_MAX];
	struct iovec iov = { data, FRAME_OLD };
	int r;

	(void)frame_put(f, FRAME_OLD, data);
	/* What a longer header would have there. */
	le64_store(data + FRAME_OLD, f->dst_id);
	r = channel_write(&c->channel, &iov, 1, 0, e);
	if (r == 0)
		r = channel_poll(&c->channel, CLIENT_TELL_NS, e);
	if (r < 0)
		return r;
	c->header_bytes = r ? FRAME_OLD : FRAME_NEW;
	if (r)
		return 0;
	iov = (struct iovec){ data + FRAME_OLD, FRAME_NEW - FRAME_OLD };
	return channel_write(&c->channel, &iov, 1, 0, e);
}

static int client_open(struct decant_remote *remote, enum dir_kind kind, uint64_t id,
		       bool *ret_parent, struct err *reterr)
{
	struct client *c = client_of(remote);
	struct frame f = { .command = FRAME_OPEN2, .dst_id = frame_dst(kind, id) };
	unsigned char answer = 0;
	int r;

	if (id > FRAME_ID_MAX)
		return err_set(reterr, -EOVERFLOW, "page server: shared memory with the number %"
			       PRIu64, id);
	if (c->header_bytes) {
		r = client_header(c, &f, reterr);
		if (r == 0)
			r = client_flush(c, reterr);
		if (r < 0)
			return r;
	} else {
		r = c->tls ? client_tell_tls(c, &f, reterr) : client_tell(c, &f, reterr);
	}
	if (r == 0)
		r = channel_need(&c->channel, &answer, 1, reterr);
	if (r == 0 && answer != FRAME_NO_PARENT && answer != FRAME_HAS_PARENT &&
	    answer != FRAME_HAS_LAST)
		r = err_set(reterr, -EPROTO, "%u is no answer", answer);
	if (r < 0)
		return client_fail(r, reterr);
	c->kind = kind;
	c->id = id;
	/*
	 * Later images are based on our own before them.  A server that had a parent
	 * before the first may mean that one still, unless it says that it makes
	 * chains: then nothing may be left out.
	 */
	if (!c->images)
		c->foreign |= answer == FRAME_HAS_PARENT;
	*ret_parent = answer && !(c->images && c->foreign);
	return 0;
}

static int client_commit(struct decant_remote *remote, struct err *reterr)
{
	struct client *c = client_of(remote);
	struct frame f = { .command = FRAME_CLOSE };
	unsigned char status[4];
	int r;

	/* CRIU has no other end than after a pagemap. */
	if (!c->header_bytes)
		c->header_bytes = FRAME_OLD;
	r = client_header(c, &f, reterr);
	if (r == 0)
		r = client_flush(c, reterr);
	if (r < 0)
		return r;
	r = channel_need(&c->channel, status, sizeof(status), reterr);
	if (r == 0 && le32_load(status) != 0)
		r = err_set(reterr, -EREMOTEIO, "it could not store what it was sent");
	if (r < 0)
		return client_fail(r, reterr);
	/* It has said that it has all: how the connection ends does not matter any more. */
	(void)channel_end(&c->channel, NULL);
	client_leave(c, true);
	c->images++;
	return 0;
}

/* ------------------------------------------------------------------- pages */

static struct remote_buffer *client_get(struct decant_remote *remote, struct err *reterr)
{
	struct client *c = client_of(remote);

	for (;;) {
		/* The first one, if it can be had: it is in the cache. */
		for (unsigned i = 0; i < CLIENT_BUFFERS; i++) {
			struct client_buffer *b = &c->buffers[i];

			if (!b->used && !b->held) {
				b->used = true;
				return &b->b;
			}
		}
		if (!c->zc_n) {
			(void)err_set(reterr, -EINVAL, "page server: all buffers are in use");
			return NULL;
		}
		if (client_zc_wait(c, reterr) < 0)
			return NULL;
	}
}

static int client_entry(struct client *c, const struct criu_entry *e, struct err *reterr)
{
	struct frame f = {
		.command = FRAME_ADD_F, .flags = (uint16_t)e->flags,
		.nr_pages = e->nr_pages, .vaddr = e->vaddr,
		.dst_id = frame_dst(c->kind, c->id),
	};
	int r = 0;

	/* Without pages behind it a range may be of any length; in old headers it may not. */
	while (r == 0 && !(e->flags & CRIU_PRESENT) && f.nr_pages > CLIENT_ENTRY_MAX) {
		struct frame part = f;

		part.nr_pages = CLIENT_ENTRY_MAX;
		f.nr_pages -= CLIENT_ENTRY_MAX;
		f.vaddr += CLIENT_ENTRY_MAX * CRIU_PAGE;
		r = client_header(c, &part, reterr);
	}
	return r < 0 ? r : client_header(c, &f, reterr);
}

static int client_put(struct decant_remote *remote, const struct criu_entry *e,
		      struct remote_buffer *b, uint32_t at, struct err *reterr)
{
	struct client *c = client_of(remote);
	uint64_t bytes = e->nr_pages * CRIU_PAGE;
	int r = client_entry(c, e, reterr);

	if (r < 0 || !(e->flags & CRIU_PRESENT))
		return r;
	if (c->zc && bytes >= CLIENT_ZC_MIN) {
		r = client_flush(c, reterr);
		if (r == 0)
			r = client_zc_send(c, (struct client_buffer *)b, b->data + at, bytes,
					   reterr);
		return r < 0 ? client_fail(r, reterr) : 0;
	}
	c->iov[c->iov_n++] = (struct iovec){ b->data + at, bytes };
	return 0;
}

static int client_done(struct decant_remote *remote, struct remote_buffer *b, struct err *reterr)
{
	((struct client_buffer *)b)->used = false;
	return client_flush(client_of(remote), reterr);
}

/* TLS makes its records from memory. */
static int client_read_pipe(struct client *c, struct client_buffer *b, int pipe_fd, uint64_t len,
			    struct err *e)
{
	while (len) {
		struct iovec iov = { b->b.data, 0 };
		ssize_t n = sys_read(pipe_fd, b->b.data,
				     (size_t)min_u64(len, REMOTE_BUFFER_BYTES));

		if (n <= 0)
			return err_errno(e, n < 0 ? (int)n : -ENODATA, "page server: the pipe");
		iov.iov_len = (size_t)n;
		len -= (uint64_t)n;
		n = channel_write(&c->channel, &iov, 1, 0, e);
		if (n < 0)
			return client_fail((int)n, e);
	}
	return 0;
}

static int client_splice(struct decant_remote *remote, const struct criu_entry *e, int pipe_fd,
			 struct err *reterr)
{
	struct client *c = client_of(remote);
	uint64_t bytes = e->nr_pages * CRIU_PAGE;
	struct remote_buffer *b;
	int r = client_entry(c, e, reterr);

	if (r == 0)
		r = client_flush(c, reterr);
	if (r < 0)
		return r;
	if (!c->tls) {
		r = channel_splice(&c->channel, pipe_fd, bytes, reterr);
		return r < 0 ? client_fail(r, reterr) : 0;
	}
	b = client_get(remote, reterr);
	if (!b)
		return -ENOBUFS;
	r = client_read_pipe(c, (struct client_buffer *)b, pipe_fd, bytes, reterr);
	((struct client_buffer *)b)->used = false;
	return r;
}

/* ------------------------------------------------------------- open, close */

static const struct remote_ops client_ops = {
	.begin = client_begin,
	.open = client_open,
	.get = client_get,
	.put = client_put,
	.splice = client_splice,
	.done = client_done,
	.commit = client_commit,
	.abort = client_abort,
};

static int client_memory(struct client *c)
{
	int r = sys_mmap(&c->memory, NULL, (size_t)CLIENT_BUFFERS * REMOTE_BUFFER_BYTES,
			 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0);

	for (unsigned i = 0; i < CLIENT_BUFFERS && r == 0; i++)
		c->buffers[i].b.data = (unsigned char *)c->memory + i * REMOTE_BUFFER_BYTES;
	return r;
}

int decant_remote_open(struct decant *d, struct decant_remote **ret,
		       const struct decant_remote_options *options)
{
	struct client *c;
	int r;

	if (!d || !ret || !options)
		return -EINVAL;
	if (options->size < sizeof(*options))
		return err_set(&d->err, -EINVAL,
			       "options: size is not set (use DECANT_REMOTE_OPTIONS_INIT)");
	if (!options->connect)
		return err_set(&d->err, -EINVAL, "options: nothing connects");
	if (options->header_bytes && options->header_bytes != FRAME_OLD &&
	    options->header_bytes != FRAME_NEW)
		return err_set(&d->err, -EINVAL, "options: a header has %u or %u bytes", FRAME_OLD,
			       FRAME_NEW);
	c = sys_calloc(1, sizeof(*c));
	if (!c)
		return err_set(&d->err, -ENOMEM, "page server: out of memory");
	c->remote.ops = &client_ops;
	c->d = d;
	c->o = *options;
	c->header_bytes = options->header_bytes;
	c->channel = (struct channel)CHANNEL_INIT;
	if (!c->o.patience_ns)
		c->o.patience_ns = CLIENT_PATIENCE_NS;
	r = client_memory(c);
	r = r < 0 ? err_errno(&d->err, r, "page server") :
		    tls_open(&c->tls, c->o.tls, false, &d->err);
	c->o.tls = NULL;
	if (r < 0) {
		decant_remote_close(&c->remote);
		return r;
	}
	*ret = &c->remote;
	return 0;
}

void decant_remote_close(struct decant_remote *r)
{
	struct client *c = (struct client *)r;

	if (!r)
		return;
	client_leave(c, false);
	tls_close(c->tls);
	if (c->memory)
		(void)sys_munmap(c->memory, (size_t)CLIENT_BUFFERS * REMOTE_BUFFER_BYTES);
	free(c);
}
