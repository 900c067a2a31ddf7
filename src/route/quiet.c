/* SPDX-License-Identifier: MIT */
/* splice(2) and vmsplice(2) without waits and signals. */
#include <errno.h>

#include "route/quiet.h"
#include "sys/sys.h"

int64_t quiet_splice(int from_fd, uint64_t *from_off, int to_fd, uint64_t *to_off, uint64_t len)
{
	struct sys_sigpipe saved;
	int64_t n = sys_sigpipe_block(&saved);

	if (n < 0)
		return n;
	n = sys_splice(from_fd, from_off, to_fd, to_off, len, SPLICE_F_NONBLOCK);
	sys_sigpipe_restore(&saved);
	return n;
}

int64_t quiet_vmsplice(int fd, const void *addr, uint64_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)addr, .iov_len = len };
	struct sys_sigpipe saved;
	int64_t n = sys_sigpipe_block(&saved);

	if (n < 0)
		return n;
	n = sys_vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK);
	sys_sigpipe_restore(&saved);
	return n;
}

bool quiet_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return sys_poll(&p, 1, 0) > 0;
}

int64_t quiet_splice_socket(const struct end *from, int to_fd, uint64_t len)
{
	if (!from->nonblock && !quiet_readable(from->io_fd))
		return -EAGAIN;
	return quiet_splice(from->io_fd, NULL, to_fd, NULL, len);
}
