/* SPDX-License-Identifier: MIT */
/*
 * Loops written for the purpose, to streams: what a good program would do by
 * hand with one system call or another.  One thread; descriptors that do not
 * block; with many at once, epoll says who may go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

struct loop {
	int to, from;
	bool pipe_sink;
	uint64_t off, end;        /* in the file */
	uint64_t chunk;
	unsigned char *buffer;    /* read+send: what was read, */
	uint64_t have, sent;      /* how much, and how much of it was sent */
	int pipe[2];              /* splice */
	uint64_t in_pipe;
	unsigned char *map;       /* of [off, end) at the start of a transfer */
	uint64_t map_off;
	bool runnable;
};

struct loop_kind {
	const char *name;
	/* Bytes that went on (> 0), or a negative errno. */
	int64_t (*step)(struct loop *l);
	bool pipe, buffer, map, kept, memory;
};

static int64_t loop_put(struct loop *l, const void *data, uint64_t len)
{
	ssize_t n = l->pipe_sink ? write(l->to, data, len) :
				   send(l->to, data, len, MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

static uint64_t loop_want(const struct loop *l)
{
	uint64_t left = l->end - l->off;

	return left < l->chunk ? left : l->chunk;
}

static int64_t loop_sendfile(struct loop *l)
{
	off_t off = (off_t)l->off;
	ssize_t n = sendfile(l->to, l->from, &off, loop_want(l));

	return n < 0 ? -errno : n;
}

static int64_t loop_splice(struct loop *l)
{
	ssize_t n;

	if (l->pipe_sink) { /* the sink is all the pipe that is needed */
		loff_t off = (loff_t)l->off;

		n = splice(l->from, &off, l->to, NULL, loop_want(l), SPLICE_F_NONBLOCK);
		return n < 0 ? -errno : n;
	}
	if (l->in_pipe == 0) {
		loff_t off = (loff_t)l->off;

		n = splice(l->from, &off, l->pipe[1], NULL, loop_want(l), 0);
		if (n < 0)
			return -errno;
		l->in_pipe = (uint64_t)n;
	}
	n = splice(l->pipe[0], NULL, l->to, NULL, l->in_pipe,
		   l->off + l->in_pipe < l->end ? SPLICE_F_MORE : 0);
	if (n < 0)
		return -errno;
	l->in_pipe -= (uint64_t)n;
	return n;
}

static int64_t loop_read_send(struct loop *l)
{
	int64_t n;

	if (l->sent == l->have) {
		n = pread(l->from, l->buffer, loop_want(l), (off_t)l->off);
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		l->have = (uint64_t)n;
		l->sent = 0;
	}
	n = loop_put(l, l->buffer + l->sent, l->have - l->sent);
	if (n > 0)
		l->sent += (uint64_t)n;
	return n;
}

static int64_t loop_map_send(struct loop *l)
{
	return loop_put(l, l->map + (l->off - l->map_off), loop_want(l));
}

static const struct loop_kind loop_kinds[] = {
	{ .name = "sendfile", .step = loop_sendfile },
	{ .name = "splice", .step = loop_splice, .pipe = true },
	{ .name = "read+send", .step = loop_read_send, .buffer = true },
	{ .name = "mmap+send", .step = loop_map_send, .map = true },
	{ .name = "kept mmap+send", .step = loop_map_send, .kept = true },
	{ .name = "send", .step = loop_map_send, .memory = true },
};

/* ------------------------------------------------------------ one transfer */

static int loop_begin(struct loop *l, const struct setting *s, const struct loop_kind *k,
		      unsigned transfer)
{
	const struct bench_case *c = s->c;
	unsigned file = k->memory ? 0 : case_file(s, transfer);

	l->from = s->from[file];
	l->off = l->map_off = case_offset(c, transfer);
	l->end = l->off + c->piece;
	l->have = l->sent = l->in_pipe = 0;
	l->runnable = true;
	if (k->memory) {
		l->off = l->map_off = 0;
		l->end = c->piece;
		l->map = s->memory;
	} else if (k->kept) {
		l->map = s->maps[file];
		l->map_off = 0;
	} else if (k->map) {
		l->map = mmap(NULL, c->piece, PROT_READ, MAP_SHARED, l->from, (off_t)l->off);
		if (l->map == MAP_FAILED)
			return -errno;
	}
	return 0;
}

static void loop_end(struct loop *l, const struct setting *s, const struct loop_kind *k)
{
	if (k->map)
		munmap(l->map, s->c->piece);
	l->map = NULL;
}

/* One after the other. */
static int loop_run_one(struct setting *s, struct loop *l, const struct loop_kind *k)
{
	unsigned n = case_transfers(s->c);

	for (unsigned i = 0; i < n; i++) {
		int r = loop_begin(l, s, k, i);

		if (r < 0)
			return r;
		while (l->off < l->end) {
			int64_t done = k->step(l);

			if (done > 0) {
				l->off += (uint64_t)done;
			} else if (done == -EAGAIN) {
				struct pollfd p = { .fd = l->to, .events = POLLOUT };

				(void)poll(&p, 1, -1);
			} else {
				return done < 0 ? (int)done : -EIO;
			}
		}
		loop_end(l, s, k);
	}
	return 0;
}

/* --------------------------------------------------------------- many of them */

/* All of them once; those that cannot go on wait for epoll. */
static int loop_turn(struct setting *s, struct loop *ls, const struct loop_kind *k,
		     unsigned *left, unsigned *runnable)
{
	for (unsigned i = 0; i < s->c->at_once; i++) {
		struct loop *l = &ls[i];
		int64_t done;

		if (!l->runnable)
			continue;
		done = k->step(l);
		if (done == -EAGAIN) {
			l->runnable = false;
			(*runnable)--;
		} else if (done <= 0) {
			return done < 0 ? (int)done : -EIO;
		} else {
			l->off += (uint64_t)done;
			if (l->off == l->end) {
				loop_end(l, s, k);
				l->runnable = false;
				(*runnable)--;
				(*left)--;
			}
		}
	}
	return 0;
}

static int loop_run_many(struct setting *s, struct loop *ls, const struct loop_kind *k, int epoll)
{
	unsigned n = s->c->at_once;
	struct epoll_event events[64];

	for (unsigned r = 0; r < s->c->repeat; r++) {
		unsigned left = n, runnable = n;

		for (unsigned i = 0; i < n; i++) {
			int error = loop_begin(&ls[i], s, k, r * n + i);

			if (error < 0)
				return error;
		}
		while (left > 0) {
			int got, error = loop_turn(s, ls, k, &left, &runnable);

			if (error < 0)
				return error;
			got = left ? epoll_wait(epoll, events, 64, runnable ? 0 : -1) : 0;
			for (int i = 0; i < got; i++) {
				struct loop *l = &ls[events[i].data.u32];

				if (!l->runnable && l->off < l->end) {
					l->runnable = true;
					runnable++;
				}
			}
		}
	}
	return 0;
}

static int loop_prepare(struct loop *l, struct setting *s, const struct loop_kind *k,
			uint64_t chunk, unsigned i)
{
	memset(l, 0, sizeof(*l));
	l->pipe[0] = l->pipe[1] = -1;
	l->to = s->to[i];
	l->pipe_sink = s->c->to == SINK_PIPE;
	l->chunk = chunk;
	if (k->buffer) {
		l->buffer = aligned_alloc(4096, chunk);
		if (!l->buffer)
			return -ENOMEM;
	}
	if (k->pipe && !l->pipe_sink) {
		if (pipe2(l->pipe, O_CLOEXEC) != 0)
			return -errno;
		/* One of a mebibyte; so many of them the system does not allow. */
		if (s->c->at_once == 1)
			(void)fcntl(l->pipe[1], F_SETPIPE_SZ, (int)MIB);
	}
	return 0;
}

static int loop_run(struct setting *s, const struct mover *m, struct sample *ret)
{
	static struct loop ls[BENCH_AT_ONCE_MAX];
	const struct loop_kind *k = m->arg;
	int epoll = epoll_create1(EPOLL_CLOEXEC), r = epoll < 0 ? -errno : 0;

	(void)ret;
	for (unsigned i = 0; i < s->c->at_once && r == 0; i++) {
		struct epoll_event e = { .events = EPOLLOUT | EPOLLET, .data.u32 = i };

		r = loop_prepare(&ls[i], s, k, m->n, i);
		if (r == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, s->to[i], &e) != 0)
			r = -errno;
	}
	if (r == 0)
		r = s->c->at_once == 1 ? loop_run_one(s, ls, k) : loop_run_many(s, ls, k, epoll);
	for (unsigned i = 0; i < s->c->at_once; i++) {
		free(ls[i].buffer);
		if (k->pipe && !ls[i].pipe_sink) {
			close(ls[i].pipe[0]);
			close(ls[i].pipe[1]);
		}
	}
	close(epoll);
	return r;
}

static const char *loop_size(char *buf, size_t size, uint64_t bytes)
{
	if (bytes >= MIB)
		snprintf(buf, size, "%llu MiB", (unsigned long long)(bytes / MIB));
	else
		snprintf(buf, size, "%llu KiB", (unsigned long long)(bytes / KIB));
	return buf;
}

static void loop_add(struct movers *ms, const struct loop_kind *k, uint64_t chunk)
{
	char size[32], name[64];
	struct mover *m;

	if (k->buffer)
		snprintf(name, sizeof(name), "%s %s", k->name,
			 loop_size(size, sizeof(size), chunk));
	else
		snprintf(name, sizeof(name), "%s", k->name);
	m = movers_new(ms, "loop", name);
	m->run = loop_run;
	m->arg = k;
	m->n = chunk;
}

void loops_add(struct movers *ms, const struct setting *s)
{
	static const uint64_t buffers[] = { 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB };
	const struct bench_case *c = s->c;

	if (c->to == SINK_FILE)
		return;
	for (size_t i = 0; i < sizeof(loop_kinds) / sizeof(loop_kinds[0]); i++) {
		const struct loop_kind *k = &loop_kinds[i];

		if (k->memory != c->from_memory || (k->kept && c->cold))
			continue;
		if (!k->buffer) {
			loop_add(ms, k, k->step == loop_map_send ? GIB : MIB);
			continue;
		}
		/* A buffer that is larger than the transfer is the same as the next one. */
		for (size_t b = 0; b < sizeof(buffers) / sizeof(buffers[0]); b++)
			if (b == 0 || buffers[b] <= c->piece)
				loop_add(ms, k, buffers[b]);
	}
}
