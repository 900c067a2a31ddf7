/* SPDX-License-Identifier: MIT */
#include "process/drain.h"

#include <errno.h>
#include <sys/syscall.h>

#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define DRAIN_PIPE_BYTES (1 << 20)

/* The pipe's descriptors, then the iovecs. */
#define DRAIN_SCRATCH_BYTES (64 + DRAIN_RANGES_MAX * sizeof(struct range))

static int drain_copy(const struct drain *d, bool to, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };
	ssize_t n = to ? sys_process_vm_writev(d->shadow->pid, &local, 1, &remote, 1) :
			 sys_process_vm_readv(d->shadow->pid, &local, 1, &remote, 1);

	return n < 0 ? (int)n : n == (ssize_t)len ? 0 : -EFAULT;
}

static int drain_call(struct drain *d, long nr, uint64_t a, uint64_t b, uint64_t e, uint64_t f,
		      int64_t *ret, struct err *reterr)
{
	const uint64_t args[6] = { a, b, e, f };

	return shadow_do(d->shadow, nr, args, ret, reterr);
}

/* Its end for us is closed there: what is left in the pipe must not outlive us. */
static int drain_take(struct drain *d, int read_fd, struct err *reterr)
{
	int64_t ignored;
	int r;

	d->fd = sys_pidfd_getfd(d->shadow->target.pidfd, read_fd, 0);
	if (d->fd < 0)
		return err_errno(reterr, d->fd, "shadow: pipe");
	r = drain_call(d, SYS_close, (uint64_t)read_fd, 0, 0, 0, &ignored, reterr);
	if (r < 0)
		return r;
	r = sys_setpipe_sz(d->fd, DRAIN_PIPE_BYTES);
	if (r < 0)
		r = sys_getpipe_sz(d->fd); /* the user's pipes have used up what they may */
	if (r < 0)
		return err_errno(reterr, r, "shadow: pipe");
	d->size = (uint32_t)r;
	return 0;
}

int drain_open(struct drain *ret, struct shadow *s, struct err *reterr)
{
	struct drain d = { .shadow = s, .fd = -1 };
	uint64_t scratch;
	int64_t got;
	int fds[2] = { -1, -1 };
	int r = shadow_scratch(s, DRAIN_SCRATCH_BYTES, &scratch, reterr);

	if (r < 0)
		return r;
	d.iov = scratch + 64;
	r = drain_call(&d, SYS_pipe2, scratch, O_CLOEXEC | O_NONBLOCK, 0, 0, &got, reterr);
	if (r < 0)
		return r;
	if (got < 0)
		return err_errno(reterr, (int)got, "shadow: pipe");
	r = drain_copy(&d, false, scratch, fds, sizeof(fds));
	if (r < 0)
		return err_errno(reterr, r, "shadow: pipe");
	d.write_fd = fds[1];
	r = drain_take(&d, fds[0], reterr);
	if (r < 0) {
		drain_close(&d);
		return r;
	}
	*ret = d;
	return 0;
}

int64_t drain_fill_ranges(struct drain *d, const struct range *v, size_t n, struct err *reterr)
{
	struct iovec iov[DRAIN_RANGES_MAX];
	int64_t got;
	int r;

	if (n > DRAIN_RANGES_MAX)
		n = DRAIN_RANGES_MAX;
	for (size_t i = 0; i < n; i++) {
		iov[i].iov_base = (void *)(uintptr_t)v[i].start;
		iov[i].iov_len = v[i].end - v[i].start;
	}
	r = drain_copy(d, true, d->iov, iov, n * sizeof(iov[0]));
	if (r < 0)
		return err_errno(reterr, r, "shadow: pipe");
	r = drain_call(d, SYS_vmsplice, (uint64_t)d->write_fd, d->iov, n, SPLICE_F_NONBLOCK, &got,
		       reterr);
	if (r < 0)
		return r;
	return got < 0 ? err_errno(reterr, (int)got, "shadow: pipe") : got;
}

int64_t drain_fill(struct drain *d, uint64_t addr, uint64_t len, struct err *reterr)
{
	const struct range one = { addr, addr + len };

	return drain_fill_ranges(d, &one, 1, reterr);
}

void drain_close(struct drain *d)
{
	(void)sys_close(d->fd);
	d->fd = -1;
}
