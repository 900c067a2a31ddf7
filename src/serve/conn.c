/* SPDX-License-Identifier: MIT */
/*
 * One connection: input in, requests out of it, answers in their order.
 *
 * Its events are told once, by edges (EPOLLET), and noted; so no call is spent on
 * changing what is waited for.  Input is read into the worker's buffer; only
 * what is left over when nothing more can be done is kept.
 */
#include "serve/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>

#include "sys/sys.h"

#define CONN_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
/* More than one request of the largest size, and less than a client could make us keep. */
#define CONN_LINGER_BYTES (1u << 20)
#define CONN_ACCEPT_MAX 64
#define CONN_AGAIN_NS 100000000ull

void conn_address(const struct conn *c, char ret[INET6_ADDRSTRLEN])
{
	if (!inet_ntop(c->family, c->address, ret, INET6_ADDRSTRLEN))
		memcpy(ret, "-", 2);
}

/* --------------------------------------------------------------- life */

static void conn_init(struct conn *c, int fd, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *v6 = (const void *)from;
	const struct sockaddr_in *v4 = (const void *)from;

	list_init(&c->timed);
	list_init(&c->ready);
	c->fd = fd;
	c->family = (uint8_t)from->ss_family;
	if (from->ss_family == AF_INET6) {
		memcpy(c->address, &v6->sin6_addr, 16);
		c->port = ntohs(v6->sin6_port);
	} else if (from->ss_family == AF_INET) {
		memcpy(c->address, &v4->sin_addr, 4);
		c->port = ntohs(v4->sin_port);
	}
	/* Of an IPv4 client of an IPv6 socket, what people know. */
	if (c->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		memmove(c->address, c->address + 12, 4);
		memset(c->address + 4, 0, 12);
		c->family = AF_INET;
	}
}

static int conn_create(struct worker *w, int fd, const struct sockaddr_storage *from)
{
	struct epoll_event e = { .events = CONN_EVENTS };
	struct conn *c = sys_calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	conn_init(c, fd, from);
	e.data.ptr = c;
	r = sys_epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e);
	if (r < 0) {
		free(c);
		return r;
	}
	w->conns_n++;
	atomic_store_explicit(&w->state->connections, w->conns_n, memory_order_relaxed);
	worker_time(w, c, LIST_HEAD);
	return 0;
}

/* Events of this turn may still name it: it is freed at the turn's end. */
void conn_close(struct worker *w, struct conn *c)
{
	if (c->dead)
		return;
	if (c->x && c->x->engine_id) {
		/* The engine holds the socket: it is told, and its ENDED comes back here. */
		c->broken = true;
		(void)sys_shutdown(c->fd, SHUT_RDWR);
		if (decant_cancel(c->x->engine, c->x->engine_id) < 0)
			return;
		return;
	}
	c->dead = true;
	if (c->x) {
		c->x->cut = true;
		exchange_end(w, c);
	}
	list_remove(&c->timed);
	list_remove(&c->ready);
	(void)sys_close(c->fd);
	free(c->in);
	c->in = NULL;
	w->conns_n--;
	atomic_store_explicit(&w->state->connections, w->conns_n, memory_order_relaxed);
	if (w->accept_again_ns)
		w->accept_again_ns = w->now_ns;
	list_push(&w->dead, &c->timed);
}

void conn_accept(struct worker *w)
{
	struct sockaddr_storage from;
	int fd, r;

	for (unsigned i = 0; i < CONN_ACCEPT_MAX; i++) {
		socklen_t len = sizeof(from);

		if (w->conns_n >= w->conns_max && !worker_make_room(w)) {
			w->accept_again_ns = w->now_ns + CONN_AGAIN_NS;
			return;
		}
		fd = sys_accept4(w->listen_fd, (struct sockaddr *)&from, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -EAGAIN)
			return;
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
			if (worker_make_room(w))
				continue;
			w->accept_again_ns = w->now_ns + CONN_AGAIN_NS;
			return;
		}
		if (fd < 0) /* that client has gone again */
			continue;
		r = conn_create(w, fd, &from);
		if (r < 0) {
			(void)sys_close(fd);
			w->accept_again_ns = w->now_ns + CONN_AGAIN_NS;
			return;
		}
	}
}

