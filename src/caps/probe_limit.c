/* SPDX-License-Identifier: MIT */
/* Limits with a value, and the memory of processes. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "caps/probe.h"
#include "sys/sys.h"

#define PROBE_PIPE_DEFAULT 65536
#define PROBE_PIPE_MAX (1 << 20)   /* the kernel's default of pipe-max-size */

void probe_process_vm(struct caps *c, struct probe *p)
{
	char from = 'A', to = 0;
	struct iovec local = { .iov_base = &to, .iov_len = 1 };
	struct iovec remote = { .iov_base = &from, .iov_len = 1 };
	ssize_t n;

	(void)c;
	n = sys_process_vm_readv(sys_getpid(), &local, 1, &remote, 1);
	if (n == 1 && to == 'A')
		probe_yes(p, 0, "read a byte of this process");
	else if (n < 0)
		probe_refused(p, (int)n, "process_vm_readv of this process");
	else
		probe_no(p, "process_vm_readv of this process: wrong byte");
}

void probe_memlock(struct caps *c, struct probe *p)
{
	struct rlimit limit;
	int r = sys_getrlimit(RLIMIT_MEMLOCK, &limit);

	(void)c;
	if (r < 0)
		probe_untried(p, r, "getrlimit");
	else if (limit.rlim_cur == RLIM_INFINITY)
		probe_yes(p, UINT64_MAX, "RLIMIT_MEMLOCK is unlimited");
	else
		probe_yes(p, limit.rlim_cur, "RLIMIT_MEMLOCK is %" PRIu64 " bytes",
			  (uint64_t)limit.rlim_cur);
}

static int probe_pipe_max(void)
{
	char text[32];
	long v;

	if (probe_read_text("/proc/sys/fs/pipe-max-size", text, sizeof(text)) < 0)
		return PROBE_PIPE_MAX;
	v = strtol(text, NULL, 10);
	return v >= PROBE_PIPE_DEFAULT && v <= (1L << 30) ? (int)v : PROBE_PIPE_MAX;
}

/* Smaller ones are tried too: the user's share of all pipes may be used up. */
void probe_pipe_size(struct caps *c, struct probe *p)
{
	int fds[2], size, got, r;

	(void)c;
	r = sys_pipe2(fds, O_CLOEXEC);
	if (r < 0) {
		probe_untried(p, r, "pipe2");
		return;
	}
	for (size = probe_pipe_max(), got = -EPERM; size >= PROBE_PIPE_DEFAULT; size /= 2) {
		got = sys_setpipe_sz(fds[1], size);
		if (got > 0)
			break;
	}
	if (got < 0)
		got = sys_getpipe_sz(fds[1]);
	if (got > 0)
		probe_yes(p, (uint64_t)got, "F_SETPIPE_SZ gave %d bytes", got);
	else
		probe_untried(p, got, "F_GETPIPE_SZ");
	(void)sys_close(fds[0]);
	(void)sys_close(fds[1]);
}
