/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "peer.h"

#define PEER_BUFFER_BYTES (256 * KIB)
#define PEER_FDS_PER_MESSAGE 128

struct peer_order {
	uint64_t total;
	unsigned n;       /* descriptors of the whole order */
	bool sleeping;
};

static int peer_control = -1, peer_got = -1;
static cpu_set_t peer_cpus, our_cpus;
static pid_t peer_pid;

/* ------------------------------------------------------- the other process */

struct peer {
	int fds[BENCH_AT_ONCE_MAX];
	unsigned n, open;
	struct peer_order order;
	uint64_t bytes;
	unsigned char *buffer;
	int epoll;
};

static void peer_said(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		_exit(1);
}

/* Returns false at the end of this descriptor. */
static bool peer_take(struct peer *p, int fd)
{
	for (;;) {
		ssize_t n = read(fd, p->buffer, PEER_BUFFER_BYTES);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0)
			return false;
		p->bytes += (uint64_t)n;
		if (p->bytes == p->order.total)
			peer_said(peer_got);
		if (p->n > 1)
			return true; /* the others have their turn */
	}
}

static void peer_serve_many(struct peer *p)
{
	struct epoll_event events[64];

	while (p->open > 0) {
		int n = epoll_wait(p->epoll, events, 64, p->order.sleeping ? -1 : 0);

		for (int i = 0; i < n; i++) {
			if (peer_take(p, events[i].data.fd))
				continue;
			close(events[i].data.fd);
			p->open--;
		}
	}
}

static void peer_serve(struct peer *p)
{
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < p->n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = p->fds[i] };
		bool one_sleeps = p->n == 1 && p->order.sleeping;

		(void)fcntl(p->fds[i], F_SETFL, one_sleeps ? 0 : O_NONBLOCK);
		if (p->epoll < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->fds[i], &e) != 0)
			_exit(1);
	}
	p->open = p->n;
	if (p->n == 1) {
		while (peer_take(p, p->fds[0]))
			;
		close(p->fds[0]);
	} else {
		peer_serve_many(p);
	}
	close(p->epoll);
}

static ssize_t peer_order_get(struct peer *p)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * PEER_FDS_PER_MESSAGE)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &p->order, sizeof(p->order) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(peer_control, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c && c->cmsg_type == SCM_RIGHTS) {
		unsigned fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		memcpy(p->fds + p->n, CMSG_DATA(c), fds * sizeof(int));
		p->n += fds;
	}
	return n;
}

static void peer_main(void)
{
	static struct peer p;

	p.buffer = malloc(PEER_BUFFER_BYTES);
	if (!p.buffer)
		_exit(1);
	for (;;) {
		p.n = 0;
		p.bytes = 0;
		do {
			if (peer_order_get(&p) <= 0)
				_exit(0);
		} while (p.n < p.order.n);
		peer_serve(&p);
		peer_said(peer_control);
	}
}

/* ------------------------------------------------------------ this process */

/*
 * The receiver has the last CPU for itself and we the others, as if it were
 * another machine; else the scheduler puts both on one, now and then.
 */
static void peer_share_cpus(void)
{
	unsigned last = 0;

	CPU_ZERO(&peer_cpus);
	if (sched_getaffinity(0, sizeof(our_cpus), &our_cpus) != 0 || CPU_COUNT(&our_cpus) < 2) {
		peer_cpus = our_cpus;
		return;
	}
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &our_cpus))
			last = i;
	CPU_CLR(last, &our_cpus);
	CPU_SET(last, &peer_cpus);
}

void peer_on_its_cpus(bool there)
{
	(void)sched_setaffinity(0, sizeof(cpu_set_t), there ? &peer_cpus : &our_cpus);
}

void peer_start(void)
{
	int pair[2];

	peer_share_cpus();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		bench_die("socketpair: %s", strerror(errno));
	peer_got = eventfd(0, EFD_CLOEXEC);
	if (peer_got < 0)
		bench_die("eventfd: %s", strerror(errno));
	peer_pid = fork();
	if (peer_pid < 0)
		bench_die("fork: %s", strerror(errno));
	peer_control = pair[peer_pid == 0];
	close(pair[peer_pid != 0]);
	if (peer_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		peer_on_its_cpus(true);
		peer_main();
	}
	peer_on_its_cpus(false);
}

void peer_stop(void)
{
	close(peer_control);
	(void)waitpid(peer_pid, NULL, 0);
}

static void peer_send_some(const struct peer_order *order, const int *fds, unsigned n)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * PEER_FDS_PER_MESSAGE)];
		struct cmsghdr align;
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)order, sizeof(*order) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	if (sendmsg(peer_control, &msg, MSG_NOSIGNAL) < 0)
		bench_die("handing descriptors over: %s", strerror(errno));
}

void peer_receive(const int *fds, unsigned n, uint64_t total, bool sleeping)
{
	struct peer_order order = { .total = total, .n = n, .sleeping = sleeping };
	struct pollfd stale = { .fd = peer_got, .events = POLLIN };

	/* Of a mover that failed after the last byte. */
	if (poll(&stale, 1, 0) > 0)
		peer_wait();

	for (unsigned at = 0; at < n; at += PEER_FDS_PER_MESSAGE)
		peer_send_some(&order, fds + at,
			       n - at < PEER_FDS_PER_MESSAGE ? n - at : PEER_FDS_PER_MESSAGE);
}

void peer_wait(void)
{
	uint64_t one;

	if (read(peer_got, &one, sizeof(one)) != (ssize_t)sizeof(one))
		bench_die("the receiver: %s", strerror(errno));
}

void peer_over(void)
{
	uint64_t one;

	if (recv(peer_control, &one, sizeof(one), 0) <= 0)
		bench_die("the receiver is gone");
}