/* -------------------------------------------------------------- input */

/* What is not used yet outlives this turn.  data: in c->in or the worker's input. */
static int conn_keep(struct conn *c, const char *data, size_t len)
{
	char *kept;

	if (data == c->in)
		return 0;
	kept = sys_malloc(len ? len : 1);
	if (!kept)
		return -ENOMEM;
	memcpy(kept, data, len);
	if (c->x)
		request_move(&c->x->request, data, kept);
	free(c->in);
	c->in = kept;
	c->in_len = (uint32_t)len;
	return 0;
}

/* No answer is in flight and no input is left. */
static void conn_idle(struct worker *w, struct conn *c)
{
	free(c->in);
	c->in = NULL;
	c->in_len = c->in_at = 0;
	c->scanned = 0;
	if (w->stopping)
		conn_close(w, c);
	else
		worker_time(w, c, LIST_IDLE);
}

/*
 * The last answer is sent.  What the client still sends is read and thrown away
 * for a while: to close before would make its kernel drop our answer.
 */
static void conn_linger(struct worker *w, struct conn *c)
{
	free(c->in);
	c->in = NULL;
	c->in_len = c->in_at = 0;
	(void)sys_shutdown(c->fd, SHUT_WR);
	c->closing = true;
	worker_time(w, c, LIST_LINGER);
	/* Else the next byte, or the end of its input, raises an edge. */
	if (c->readable)
		worker_ready(w, c);
}

static void conn_drain(struct worker *w, struct conn *c)
{
	for (uint64_t n = 0; n < CONN_LINGER_BYTES;) {
		ssize_t r = sys_recv(c->fd, w->input, SERVE_INPUT_BYTES, 0);

		if (r == -EAGAIN)
			return;
		if (r <= 0)
			break;
		n += (uint64_t)r;
	}
	conn_close(w, c);
}

/* ------------------------------------------------------------- answers */

/* After an answer: false when the connection has ended. */
static bool conn_answered(struct worker *w, struct conn *c)
{
	bool goes_on = c->x->keep_alive;

	exchange_end(w, c);
	/* What it may have sent behind its last request is on its way, for all that we know. */
	if (!goes_on)
		conn_linger(w, c);
	return goes_on;
}

/* Send on.  true: the answer is sent and another request may begin. */
static bool conn_send(struct worker *w, struct conn *c)
{
	enum body_step step = body_step(w, c);

	if (step == BODY_FAILED && exchange_fail(w, c->x) == 0)
		step = body_step(w, c);
	switch (step) {
	case BODY_DONE:
		return conn_answered(w, c);
	case BODY_MORE:
		worker_ready(w, c);
		break;
	case BODY_WAIT:
	case BODY_SLEEP:
	case BODY_ENGINE:
		break;
	case BODY_FAILED:
	case BODY_BROKEN:
		conn_close(w, c);
		return false;
	}
	worker_time(w, c, LIST_SEND);
	return false;
}

static bool conn_begin(struct worker *w, struct conn *c, const struct request *r)
{
	if (!exchange_begin(w, c, r)) {
		conn_close(w, c);
		return false;
	}
	return conn_send(w, c);
}

/*
 * Answer what is in data, in turn.  It is kept where an answer is not sent yet,
 * and where a head is not complete.
 */
static void conn_requests(struct worker *w, struct conn *c, const char *data, size_t len)
{
	size_t at = c->in_at;
	unsigned n = 0;

	/* These requests are here: what was done before they were made is seen from now on. */
	names_check(w->names, w->now_ns);
	for (; at < len && n < SERVE_QUANTUM_REQUESTS; n++) {
		struct request r;
		size_t head = request_parse(data + at, len - at, &c->scanned, &r);

		c->partial = head == 0;
		if (head == 0)
			break;
		at += head;
		c->in_at = (uint32_t)at;
		if (!conn_begin(w, c, &r)) {
			if (!c->dead && !c->closing && conn_keep(c, data, len) < 0)
				conn_close(w, c);
			return;
		}
	}
	if (at == len) {
		conn_idle(w, c);
		return;
	}
	/* Nobody points into what was used. */
	if (data == c->in) {
		memmove(c->in, c->in + at, len - at);
		c->in_len = (uint32_t)(len - at);
	} else if (conn_keep(c, data + at, len - at) < 0) {
		conn_close(w, c);
		return;
	}
	c->in_at = 0;
	if (n == SERVE_QUANTUM_REQUESTS)
		worker_ready(w, c);
	/* The time for a head counts from its first byte. */
	if (c->on != LIST_HEAD)
		worker_time(w, c, LIST_HEAD);
}

