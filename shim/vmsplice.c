/* SPDX-License-Identifier: MIT */
/* vmsplice as a kernel of tomorrow may have it. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "raw.h"
#include "shim.h"

static int64_t vmsplice_native(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
	int error = errno;

	if (!shim.next.vmsplice)
		return raw4(SYS_vmsplice, fd, iov, n, flags);
	return shim_raw_return(shim.next.vmsplice(fd, iov, n, flags), error);
}

static int64_t vmsplice_write(int fd, const struct iovec *iov, size_t n,
			     const struct policy_verdict *v)
{
	struct move m;
	int64_t r;

	if (!v->rwf)
		return raw(SYS_pwritev2, fd, (long)iov, (long)n, -1, -1, 0);
	shim_move_init(&m);
	for (;;) {
		r = v->action == ACTION_WAIT_WRITE && move_is_full(&m, fd) ? -EAGAIN :
			move_put(&m, fd, iov, (unsigned)n, v->nowait_ideal);
		if (r != -EAGAIN || !v->wait)
			return r;
		r = m.room(&m, fd);
		if (r < 0)
			return r;
	}
}

static int64_t vmsplice_read(int fd, const struct iovec *iov, size_t n,
			    const struct policy_verdict *v)
{
	struct move m;

	if (!v->rwf)
		return raw(SYS_preadv2, fd, (long)iov, (long)n, -1, -1, 0);
	shim_move_init(&m);
	return move_get(&m, fd, iov, (unsigned)n, v->nowait_ideal);
}

static uint64_t vmsplice_asked(const struct iovec *iov, size_t n, int64_t r)
{
	uint64_t sum = 0;

	/* Where bytes were moved, the kernel has read the vector before us. */
	for (size_t i = 0; r > 0 && i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

int64_t shim_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags, const void *ip)
{
	struct shim_call c;
	struct shim_end e;
	int64_t r;

	if (shim_passes(CALL_VMSPLICE))
		return vmsplice_native(fd, iov, n, flags);
	shim_begin(&c, CALL_VMSPLICE, ip);
	shim_look(fd, &e);
	c.fd = fd;
	c.event.n = n;
	c.event.flags = flags;
	if (e.end.can_write)
		c.event.out = e.end;
	else
		c.event.in = e.end;
	c.verdict = policy_decide(&shim.policy, &c.event);
	switch (c.verdict.action) {
	case ACTION_FAIL:
		r = -c.verdict.error;
		break;
	case ACTION_WRITE:
	case ACTION_WAIT_WRITE:
		r = vmsplice_write(fd, iov, n, &c.verdict);
		break;
	case ACTION_READ:
		r = vmsplice_read(fd, iov, n, &c.verdict);
		break;
	default:
		r = vmsplice_native(fd, iov, n, flags);
		break;
	}
	shim_count(&c, shim.counted ? vmsplice_asked(iov, n, r) : 0, r);
	return r;
}

SHIM_EXPORT ssize_t vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
	return shim_return(shim_vmsplice(fd, iov, n, flags, __builtin_return_address(0)));
}

