/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_AFTER_SIGNAL_NS UINT64_C(500000000)

uint64_t waiter_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t waiter_deadline(const struct waiter *w)
{
	return w->timeout_ms ? waiter_now_ns() + w->timeout_ms * UINT64_C(1000000) : 0;
}

int waiter_open(struct waiter *w)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old;

		if (sigaction(signals[i], NULL, &old) < 0)
			return -errno;
		if (old.sa_handler != SIG_IGN)
			(void)sigaddset(&set, signals[i]);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signal_fd < 0 ? -errno : 0;
}

void waiter_close(struct waiter *w)
{
	if (w->signal_fd >= 0)
		(void)close(w->signal_fd);
	w->signal_fd = -1;
}

int waiter_signal(struct waiter *w)
{
	struct signalfd_siginfo info;

	if (w->signal_fd < 0 || read(w->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	w->signal = (int)info.ssi_signo;
	return 1;
}

int waiter_fd(struct waiter *w, int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		/* poll() skips negative descriptors by itself. */
		struct pollfd fds[2] = {
			{ .fd = fd, .events = events },
			{ .fd = w->signal_fd, .events = POLLIN },
		};
		int timeout_ms = -1;
		int n;

		if (deadline_ns) {
			uint64_t now_ns = waiter_now_ns();
			uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
			uint64_t left_ms = (left_ns + 999999) / 1000000;

			timeout_ms = left_ms > 3600000 ? 3600000 : (int)left_ms;
		}
		n = poll(fds, 2, timeout_ms);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && fds[1].revents && waiter_signal(w))
			return -ECANCELED;
		if (n > 0 && fds[0].revents)
			return 0;
		if (deadline_ns && waiter_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
}

int waiter_write(struct waiter *w, int fd, const void *data, size_t len_bytes)
{
	const char *p = data;

	while (len_bytes) {
		/* A pipe that polls writable takes so much without blocking. */
		size_t piece = len_bytes < PIPE_BUF ? len_bytes : PIPE_BUF;
		ssize_t n;
		/* Who wants to leave waits no longer for a reader that stands still. */
		int r = waiter_fd(w, fd, POLLOUT,
				  w->signal ? waiter_now_ns() + WAIT_AFTER_SIGNAL_NS : 0);

		if (r == -ETIMEDOUT)
			r = -ECANCELED;
		if (r < 0)
			return r;
		n = write(fd, p, piece);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			p += n;
			len_bytes -= (size_t)n;
		}
	}
	return 0;
}
