/* SPDX-License-Identifier: MIT */
#include "net.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net_name.h"

#define NET_SOCKET_FLAGS (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
/* Of what a peer says to us who only send, so much is thrown away. */
#define NET_WASTE_PIECES_MAX 256
/* A full AF_UNIX backlog cannot be polled for. */
#define NET_UNIX_RETRY_NS UINT64_C(20000000)

static int net_socket_error(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int net_connect_one(const struct addrinfo *a, struct waiter *w, uint64_t deadline_ns)
{
	_cleanup_close_ int fd = socket(a->ai_family, NET_SOCKET_FLAGS, a->ai_protocol);
	int r;

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
		/* After EINTR the connecting goes on by itself, as after EINPROGRESS. */
		if (errno != EINPROGRESS && errno != EINTR)
			return -errno;
		r = waiter_fd(w, fd, POLLOUT, deadline_ns);
		if (r == 0)
			r = net_socket_error(fd);
		if (r < 0)
			return r;
	}
	return take_fd(&fd);
}

int net_tcp_connect(const char *host, uint16_t port, struct waiter *w, struct err *reterr)
{
	uint64_t deadline_ns = waiter_deadline(w);
	struct addrinfo *list;
	int r;

	r = net_name_resolve(&list, host, port, false, w, reterr);
	if (r < 0)
		return r;
	r = -EADDRNOTAVAIL;
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		r = net_connect_one(a, w, deadline_ns);
		if (r >= 0 || r == -ETIMEDOUT || r == -ECANCELED)
			break;
	}
	freeaddrinfo(list);
	if (r == -ECANCELED)
		return err_set(reterr, r, "connecting to %s port %u: interrupted", host, port);
	return r < 0 ? err_errno(reterr, r, "connecting to %s port %u", host, port) : r;
}

static int net_unix_address(const char *path, struct sockaddr_un *ret, struct err *reterr)
{
	size_t len = strlen(path);

	if (len >= sizeof(ret->sun_path))
		return err_set(reterr, -ENAMETOOLONG, "%s: a socket's path has at most %zu bytes",
			       path, sizeof(ret->sun_path) - 1);
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, path, len + 1);
	return 0;
}

int net_unix_connect(const char *path, struct waiter *w, struct err *reterr)
{
	uint64_t deadline_ns = waiter_deadline(w);
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int r;

	r = net_unix_address(path, &addr, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, NET_SOCKET_FLAGS, 0);
	if (fd < 0)
		return err_errno(reterr, -errno, "connecting to %s", path);
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		uint64_t again_ns = waiter_now_ns() + NET_UNIX_RETRY_NS;

		if (errno != EAGAIN && errno != EINTR)
			return err_errno(reterr, -errno, "connecting to %s", path);
		r = waiter_fd(w, -1, 0, again_ns);
		if (r == -ETIMEDOUT && (!deadline_ns || again_ns < deadline_ns))
			continue;
		return err_errno(reterr, r, "connecting to %s", path);
	}
	return take_fd(&fd);
}

static void net_name(int fd, char name[NET_NAME_MAX], uint16_t *ret_port)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	char host[64] = "?", port[8] = "0";
	unsigned number = 0;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
		(void)getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port,
				  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	(void)sscanf(port, "%5u", &number);
	*ret_port = (uint16_t)number;
	(void)snprintf(name, NET_NAME_MAX, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
		       port);
}

static int net_listen_one(const struct addrinfo *a)
{
	_cleanup_close_ int fd = socket(a->ai_family, NET_SOCKET_FLAGS, a->ai_protocol);
	int on = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 1) < 0)
		return -errno;
	return take_fd(&fd);
}

int net_tcp_listen(const char *host, uint16_t port, char name[NET_NAME_MAX], uint16_t *ret_port,
		   struct waiter *w, struct err *reterr)
{
	struct addrinfo *list;
	int r;

	r = net_name_resolve(&list, host[0] ? host : "127.0.0.1", port, true, w, reterr);
	if (r < 0)
		return r;
	r = -EADDRNOTAVAIL;
	for (const struct addrinfo *a = list; a && r < 0; a = a->ai_next)
		r = net_listen_one(a);
	freeaddrinfo(list);
	if (r == -EACCES)
		return err_errno(reterr, -EPERM, "listening on %s port %u: needs "
				 "CAP_NET_BIND_SERVICE", host[0] ? host : "127.0.0.1", port);
	if (r < 0)
		return err_errno(reterr, r, "listening on %s port %u", host[0] ? host : "127.0.0.1",
				 port);
	net_name(r, name, ret_port);
	return r;
}

int net_unix_listen(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int r;

	r = net_unix_address(path, &addr, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, NET_SOCKET_FLAGS, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(reterr, -errno, "listening on %s", path);
	if (listen(fd, 1) < 0) {
		r = -errno;
		(void)unlink(path);
		return err_errno(reterr, r, "listening on %s", path);
	}
	return take_fd(&fd);
}

int net_accept(int listen_fd, struct waiter *w, struct err *reterr)
{
	uint64_t deadline_ns = waiter_deadline(w);
	int fd, r;

	for (;;) {
		r = waiter_fd(w, listen_fd, POLLIN, deadline_ns);
		if (r == -ECANCELED)
			return err_set(reterr, r, "waiting for a peer: interrupted");
		if (r < 0)
			return err_errno(reterr, r, "waiting for a peer");
		fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
		/* A peer that went away again between poll and accept is no peer. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return err_errno(reterr, -errno, "accepting a peer");
	}
}

void net_pace(int fd, uint64_t rate_bytes)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate_bytes, sizeof(rate_bytes));
}

void net_finish(int fd)
{
	char waste[4096];

	(void)shutdown(fd, SHUT_WR);
	for (int i = 0; i < NET_WASTE_PIECES_MAX; i++)
		if (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) <= 0)
			return;
}

void net_abort(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}
