/* SPDX-License-Identifier: MIT */
/*
 * How the calling thread waits: by system calls that the kernel itself restarts
 * or ends at a signal exactly where the call that they stand for would be.
 */
#include <errno.h>
#include <linux/memfd.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "raw.h"
#include "shim.h"

#define WAIT_STACK 8192 /* bytes */

/* poll() ends at any handler; where nothing better can be had. */
static int wait_poll(int fd, short events, int timeout_ms)
{
	struct timespec limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000000 };
	struct pollfd p = { .fd = fd, .events = events };
	long r = raw4(SYS_ppoll, &p, 1, timeout_ms < 0 ? NULL : &limit, NULL);

	return r < 0 ? (int)r : r == 0 ? -EAGAIN : 0;
}

/* sendfile() of nothing: waits for room first, and leaves no trace in the pipe. */
static int wait_room(struct move *m, int out)
{
	int64_t pos = 0;
	long fd, r;

	(void)m;
	fd = raw2(SYS_memfd_create, "decant-wait", MFD_CLOEXEC);
	if (fd < 0)
		return wait_poll(out, POLLOUT, -1);
	r = raw4(SYS_sendfile, out, fd, &pos, 0);
	(void)raw1(SYS_close, fd);
	return r < 0 ? (int)r : 0;
}

/* A read to where nothing can be written: takes nothing out, but waits. */
static int wait_data(struct move *m, int in)
{
	long r;

	(void)m;
	if (!shim.no_access)
		return wait_poll(in, POLLIN, -1);
	r = raw3(SYS_read, in, shim.no_access, 1);
	return r == -EFAULT || r >= 0 ? 0 : (int)r;
}

static int wait_drain(struct move *m, int out, int timeout_ms)
{
	(void)m;
	return wait_poll(out, POLLOUT, timeout_ms);
}

static void wait_broken(struct move *m, bool raised)
{
	(void)m;
	if (!raised)
		(void)raw3(SYS_tgkill, raw1(SYS_getpid, 0), raw1(SYS_gettid, 0), SIGPIPE);
}

void shim_move_init(struct move *m)
{
	*m = (struct move){
		.call = raw,
		.room = wait_room,
		.data = wait_data,
		.drain = wait_drain,
		.broken = wait_broken,
		.waits = true,
	};
}

/*
 * A little above our own frame there is stack: most offsets are there, and need
 * no question to the kernel.
 */
static bool wait_is_near(const void *p)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), at = (uintptr_t)p;

	return at > here && at - here < WAIT_STACK;
}

/* The kernel reads the set before it sees that `how` is none. */
int shim_read_off(int64_t *ret, const int64_t *off)
{
	if (!wait_is_near(off) && raw4(SYS_rt_sigprocmask, ~0, off, 0, 8) == -EFAULT)
		return -EFAULT;
	*ret = *off;
	return 0;
}

/* And writes the old one where nothing else is asked for. */
int shim_write_off(int64_t *off, int64_t value)
{
	if (!wait_is_near(off) && raw4(SYS_rt_sigprocmask, 0, 0, off, 8) == -EFAULT)
		return -EFAULT;
	*off = value;
	return 0;
}
