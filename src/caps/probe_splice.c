/* SPDX-License-Identifier: MIT */
/*
 * Moving pages without copying them: what works, and whose pages they stay.
 *
 * Sharing is found out in the same way everywhere: put 'A' into the pipe,
 * write 'B' over the source, look at what the pipe gives.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/sys.h"

/* A pipe or socket pair that closes itself. */
struct probe_pair {
	int fd[2];
};

static void probe_pair_close(struct probe_pair *pair)
{
	cleanup_close_(&pair->fd[0]);
	cleanup_close_(&pair->fd[1]);
}

#define _cleanup_pair_ _cleanup_(probe_pair_close)

/* Neither end blocks: a probe that is wrong about the kernel must not hang. */
static int probe_pipe(struct probe *p, struct probe_pair *ret)
{
	int r = sys_pipe2(ret->fd, O_CLOEXEC | O_NONBLOCK);

	if (r < 0)
		probe_untried(p, r, "pipe2");
	return r;
}

static int probe_sockets(struct probe *p, struct probe_pair *ret)
{
	int r = sys_socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret->fd);

	if (r < 0)
		probe_untried(p, r, "socketpair");
	return r;
}

/* n bytes are said to have gone into fd's other end: are they 'A'? */
static void probe_expect(struct probe *p, const char *what, int fd, ssize_t n)
{
	unsigned char page[PROBE_PAGE_BYTES];
	int r;

	if (n < 0) {
		probe_refused(p, (int)n, "%s", what);
		return;
	}
	if (n == 0 || (size_t)n > sizeof(page)) {
		probe_no(p, "%s: moved nothing", what);
		return;
	}
	r = probe_read_all(fd, page, (size_t)n);
	if (r < 0)
		probe_untried(p, r, "%s: read from the other end", what);
	else if (!probe_all_are(page, (size_t)n, 'A'))
		probe_no(p, "%s: wrong bytes came out", what);
	else
		probe_yes(p, 0, "%s: the same bytes came out", what);
}

void probe_sendfile(struct caps *c, struct probe *p)
{
	_cleanup_pair_ struct probe_pair socks = { { -1, -1 } };
	_cleanup_close_ int file = -1;
	uint64_t off = 0;

	(void)c;
	if (probe_sockets(p, &socks) < 0)
		return;
	file = probe_temp_page_file(p);
	if (file < 0)
		return;
	probe_expect(p, "sendfile from a file to a socket", socks.fd[1],
		     sys_sendfile(socks.fd[0], file, &off, PROBE_PAGE_BYTES));
}

void probe_splice(struct caps *c, struct probe *p)
{
	_cleanup_pair_ struct probe_pair socks = { { -1, -1 } }, pipe = { { -1, -1 } };
	_cleanup_close_ int file = -1;
	uint64_t off = 0;
	ssize_t n;

	(void)c;
	if (probe_sockets(p, &socks) < 0 || probe_pipe(p, &pipe) < 0)
		return;
	file = probe_temp_page_file(p);
	if (file < 0)
		return;
	n = sys_splice(file, &off, pipe.fd[1], NULL, PROBE_PAGE_BYTES, SPLICE_F_NONBLOCK);
	if (n <= 0) {
		probe_refused(p, n < 0 ? (int)n : -EIO, "splice from a file to a pipe");
		return;
	}
	probe_expect(p, "splice from a file to a pipe to a socket", socks.fd[1],
		     sys_splice(pipe.fd[0], NULL, socks.fd[0], NULL, (size_t)n,
				SPLICE_F_NONBLOCK));
}

/* What is in the pipe after 'A' was put in and 'B' written over the source. */
enum probe_seen { SEEN_OLD, SEEN_NEW, SEEN_ERROR };

static enum probe_seen probe_look(struct probe *p, int pipe_fd, ssize_t n)
{
	unsigned char page[PROBE_PAGE_BYTES];
	int r = -EIO;

	if (n > 0 && (size_t)n <= sizeof(page))
		r = probe_read_all(pipe_fd, page, (size_t)n);
	if (r < 0) {
		probe_untried(p, r, "read from a pipe");
		return SEEN_ERROR;
	}
	/* One new byte is enough to be warned. */
	return probe_all_are(page, (size_t)n, 'A') ? SEEN_OLD : SEEN_NEW;
}

static enum probe_seen probe_splice_then_write(struct probe *p, bool direct)
{
	_cleanup_pair_ struct probe_pair pipe = { { -1, -1 } };
	_cleanup_close_ int file = -1;
	unsigned char page[PROBE_PAGE_BYTES];
	uint64_t off = 0;
	ssize_t n;
	int r;

