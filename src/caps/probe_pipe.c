/* SPDX-License-Identifier: MIT */
/* What can be done with pipes as such. */
#include <errno.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/sys.h"
#include "uapi/rwf.h"

void probe_pipe_reopen(struct caps *c, struct probe *p)
{
	_cleanup_close_ int anew = -1, in = -1, out = -1;
	char byte = 0;
	int fds[2], r;
	ssize_t n;

	(void)c;
	r = sys_pipe2(fds, O_CLOEXEC | O_NONBLOCK);
	if (r < 0) {
		probe_untried(p, r, "pipe2");
		return;
	}
	out = fds[0];
	in = fds[1];
	anew = probe_reopen(out, O_RDWR | O_NONBLOCK);
	if (anew < 0) {
		probe_refused(p, anew, "open a pipe through /proc/self/fd");
		return;
	}
	/* The same pipe? In by the old descriptor, out by the new one. */
	n = sys_write(in, "A", 1);
	if (n == 1)
		n = sys_read(anew, &byte, 1);
	if (n < 0)
		probe_refused(p, (int)n, "a pipe opened through /proc/self/fd");
	else if (n != 1 || byte != 'A')
		probe_no(p, "a pipe opened through /proc/self/fd: it is another one");
	else
		probe_yes(p, 0, "opened a pipe through /proc/self/fd for reading and writing");
}

void probe_pipe_nowait(struct caps *c, struct probe *p)
{
	_cleanup_close_ int in = -1, out = -1;
	char byte = 'A';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	int fds[2], r;
	ssize_t n;

	(void)c;
	r = sys_pipe2(fds, O_CLOEXEC); /* blocking: that is the point */
	if (r < 0) {
		probe_untried(p, r, "pipe2");
		return;
	}
	out = fds[0];
	in = fds[1];
	/* A kernel that does not support a flag says so and never ignores it. */
	n = sys_pwritev2(in, &iov, 1, UINT64_MAX, RWF_NOWAIT);
	if (n < 0) {
		probe_refused(p, (int)n, "pwritev2(RWF_NOWAIT) to a pipe");
		return;
	}
	n = sys_preadv2(out, &iov, 1, UINT64_MAX, RWF_NOWAIT);
	if (n < 0) {
		probe_refused(p, (int)n, "preadv2(RWF_NOWAIT) from a pipe");
		return;
	}
	n = sys_preadv2(out, &iov, 1, UINT64_MAX, RWF_NOWAIT);
	if (n == -EAGAIN)
		probe_yes(p, 0, "preadv2(RWF_NOWAIT) from an empty pipe did not wait");
	else
		probe_refused(p, n < 0 ? (int)n : -EIO, "preadv2(RWF_NOWAIT) from an empty pipe");
}
