/* SPDX-License-Identifier: MIT */
#include "policy/move.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#define MOVE_PAGE 4096u
/* The kernel's own pieces: one datagram each, where the socket has such. */
#define MOVE_PIECE 65536u
/* What a socket that does not wait is offered first: it may take a part only. */
#define MOVE_OFFER (128u << 10)

static long move_call3(struct move *m, long nr, long a, long b, long c)
{
	return m->call(nr, a, b, c, 0, 0, 0);
}

static void move_close2(struct move *m, const int *fds)
{
	(void)move_call3(m, SYS_close, fds[0], 0, 0);
	(void)move_call3(m, SYS_close, fds[1], 0, 0);
}

static bool move_is_nonblock(struct move *m, int fd)
{
	long flags = move_call3(m, SYS_fcntl, fd, F_GETFL, 0);

	return flags >= 0 && (flags & O_NONBLOCK);
}

static short move_poll(struct move *m, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	struct timespec at_once = { 0 };

	return move_call3(m, SYS_ppoll, (long)&p, 1, (long)&at_once) < 0 ? 0 : p.revents;
}

/* Errors of the arguments: the kernel has its own order and names for them. */
static int64_t move_refused(int64_t error)
{
	switch (error) {
	case -EBADF:
	case -EINVAL:
	case -EISDIR:
	case -ENXIO:
	case -EOVERFLOW:
	case -ESPIPE:
		return MOVE_NATIVE;
	default:
		return error;
	}
}

/* ------------------------------------------------------------ into pipes */

/*
 * Where RWF_NOWAIT is not to be had: into a pipe of our own, and from there
 * with a splice that does not wait.  The pages are nobody else's.
 */
static int64_t move_put_through(struct move *m, int out, const struct iovec *iov, unsigned n)
{
	long size = move_call3(m, SYS_fcntl, out, F_GETPIPE_SZ, 0);
	int64_t put;
	int own[2];

	if (move_call3(m, SYS_pipe2, (long)own, O_CLOEXEC | O_NONBLOCK, 0) < 0)
		return -ENOMEM;
	if (size > (long)MOVE_PIECE)
		(void)move_call3(m, SYS_fcntl, own[1], F_SETPIPE_SZ, size);
	put = move_call3(m, SYS_writev, own[1], (long)iov, n);
	if (put > 0)
		put = m->call(SYS_splice, own[0], 0, out, 0, put, SPLICE_F_NONBLOCK);
	move_close2(m, own);
	return put;
}

int64_t move_put(struct move *m, int out, const struct iovec *iov, unsigned n, bool ideal)
{
	int64_t put = m->call(SYS_pwritev2, out, (long)iov, n, -1, -1, RWF_NOWAIT);

	if (put != -EOPNOTSUPP || !ideal)
		return put;
	if (move_is_nonblock(m, out))
		return move_call3(m, SYS_writev, out, (long)iov, n);
	return move_put_through(m, out, iov, n);
}

int64_t move_get(struct move *m, int in, const struct iovec *iov, unsigned n, bool ideal)
{
	static const char dir[] = "/proc/self/fd/";
	char path[sizeof(dir) + 12], digits[12];
	int64_t got = m->call(SYS_preadv2, in, (long)iov, n, -1, -1, RWF_NOWAIT);
	unsigned at = 0, len = 0;
	long own;

	if (got != -EOPNOTSUPP || !ideal)
		return got;
	if (move_is_nonblock(m, in))
		return move_call3(m, SYS_readv, in, (long)iov, n);
	/* A description of our own, which may be O_NONBLOCK. */
	for (; dir[at]; at++)
		path[at] = dir[at];
	for (unsigned rest = (unsigned)in; len == 0 || rest; rest /= 10)
		digits[len++] = (char)('0' + rest % 10);
	while (len)
		path[at++] = digits[--len];
	path[at] = '\0';
	own = m->call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0, 0, 0);
	if (own >= 0) {
		got = move_call3(m, SYS_readv, own, (long)iov, n);
		(void)move_call3(m, SYS_close, own, 0, 0);
		return got;
	}
	if (!(move_poll(m, in, POLLIN) & (POLLIN | POLLHUP)))
		return -EAGAIN;
	return move_call3(m, SYS_readv, in, (long)iov, n);
}

bool move_is_full(struct move *m, int out)
{
	return !(move_poll(m, out, POLLOUT) & (POLLOUT | POLLERR | POLLNVAL));
}

