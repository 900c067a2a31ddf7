/* SPDX-License-Identifier: MIT */
/* Part of victim-semantics: the calls that a policy says vmsplice is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "semantics.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

#define FLAGS_ALL 15u

static ssize_t sem_fail(int error)
{
	errno = error;
	return -1;
}

/* What the kernel refuses to RWF_NOWAIT, by another open file description. */
static ssize_t sem_ideal(int fd, bool out, const struct iovec *iov, unsigned long n)
{
	char path[48];
	ssize_t r;
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (out ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
	if (own < 0 && errno == ENXIO) {
		raise(SIGPIPE);
		return sem_fail(EPIPE);
	}
	r = out ? writev(own, iov, (int)n) : readv(own, iov, (int)n);
	if (r < 0) {
		int error = errno;

		close(own);
		return sem_fail(error);
	}
	close(own);
	return r;
}

static ssize_t sem_vector(int fd, bool out, const struct iovec *iov, unsigned long n, int rwf)
{
	ssize_t r = out ? pwritev2(fd, iov, (int)n, -1, rwf) : preadv2(fd, iov, (int)n, -1, rwf);

	if (r < 0 && errno == EOPNOTSUPP && rwf && !sem_kernel)
		return sem_ideal(fd, out, iov, n);
	return r;
}

static ssize_t sem_v2_write(int fd, const struct iovec *iov, unsigned long n, unsigned flags,
			    bool o_nonblock)
{
	bool nonblock = (flags & SPLICE_F_NONBLOCK) || o_nonblock;

	if (flags == SPLICE_F_NONBLOCK && o_nonblock)
		return sem_fail(EINVAL);
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };
		int ready = poll(&pfd, 1, nonblock ? 0 : -1);
		ssize_t r;

		if (ready < 0 && errno == EINTR && sem_restarts)
			continue;
		if (ready < 0)
			return -1;
		if (ready == 0)
			return sem_fail(EAGAIN);
		r = sem_vector(fd, true, iov, n, RWF_NOWAIT);
		if (r >= 0 || errno != EAGAIN || nonblock)
			return r;
	}
}

static ssize_t sem_reference(int fd, const struct iovec *iov, unsigned long n, unsigned flags)
{
	int fl = fcntl(fd, F_GETFL), rwf = flags & SPLICE_F_NONBLOCK ? RWF_NOWAIT : 0;

	if (flags & ~FLAGS_ALL)
		return sem_fail(EINVAL);
	if (fl < 0 || fcntl(fd, F_GETPIPE_SZ) < 0)
		return sem_fail(EBADF);
	if ((fl & O_ACCMODE) == O_RDONLY)
		return sem_vector(fd, false, iov, n, rwf);
	if (sem_mode == SEM_V1)
		return sem_vector(fd, true, iov, n, rwf);
	return sem_v2_write(fd, iov, n, flags, fl & O_NONBLOCK);
}

ssize_t sem_do(int fd, const struct iovec *iov, unsigned long n, unsigned flags)
{
	if (sem_mode != SEM_CALL)
		return sem_reference(fd, iov, n, flags);
	return syscall(SYS_vmsplice, fd, iov, n, flags);
}
