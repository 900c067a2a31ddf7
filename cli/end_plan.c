/* SPDX-License-Identifier: MIT */
/* Stand-ins for what `explain` must not touch, and the sentences about them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "end_open.h"

static int end_plan_take(struct end_open *e, int one, int other)
{
	e->fd = one;
	e->own_fd = true;
	e->stand_in = other;
	return fstat(one, &e->st) < 0 ? -errno : 0;
}

int end_plan_pipe(struct end_open *e, struct err *reterr)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(reterr, -errno, "a pipe to plan with");
	(void)snprintf(e->assumed, sizeof(e->assumed),
		       "%.60s: a pipe of our own stands in for the FIFO", e->spec->text);
	return end_plan_take(e, fds[e->sink ? 1 : 0], fds[e->sink ? 0 : 1]);
}

int end_plan_file(struct end_open *e, struct err *reterr)
{
	int fd = memfd_create("decant-plan", MFD_CLOEXEC);

	if (fd < 0)
		return err_errno(reterr, -errno, "a file to plan with");
	(void)snprintf(e->assumed, sizeof(e->assumed),
		       "%.60s: a file in memory stands in: the file system makes none that has no "
		       "name", e->spec->text);
	return end_plan_take(e, fd, -1);
}

static int end_plan_tcp(struct end_open *e, struct err *reterr)
{
	enum net_locality where = net_locality(e->spec->host);
	int fds[2], r;

	if (where != NET_LOCAL) {
		/* Not connected at all: the library cannot take it for a local peer. */
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0)
			return err_errno(reterr, -errno, "a socket to plan with");
		(void)snprintf(e->assumed, sizeof(e->assumed),
			       "%.60s: not connected; the peer is %s another host", e->spec->text,
			       where == NET_REMOTE ? "on" : "assumed to be on");
		return end_plan_take(e, fd, -1);
	}
	r = net_tcp_pair(fds, reterr);
	if (r < 0)
		return r;
	(void)snprintf(e->assumed, sizeof(e->assumed),
		       "%.60s: not connected; a loopback connection of our own stands in",
		       e->spec->text);
	return end_plan_take(e, fds[0], fds[1]);
}

int end_plan_socket(struct end_open *e, struct err *reterr)
{
	int fds[2];

	if (e->spec->kind == END_SPEC_TCP || e->spec->kind == END_SPEC_TCP_LISTEN)
		return end_plan_tcp(e, reterr);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_errno(reterr, -errno, "a socket pair to plan with");
	(void)snprintf(e->assumed, sizeof(e->assumed),
		       "%.60s: not connected; a socket pair of our own stands in", e->spec->text);
	return end_plan_take(e, fds[0], fds[1]);
}