/* 0: there is room, at once or after a wait. */
static int64_t move_has_room(struct move *m, int out, bool nonblock)
{
	for (;;) {
		short events = move_poll(m, out, POLLOUT);
		int r;

		if (events & POLLERR) {
			m->broken(m, false);
			return -EPIPE;
		}
		if (events & POLLNVAL)
			return -EBADF; /* closed meanwhile */
		if (events & POLLOUT)
			return 0;
		if (nonblock || move_is_nonblock(m, out))
			return -EAGAIN;
		r = m->room(m, out);
		if (r < 0)
			return r;
	}
}

/*
 * The kernel lends at most as many pages as there are slots: a start inside of
 * a page costs one its head.
 */
static uint64_t move_lent_max(struct move *m, int64_t pos, int out, uint64_t len)
{
	long size = move_call3(m, SYS_fcntl, out, F_GETPIPE_SZ, 0);
	uint64_t max = size > 0 ? (uint64_t)size - ((uint64_t)pos & (MOVE_PAGE - 1)) : len;

	return len < max ? len : max;
}

int64_t move_file_pipe(struct move *m, int in, int64_t *pos, int out, uint64_t len, bool nonblock)
{
	uint64_t done = 0;

	len = move_lent_max(m, *pos, out, len);
	while (done < len) {
		size_t want = len - done < m->size ? (size_t)(len - done) : m->size;
		int64_t got = m->call(SYS_pread64, in, (long)m->buf, (long)want, *pos, 0, 0);
		struct iovec iov = { m->buf, got > 0 ? (size_t)got : 0 };
		int64_t put;

		if (got <= 0 && done)
			break;
		if (got < 0)
			return move_refused(got);
		if (got == 0) /* the kernel waits for room even then */
			return move_has_room(m, out, nonblock);
		put = move_put(m, out, &iov, 1, true);
		if (put == -EAGAIN && !done && !nonblock && !move_is_nonblock(m, out)) {
			int r = m->room(m, out);

			if (r < 0)
				return r;
			continue; /* and read again: it may have changed meanwhile */
		}
		if (put == -EPIPE)
			m->broken(m, true);
		if (put <= 0)
			return done ? (int64_t)done : move_refused(put);
		done += (uint64_t)put;
		*pos += put;
		if (put < got)
			break;
	}
	return (int64_t)done;
}

/* ---------------------------------------------------------- into sockets */

static int64_t move_send(struct move *m, int out, const unsigned char *p, size_t len, int flags)
{
	int64_t sent = m->call(SYS_sendto, out, (long)p, (long)len, flags, 0, 0);

	if (sent == -EPIPE)
		m->broken(m, true);
	return sent;
}

/* -1: a blocking send has no limit. */
static int move_send_timeout(struct move *m, int out)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);
	long r = m->call(SYS_getsockopt, out, SOL_SOCKET, SO_SNDTIMEO, (long)&tv, (long)&len, 0);
	int64_t ms;

	if (r < 0 || (tv.tv_sec == 0 && tv.tv_usec == 0))
		return -1;
	ms = (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
	return ms < 0x7fffffff ? (int)ms : -1;
}

/*
 * All of it into a blocking socket, without a call that blocks: a signal that
 * comes when something was moved already ends the call, whether or not its
 * handler was made with SA_RESTART.  sent: what went by the first try.
 */
static int64_t move_send_rest(struct move *m, int out, size_t len, int flags, int64_t sent)
{
	size_t done = sent > 0 ? (size_t)sent : 0;
	int timeout_ms = move_send_timeout(m, out);

	while (done < len) {
		int r = m->drain(m, out, timeout_ms);

		if (r >= 0) {
			sent = move_send(m, out, m->buf + done, len - done, flags);
			if (sent >= 0)
				done += (size_t)sent;
			else if (sent != -EAGAIN)
				r = (int)sent;
		}
		if (r < 0)
			return done ? (int64_t)done : r;
	}
	return (int64_t)done;
}

/* first: nothing was moved yet. */
static int64_t move_send_piece(struct move *m, int out, size_t len, bool more, bool first)
{
	int flags = more ? MSG_MORE : 0;
	int64_t sent;

	if (first && m->waits)
		return move_send(m, out, m->buf, len, flags);
	flags |= MSG_DONTWAIT;
	sent = move_send(m, out, m->buf, len, flags);
	if ((sent >= 0 && (size_t)sent == len) || (sent < 0 && sent != -EAGAIN) ||
	    move_is_nonblock(m, out))
		return sent;
	return move_send_rest(m, out, len, flags, sent);
}

/*
 * The file ended earlier than was thought: what was held back by MSG_MORE goes
 * out now, unless the program itself has put the cork in.
 */
