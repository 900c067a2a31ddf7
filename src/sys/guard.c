/* SPDX-License-Identifier: MIT */
#include "sys/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <unistd.h>

int sys_guard(void *arg)
{
	const struct sys_guard *g = arg;
	struct pollfd f[2] = {
		{ .fd = g->owner_fd, .events = POLLIN },
		{ .fd = g->done_fd, .events = POLLIN },
	};
	const uint64_t one = 1;
	sigset_t all;

	/* Whoever kills our owner's process group, or its terminal, does not mean this. */
	(void)setsid();
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_NAME, "decant-guard", 0, 0, 0);
	(void)!write(g->ready_fd, &one, sizeof(one));
	while (poll(f, 2, -1) < 0 && errno == EINTR)
		;
	if (f[0].revents)
		(void)!write(g->fd, g->text, g->len);
	return 0;
}