/* More input, behind what was kept. */
static void conn_read(struct worker *w, struct conn *c)
{
	size_t had = c->in_len - c->in_at, room = SERVE_INPUT_BYTES;
	ssize_t n;

	if (had)
		memcpy(w->input, c->in + c->in_at, had);
	n = sys_recv(c->fd, w->input + had, room, 0);
	if (n == -EAGAIN) {
		c->readable = false;
		return;
	}
	if (n <= 0) {
		conn_close(w, c);
		return;
	}
	/* A short read has taken all: the next byte raises a new edge. */
	if ((size_t)n < room && !c->ended)
		c->readable = false;
	c->in_at = 0;
	free(c->in);
	c->in = NULL;
	c->in_len = 0;
	conn_requests(w, c, w->input, had + (size_t)n);
}

/* ---------------------------------------------------------------- turns */

void conn_turn(struct worker *w, struct conn *c)
{
	if (c->dead)
		return;
	if (c->closing) {
		conn_drain(w, c);
		return;
	}
	if (c->x) {
		if (c->x->engine_id || c->sleeping)
			return;
		if (!conn_send(w, c))
			return;
		/* Answered: what is left of the input is next. */
		if (c->in_at == c->in_len)
			conn_idle(w, c);
		else
			conn_requests(w, c, c->in, c->in_len);
		if (!c->dead && !c->x && c->readable)
			worker_ready(w, c);
		return;
	}
	if (c->in && !c->partial)
		conn_requests(w, c, c->in, c->in_len);
	if (c->dead || c->x || c->closing)
		return;
	/* Requests that wait for their turn come first. */
	if (c->readable && (!c->in || c->partial))
		conn_read(w, c);
	if (!c->dead && !c->x && !c->closing && c->readable)
		worker_ready(w, c);
}

void conn_event(struct worker *w, struct conn *c, uint32_t events)
{
	if (c->dead)
		return;
	/*
	 * Nothing that we send arrives any more.  Where we have ended our side, a hang-up
	 * is but the end of theirs, behind input that is to be read: or our kernel would
	 * reset the connection, and theirs drop our answer.
	 */
	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !c->closing)) {
		conn_close(w, c);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP))
		c->readable = true;
	/* The end of its input comes behind what it has sent; it may still read. */
	if (events & EPOLLRDHUP)
		c->ended = true;
	conn_turn(w, c);
}

/* That it ends so says nothing about the file. */
static bool conn_is_gone(int error)
{
	return error == 0 || error == -EPIPE || error == -ECONNRESET || error == -ECANCELED ||
	       error == -ETIMEDOUT;
}

void conn_engine_ended(struct worker *w, struct conn *c, const struct decant_event *e)
{
	struct exchange *x = c->x;

	x->engine_id = 0;
	x->at += e->bytes;
	x->sent += e->bytes;
	if (e->error < 0 || c->broken) {
		x->cut = true;
		if (!conn_is_gone(e->error)) {
			x->error = e->error;
			x->error_at = e->offset;
		}
		conn_close(w, c);
		return;
	}
	worker_time(w, c, LIST_SEND);
	worker_ready(w, c);
}

void conn_expired(struct worker *w, struct conn *c)
{
	bool waits_for_head = c->on == LIST_HEAD && c->in;

	/* The engine has a time-out of its own, and so has whoever sleeps. */
	if (c->x && (c->x->engine_id || c->sleeping)) {
		worker_time(w, c, LIST_SEND);
		return;
	}
	if (waits_for_head && !c->x && exchange_refuse(w, c, 408)) {
		(void)conn_send(w, c);
		return;
	}
	conn_close(w, c);
}