static void move_push(struct move *m, int out)
{
	int cork = 0;
	socklen_t len = sizeof(cork);
	long r = m->call(SYS_getsockopt, out, IPPROTO_TCP, TCP_CORK, (long)&cork, (long)&len, 0);

	if (r >= 0 && cork == 0)
		(void)m->call(SYS_setsockopt, out, IPPROTO_TCP, TCP_CORK, (long)&cork,
			      sizeof(cork), 0);
}

bool move_is_stream(struct move *m, int out)
{
	int type = SOCK_STREAM;
	socklen_t len = sizeof(type);

	(void)m->call(SYS_getsockopt, out, SOL_SOCKET, SO_TYPE, (long)&type, (long)&len, 0);
	return type == SOCK_STREAM;
}

/* The first piece.  One send that waits is better than many that are told to wait. */
static size_t move_piece_first(struct move *m, int out, uint64_t len)
{
	if (m->size <= MOVE_OFFER || len <= MOVE_OFFER ||
	    (m->waits && !move_is_nonblock(m, out)))
		return m->size;
	return MOVE_OFFER;
}

static size_t move_piece(size_t max, int64_t pos, uint64_t len, bool stream)
{
	size_t whole = MOVE_PIECE - ((uint64_t)pos & (MOVE_PAGE - 1));

	if (!stream && max > whole)
		max = whole;
	return len < max ? (size_t)len : max;
}

int64_t move_file_socket(struct move *m, int in, int64_t *pos, int out, uint64_t len,
			 uint64_t size_bytes, bool stream)
{
	size_t max = move_piece_first(m, out, len);
	uint64_t done = 0;
	bool more = false;

	if (len > MOVE_MAX)
		len = MOVE_MAX;
	while (done < len) {
		size_t want = move_piece(max, *pos, len - done, stream);
		int64_t got = m->call(SYS_pread64, in, (long)m->buf, (long)want, *pos, 0, 0);
		int64_t sent;

		if (got <= 0) {
			if (more)
				move_push(m, out);
			return done || got == 0 ? (int64_t)done : move_refused(got);
		}
		more = done + (uint64_t)got < len && (uint64_t)(*pos + got) < size_bytes;
		sent = move_send_piece(m, out, (size_t)got, more, done == 0);
		if (sent < 0)
			return done ? (int64_t)done : move_refused(sent);
		done += (uint64_t)sent;
		*pos += sent;
		if (sent < got)
			break;
		/* It takes all that it is offered: fewer and larger pieces. */
		if (max < m->size)
			max *= 2;
	}
	return (int64_t)done;
}

/* ------------------------------------------------------------------- tee */

/* From our pipe into theirs, until it is full or ours is empty. */
static int64_t move_tee_out(struct move *m, int own, int out)
{
	int64_t done = 0, got, put;

	for (;;) {
		struct iovec iov = { m->buf, 0 };

		got = move_call3(m, SYS_read, own, (long)m->buf, (long)m->size);
		if (got <= 0)
			return done;
		iov.iov_len = (size_t)got;
		put = move_put(m, out, &iov, 1, true);
		if (put == -EPIPE)
			m->broken(m, true);
		if (put < 0)
			return done ? done : put;
		done += put;
		if (put < got)
			return done;
	}
}

/* What `in` has now, as a copy; -EAGAIN and *ret_full: `out` has no room. */
static int64_t move_tee_once(struct move *m, int in, int out, uint64_t len, bool *ret_full)
{
	long size = move_call3(m, SYS_fcntl, in, F_GETPIPE_SZ, 0);
	int64_t n;
	int own[2];

	*ret_full = false;
	if (move_call3(m, SYS_pipe2, (long)own, O_CLOEXEC | O_NONBLOCK, 0) < 0)
		return -ENOMEM;
	if (size > (long)MOVE_PIECE)
		(void)move_call3(m, SYS_fcntl, own[1], F_SETPIPE_SZ, size);
	n = m->call(SYS_tee, in, own[1], (long)len, SPLICE_F_NONBLOCK, 0, 0);
	if (n > 0) {
		n = move_tee_out(m, own[0], out);
		*ret_full = n == -EAGAIN;
	}
	move_close2(m, own);
	return n;
}

int64_t move_tee(struct move *m, int in, int out, uint64_t len, bool nonblock)
{
	if (len > MOVE_MAX)
		len = MOVE_MAX;
	for (;;) {
		bool full;
		int64_t n = move_tee_once(m, in, out, len, &full);
		int r;

		if (n == 0 || n == -EBADF || n == -EINVAL)
			return MOVE_NATIVE; /* no data and no writer, or arguments */
		if (n != -EAGAIN || nonblock)
			return n;
		r = full ? m->room(m, out) : m->data(m, in);
		if (r < 0)
			return r;
	}
}
