/* SPDX-License-Identifier: MIT */
#include "wire/channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

#define CHANNEL_PIECE (1u << 20)
#define CHANNEL_PIECES_MAX 1024   /* of a vector, as the kernel takes them */

/* ------------------------------------------------------------------ waiting */

static uint64_t channel_until(const struct channel *s)
{
	uint64_t until = sys_clock_ns() + s->patience_ns;

	return s->deadline_ns ? min_u64(until, s->deadline_ns) : until;
}

/* Wait for events, until then.  0, -ETIMEDOUT, -ECANCELED. */
static int channel_wait(struct channel *s, short events, uint64_t until_ns, struct err *e)
{
	struct pollfd f[2] = {
		{ .fd = s->fd, .events = events },
		{ .fd = s->cancel_fd, .events = POLLIN },
	};

	for (;;) {
		uint64_t now = sys_clock_ns();
		int r = now >= until_ns ? 0 : sys_poll_ns(f, 2, until_ns - now);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return err_errno(e, r, "connection: waiting");
		if (f[1].revents)
			return err_set(e, -ECANCELED, "connection: cancelled");
		if (r > 0 && (f[0].revents & ~POLLERR || !s->on_error))
			return 0;
		/* Only the error queue has something, which keeps poll() from waiting. */
		if (r > 0) {
			s->on_error(s->on_error_arg);
			continue;
		}
		if (s->deadline_ns && sys_clock_ns() >= s->deadline_ns)
			return err_set(e, -ETIMEDOUT, "connection: the time is up");
		return err_set(e, -ETIMEDOUT, "connection: the peer was silent for %llu ms",
			       (unsigned long long)(s->patience_ns / 1000000));
	}
}

static int channel_gone(struct err *e)
{
	return err_set(e, -ECONNRESET, "the connection was cut");
}

static int channel_failed(struct err *e, int r)
{
	return r == -ECONNRESET || r == -EPIPE ? channel_gone(e) : err_errno(e, r, "connection");
}

/* ------------------------------------------------------------- open, close */

int channel_open(struct channel *s, int fd, struct tls *tls, struct err *reterr)
{
	uint64_t until;
	short events = 0;
	int r, on = 1;

	s->fd = fd;
	/* Answers of one byte are waited for; what is not TCP does not mind. */
	s->tcp = sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
	(void)sys_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (!tls)
		return 0;
	r = tls_session_open(&s->tls, tls, fd, reterr);
	until = channel_until(s);
	while (r == 0 && (r = tls_handshake(s->tls, &events, reterr)) == -EAGAIN)
		r = channel_wait(s, events, until, reterr);
	return r;
}

void channel_close(struct channel *s)
{
	tls_session_close(s->tls);
	s->tls = NULL;
	(void)sys_close(s->fd);
	s->fd = -1;
}

void channel_break(struct channel *s)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	(void)sys_setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	channel_close(s);
}

int channel_end(struct channel *s, struct err *reterr)
{
	uint64_t until = channel_until(s);
	short events = 0;
	int r = 0;

	if (s->tls)
		while ((r = tls_end(s->tls, &events, reterr)) == -EAGAIN &&
		       (r = channel_wait(s, events, until, reterr)) == 0)
			;
	if (r == 0 && (r = sys_shutdown(s->fd, SHUT_WR)) < 0)
		r = channel_failed(reterr, r);
	return r;
}

/* ------------------------------------------------------------------ reading */

static size_t channel_take_ahead(struct channel *s, void *buf, size_t len)
{
	size_t n = min_u64(len, s->ahead_n - s->ahead_at);

	memcpy(buf, s->ahead + s->ahead_at, n);
	s->ahead_at += (unsigned)n;
	return n;
}

