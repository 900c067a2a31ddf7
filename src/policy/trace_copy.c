/* SPDX-License-Identifier: MIT */
/*
 * What the tracer copies itself: only where the kernel refuses RWF_NOWAIT on a
 * pipe and the policy says that it should not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "policy/trace.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define COPY_PIECES_MAX 1024 /* of one call: the kernel's UIO_MAXIOV */

int copy_piece(pid_t tid, bool is_32bit, uint64_t iov, uint64_t i, uint64_t *ret_addr,
	       uint64_t *ret_len)
{
	uint64_t wide[2];
	uint32_t narrow[2];
	int r;

	if (is_32bit) {
		r = tracee_read(tid, iov + i * sizeof(narrow), narrow, sizeof(narrow));
		wide[0] = r < 0 ? 0 : narrow[0];
		wide[1] = r < 0 ? 0 : narrow[1];
	} else {
		r = tracee_read(tid, iov + i * sizeof(wide), wide, sizeof(wide));
	}
	if (r < 0)
		return -EFAULT;
	*ret_addr = wide[0];
	*ret_len = wide[1];
	return 0;
}

uint64_t copy_asked(pid_t tid, bool is_32bit, uint64_t iov, uint64_t n)
{
	uint64_t sum = 0, addr, len;

	for (uint64_t i = 0; i < n && i < COPY_PIECES_MAX; i++) {
		if (copy_piece(tid, is_32bit, iov, i, &addr, &len) < 0)
			return sum;
		sum = saturating_add(sum, len);
	}
	return sum;
}

/*
 * O_NONBLOCK belongs to the open file description, which others share: so the
 * pipe is opened anew.
 */
static int copy_reopen(int fd)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return sys_open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
}

/* Bytes of the vector from piece *i, offset *at on, up to a bounce buffer full. */
static int64_t copy_gather(struct trace *tr, struct tracee *t, uint64_t *i, uint64_t *at)
{
	uint64_t n = t->event.n, got = 0, addr, len;

	while (*i < n && got < TRACE_BOUNCE) {
		uint64_t want;

		if (copy_piece(t->tid, t->is_32bit, t->is_32bit ? t->regs.rcx : t->regs.rsi, *i,
			       &addr, &len) < 0)
			return got ? (int64_t)got : -EFAULT;
		want = min_u64(len - min_u64(*at, len), TRACE_BOUNCE - got);
		if (want) {
			struct iovec local = { tr->bounce + got, want };
			struct iovec remote = { (void *)(uintptr_t)(addr + *at), want };
			ssize_t r = sys_process_vm_readv(t->tid, &local, 1, &remote, 1);

			if (r < 0)
				return got ? (int64_t)got : -EFAULT;
			got += (uint64_t)r;
			*at += (uint64_t)r;
			if ((uint64_t)r < want)
				return (int64_t)got;
		}
		if (*at >= len) {
			(*i)++;
			*at = 0;
		}
	}
	return (int64_t)got;
}

int64_t copy_write(struct trace *tr, struct tracee *t, int fd)
{
	_cleanup_close_ int ours = copy_reopen(fd);
	uint64_t i = 0, at = 0;
	int64_t done = 0;

	/* A FIFO without a reader cannot be opened so. */
	if (ours < 0 && ours != -ENXIO)
		return -EOPNOTSUPP;
	for (;;) {
		int64_t got = copy_gather(tr, t, &i, &at);
		ssize_t n = ours < 0 ? -EPIPE : 0;

		if (!tracee_stands(t))
			return -ESRCH;
		if (got <= 0)
			return done ? done : got;
		if (ours >= 0)
			n = sys_write(ours, tr->bounce, (size_t)got);
		/* Ours is blocked and stays with us; the program's is its own. */
		if (n == -EPIPE)
			(void)sys_tgkill(tracee_tgid(t), t->tid, SIGPIPE);
		if (n < 0)
			return done ? done : n;
		done += n;
		if (n < got)
			return done;
	}
}