	if (probe_pipe(p, &pipe) < 0)
		return SEEN_ERROR;
	file = probe_temp_page_file(p);
	if (file < 0)
		return SEEN_ERROR;
	r = direct ? sys_setfl(file, O_DIRECT) : 0;
	if (r < 0) {
		probe_refused(p, r, "O_DIRECT on a file in %s", probe_dir());
		return SEEN_ERROR;
	}
	n = sys_splice(file, &off, pipe.fd[1], NULL, sizeof(page), SPLICE_F_NONBLOCK);
	if (n <= 0 && direct)
		probe_refused(p, n < 0 ? (int)n : -EIO, "splice from an O_DIRECT descriptor");
	else if (n <= 0) /* which says nothing about sharing */
		probe_untried(p, n < 0 ? (int)n : -EIO, "splice from a file");
	if (n <= 0)
		return SEEN_ERROR;
	r = direct ? sys_setfl(file, 0) : 0;
	memset(page, 'B', sizeof(page));
	if (r == 0)
		r = probe_write_all(file, page, sizeof(page), 0);
	if (r < 0) {
		probe_untried(p, r, "write to a temporary file in %s", probe_dir());
		return SEEN_ERROR;
	}
	return probe_look(p, pipe.fd[0], n);
}

void probe_splice_shares(struct caps *c, struct probe *p)
{
	(void)c;
	switch (probe_splice_then_write(p, false)) {
	case SEEN_NEW:
		probe_yes(p, 0, "wrote to the file after the splice: the pipe gave the new bytes");
		break;
	case SEEN_OLD:
		probe_no(p, "wrote to the file after the splice: the pipe gave the old bytes");
		break;
	case SEEN_ERROR:
		break;
	}
}

void probe_splice_direct(struct caps *c, struct probe *p)
{
	(void)c;
	switch (probe_splice_then_write(p, true)) {
	case SEEN_OLD:
		probe_yes(p, 0, "wrote to the file after the splice: the pipe gave the old bytes");
		break;
	case SEEN_NEW:
		probe_no(p, "wrote to the file after the splice: the pipe gave the new bytes");
		break;
	case SEEN_ERROR:
		break;
	}
}

void probe_tee(struct caps *c, struct probe *p)
{
	_cleanup_pair_ struct probe_pair a = { { -1, -1 } }, b = { { -1, -1 } };
	ssize_t n;

	(void)c;
	if (probe_pipe(p, &a) < 0 || probe_pipe(p, &b) < 0)
		return;
	n = sys_write(a.fd[1], "AAAA", 4);
	if (n < 0) {
		probe_untried(p, (int)n, "write to a pipe");
		return;
	}
	probe_expect(p, "tee from a pipe to a pipe", b.fd[0],
		     sys_tee(a.fd[0], b.fd[1], 4, SPLICE_F_NONBLOCK));
}

void probe_vmsplice(struct caps *c, struct probe *p)
{
	_cleanup_pair_ struct probe_pair pipe = { { -1, -1 } };
	unsigned char *page = sys_aligned_alloc(PROBE_PAGE_BYTES, PROBE_PAGE_BYTES);
	struct iovec iov = { .iov_base = page, .iov_len = PROBE_PAGE_BYTES };

	(void)c;
	if (!page) {
		probe_untried(p, -ENOMEM, "memory");
		return;
	}
	memset(page, 'A', PROBE_PAGE_BYTES);
	if (probe_pipe(p, &pipe) == 0)
		probe_expect(p, "vmsplice from memory to a pipe", pipe.fd[0],
			     sys_vmsplice(pipe.fd[1], &iov, 1, SPLICE_F_NONBLOCK));
	free(page);
}

void probe_vmsplice_shares(struct caps *c, struct probe *p)
{
	_cleanup_pair_ struct probe_pair pipe = { { -1, -1 } };
	unsigned char *page = sys_aligned_alloc(PROBE_PAGE_BYTES, PROBE_PAGE_BYTES);
	struct iovec iov = { .iov_base = page, .iov_len = PROBE_PAGE_BYTES };
	enum probe_seen seen = SEEN_ERROR;
	ssize_t n;

	(void)c;
	if (!page) {
		probe_untried(p, -ENOMEM, "memory");
		return;
	}
	memset(page, 'A', PROBE_PAGE_BYTES);
	if (probe_pipe(p, &pipe) == 0) {
		n = sys_vmsplice(pipe.fd[1], &iov, 1, SPLICE_F_NONBLOCK);
		memset(page, 'B', PROBE_PAGE_BYTES);
		if (n < 0)
			probe_untried(p, (int)n, "vmsplice");
		else
			seen = probe_look(p, pipe.fd[0], n);
	}
	if (seen == SEEN_NEW)
		probe_yes(p, 0, "wrote to the page after vmsplice: the pipe gave the new bytes");
	else if (seen == SEEN_OLD)
		probe_no(p, "wrote to the page after vmsplice: the pipe gave the old bytes");
	free(page);
}