/* Some bytes; 0: the end; -EAGAIN and *ret_events. */
static ssize_t channel_some(struct channel *s, void *buf, size_t len, short *ret_events,
			   struct err *e)
{
	struct iovec iov[2] = { { buf, len }, { s->ahead, sizeof(s->ahead) } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (s->tls) {
		n = tls_recv(s->tls, buf, len, ret_events, e);
	} else {
		n = sys_recvmsg(s->fd, &m, MSG_DONTWAIT);
		*ret_events = POLLIN;
		if (n < 0 && n != -EAGAIN)
			(void)channel_failed(e, (int)n);
	}
	if (n <= 0)
		return n;
	s->in_bytes += (uint64_t)n;
	s->ahead_at = s->ahead_n = 0;
	if ((size_t)n <= len)
		return n;
	s->ahead_n = (unsigned)((size_t)n - len);
	return (ssize_t)len;
}

int channel_read(struct channel *s, void *buf, size_t len, struct err *reterr)
{
	size_t at = channel_take_ahead(s, buf, len), renewed = 0;
	uint64_t until = channel_until(s);

	while (at < len) {
		short events = POLLIN;
		ssize_t n = channel_some(s, (char *)buf + at, len - at, &events, reterr);

		if (n == 0)
			return at ? channel_gone(reterr) : 0;
		if (n == -EAGAIN)
			n = channel_wait(s, events, until, reterr);
		if (n < 0)
			return (int)n;
		at += (size_t)n;
		if (at - renewed >= CHANNEL_PIECE) {
			renewed = at;
			until = channel_until(s);
		}
	}
	return 1;
}

int channel_need(struct channel *s, void *buf, size_t len, struct err *reterr)
{
	int r = channel_read(s, buf, len, reterr);

	return r == 0 ? channel_gone(reterr) : r < 0 ? r : 0;
}

/* TCP takes bytes off its queue without a copy. */
int channel_skip(struct channel *s, void *buf, size_t len, struct err *reterr)
{
	size_t at = channel_take_ahead(s, buf, len);
	uint64_t until = channel_until(s);

	if (s->tls || !s->tcp)
		return channel_need(s, (char *)buf + at, len - at, reterr);
	while (at < len) {
		ssize_t n = sys_recv(s->fd, NULL, len - at, MSG_TRUNC | MSG_DONTWAIT);

		if (n == 0)
			return channel_gone(reterr);
		if (n == -EAGAIN)
			n = channel_wait(s, POLLIN, until, reterr);
		else if (n < 0)
			(void)channel_failed(reterr, (int)n);
		else
			s->in_bytes += (uint64_t)n;
		if (n < 0)
			return (int)n;
		at += (size_t)n;
	}
	return 0;
}

int channel_poll(struct channel *s, uint64_t wait_ns, struct err *reterr)
{
	uint64_t until = sys_clock_ns() + wait_ns;
	struct err none;

	while (s->ahead_at == s->ahead_n) {
		short events = POLLIN;
		ssize_t n = -EAGAIN;
		int r;

		/* Under TLS a readable socket may have nothing for us. */
		if (s->tls)
			n = tls_recv(s->tls, s->ahead, 1, &events, reterr);
		if (n >= 0) {
			s->ahead_at = 0;
			s->ahead_n = (unsigned)n;
			return 1;
		}
		if (n != -EAGAIN)
			return (int)n;
		r = channel_wait(s, events, until, &none);
		if (r == -ETIMEDOUT)
			return 0;
		if (r < 0)
			return err_set(reterr, r, "%s", none.text);
		if (!s->tls)
			return 1;
	}
	return 1;
}

/* ------------------------------------------------------------------ writing */

static ssize_t channel_put(struct channel *s, struct iovec *iov, unsigned n, int flags,
			  short *ret_events, struct err *e)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t r;

	if (s->tls)
		return tls_send(s->tls, iov->iov_base, iov->iov_len, ret_events, e);
	r = sys_sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
	*ret_events = POLLOUT;
	if (r < 0 && r != -EAGAIN && r != -ENOBUFS)
		(void)channel_failed(e, (int)r);
	return r;
}

/* Whatever was taken off the front; the first piece that is not empty. */
static void channel_advance(struct iovec **iov, unsigned *n, size_t bytes)
{
	while (*n && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (*n) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
		(*iov)->iov_len -= bytes;
	}
}

int channel_write(struct channel *s, struct iovec *iov, unsigned n, int flags, struct err *reterr)
{
	uint64_t until = channel_until(s), renewed = s->out_bytes;

	channel_advance(&iov, &n, 0);
	while (n) {
		short events = POLLOUT;
		unsigned some = (unsigned)min_u64(n, CHANNEL_PIECES_MAX);
		ssize_t r = channel_put(s, iov, some, flags, &events, reterr);

		if (r == -EAGAIN)
			r = channel_wait(s, events, until, reterr);
		if (r < 0)
			return (int)r;
		s->out_bytes += (uint64_t)r;
		channel_advance(&iov, &n, (size_t)r);
		if (s->out_bytes - renewed >= CHANNEL_PIECE) {
			renewed = s->out_bytes;
			until = channel_until(s);
		}
	}
	return 0;
}

int channel_splice(struct channel *s, int pipe_fd, uint64_t len, struct err *reterr)
{
	uint64_t until = channel_until(s), done = 0, renewed = 0;

	while (done < len) {
		ssize_t n = sys_splice(pipe_fd, NULL, s->fd, NULL,
				       (size_t)min_u64(len - done, CHANNEL_PIECE),
				       SPLICE_F_MOVE | SPLICE_F_NONBLOCK |
				       (done + CHANNEL_PIECE < len ? SPLICE_F_MORE : 0u));

		if (n == 0)
			return err_set(reterr, -ENODATA, "connection: the pipe of pages ended");
		if (n == -EAGAIN)
			n = channel_wait(s, POLLOUT, until, reterr);
		else if (n < 0)
			(void)channel_failed(reterr, (int)n);
		if (n < 0)
			return (int)n;
		done += (uint64_t)n;
		s->out_bytes += (uint64_t)n;
		if (done - renewed >= CHANNEL_PIECE) {
			renewed = done;
			until = channel_until(s);
		}
	}
	return 0;
}
