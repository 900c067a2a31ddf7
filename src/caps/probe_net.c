/* SPDX-License-Identifier: MIT */
/* Sockets over loopback, which a network namespace may not have. */
#include <endian.h>
#include <errno.h>
#include <time.h> /* before: it uses struct timespec */
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/sys.h"

#define PROBE_SEND_BYTES 16384
#define PROBE_CONNECT_MS 1000

union probe_addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t probe_loopback(union probe_addr *addr, int family)
{
	memset(addr, 0, sizeof(*addr));
	if (family == AF_INET) {
		addr->v4.sin_family = AF_INET;
		addr->v4.sin_addr.s_addr = htobe32(INADDR_LOOPBACK);
		return sizeof(addr->v4);
	}
	addr->v6.sin6_family = AF_INET6;
	addr->v6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	return sizeof(addr->v6);
}

/* 1: ready, 0: not within the time. */
static int probe_poll(int fd, short events, uint64_t until_ns)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t now = sys_clock_ns();
	int r;

	while (now < until_ns) {
		r = sys_poll(&pfd, 1, (int)((until_ns - now) / 1000000) + 1);
		if (r != -EINTR && r != 0)
			return r;
		now = sys_clock_ns();
	}
	return 0;
}

/* Accept the connection that is ours: strangers may connect to the port too. */
static int probe_accept(int listener, int client, uint64_t until_ns)
{
	union probe_addr ours, theirs;
	socklen_t len = sizeof(ours);
	int fd, r;

	r = sys_getsockname(client, &ours.any, &len);
	if (r < 0)
		return r;
	do {
		r = probe_poll(listener, POLLIN, until_ns);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
		memset(&theirs, 0, sizeof(theirs));
		len = sizeof(theirs);
		fd = sys_accept4(listener, &theirs.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED)
			return fd;
		if (fd >= 0 && theirs.v4.sin_port == ours.v4.sin_port)
			return fd; /* the port is in the same place for IPv6 */
		if (fd >= 0)
			(void)sys_close(fd);
	} while (sys_clock_ns() < until_ns);
	return -ETIMEDOUT;
}

/* Not blocking: where a firewall eats loopback packets, connect would take minutes. */
static int probe_connect(int fd, const union probe_addr *addr, socklen_t len, uint64_t until_ns)
{
	int r = sys_connect(fd, &addr->any, len), error = 0;

	if (r != -EINPROGRESS)
		return r;
	r = probe_poll(fd, POLLOUT, until_ns);
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	len = sizeof(error);
	r = sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return r < 0 ? r : -error;
}

static int probe_tcp_pair_of(int family, int ret_fds[2], const char **ret_what)
{
	const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	uint64_t until_ns = sys_clock_ns() + PROBE_CONNECT_MS * 1000000ull;
	_cleanup_close_ int listener = -1, client = -1;
	union probe_addr addr;
	socklen_t len = probe_loopback(&addr, family);
	int r;

	*ret_what = "socket";
	listener = sys_socket(family, type, 0);
	if (listener < 0)
		return listener;
	client = sys_socket(family, type, 0);
	if (client < 0)
		return client;
	*ret_what = "bind to loopback";
	r = sys_bind(listener, &addr.any, len);
	if (r < 0)
		return r;
	*ret_what = "listen on loopback";
	r = sys_listen(listener, 4);
	if (r == 0)
		r = sys_getsockname(listener, &addr.any, &len);
	if (r < 0)
		return r;
	*ret_what = "connect over loopback";
	r = probe_connect(client, &addr, len, until_ns);
	if (r < 0)
		return r;
	*ret_what = "accept on loopback";
	r = probe_accept(listener, client, until_ns);
	if (r < 0)
		return r;
	ret_fds[0] = take_fd(&client);
	ret_fds[1] = r;
	return 0;
}

int probe_tcp_pair(int ret_fds[2], struct err *reterr)
{
	const char *what;
	int r;

	r = probe_tcp_pair_of(AF_INET, ret_fds, &what);
	if (r == 0)
		return 0;
	(void)err_errno(reterr, r, "%s", what);
	return probe_tcp_pair_of(AF_INET6, ret_fds, &what) == 0 ? 0 : r;
}

void probe_drain(int fd)
{
	static __thread char trash[PROBE_SEND_BYTES]; /* read by nobody */
	int tries;

	/* MSG_TRUNC: TCP throws the bytes away without touching trash. */
	for (tries = 0; tries < 64; tries++)
		if (sys_recv(fd, trash, sizeof(trash), MSG_DONTWAIT | MSG_TRUNC) <= 0)
			break;
}

/* 1 and *ret: a notification came; 0: not yet; else a negative errno. */
static int probe_error_queue(int fd, struct sock_extended_err *ret)
{
	union {
		char bytes[256];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *cm;
	ssize_t n = sys_recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
		bool v4 = cm->cmsg_level == SOL_IP && cm->cmsg_type == IP_RECVERR;
		bool v6 = cm->cmsg_level == SOL_IPV6 && cm->cmsg_type == IPV6_RECVERR;

		if (!v4 && !v6)
			continue;
		memcpy(ret, CMSG_DATA(cm), sizeof(*ret));
		if (ret->ee_errno == 0 && ret->ee_origin == SO_EE_ORIGIN_ZEROCOPY)
			return 1;
	}
	return 0;
}

static void probe_zerocopy_notified(struct probe *p, int from, int to)
{
	uint64_t until_ns = sys_clock_ns() + PROBE_WAIT_NS;
	struct sock_extended_err ee;
	struct pollfd pfd = { .fd = from }; /* POLLERR needs no asking */
	int r;

	do {
		probe_drain(to);
		(void)sys_poll(&pfd, 1, PROBE_TICK_MS);
		r = probe_error_queue(from, &ee);
	} while (r == 0 && sys_clock_ns() < until_ns);
	if (r < 0)
		probe_refused(p, r, "recvmsg(MSG_ERRQUEUE)");
	else if (r == 0)
		probe_no(p, "send(MSG_ZEROCOPY) over loopback: no notification came");
	else
		probe_yes(p, 0, "send(MSG_ZEROCOPY) over loopback: the notification came%s",
			  ee.ee_code & SO_EE_CODE_ZEROCOPY_COPIED ? " (copied, as is usual there)"
								   : "");
}

/* The pages that it pins are never written to: const is enough. */
static const char probe_payload[PROBE_SEND_BYTES];

void probe_msg_zerocopy(struct caps *c, struct probe *p)
{
	_cleanup_close_ int from = -1, to = -1;
	struct err no_pair;
	int fds[2], one = 1, r;
	ssize_t n;

	(void)c;
	r = probe_tcp_pair(fds, &no_pair);
	if (r == 0) {
		from = fds[0];
		to = fds[1];
	} else {
		from = sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (from < 0) {
		probe_untried(p, from, "socket");
		return;
	}
	r = sys_setsockopt(from, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));
	if (r < 0) {
		probe_refused(p, r, "SO_ZEROCOPY on a TCP socket");
		return;
	}
	if (to < 0) {
		probe_yes(p, 0, "SO_ZEROCOPY was accepted; not tried further: %s", no_pair.text);
		return;
	}
	n = sys_send(from, probe_payload, sizeof(probe_payload), MSG_ZEROCOPY | MSG_NOSIGNAL);
	if (n < 0)
		probe_refused(p, (int)n, "send(MSG_ZEROCOPY) over loopback");
	else
		probe_zerocopy_notified(p, from, to);
}
