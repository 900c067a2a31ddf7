/* SPDX-License-Identifier: MIT */
#include <sys/epoll.h>

#include "sys/sys.h"
#include "sys/wrap.h"

#define NS_PER_SECOND 1000000000ull
#define SLEEP_MAX_NS (3600 * NS_PER_SECOND)

int sys_poll(struct pollfd *fds, unsigned n, int timeout_ms)
{
	return WRAP_ONCE("poll", poll(fds, n, timeout_ms));
}

int sys_poll_ns(struct pollfd *fds, unsigned n, uint64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
		.tv_nsec = (long)(timeout_ns % NS_PER_SECOND),
	};

	return WRAP_ONCE("poll", ppoll(fds, n, timeout_ns == UINT64_MAX ? NULL : &ts, NULL));
}

int sys_epoll_create1(int flags)
{
	return WRAP_ONCE("epoll_create1", epoll_create1(flags));
}

int sys_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	return WRAP_ONCE("epoll_ctl", epoll_ctl(epoll_fd, op, fd, event));
}

int sys_epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms)
{
	return WRAP_ONCE("epoll_wait", epoll_wait(epoll_fd, events, n, timeout_ms));
}

int sys_sigmask(int how, const sigset_t *set, sigset_t *ret_old)
{
	int r = sys_fault("sigmask");

	return r < 0 ? r : -pthread_sigmask(how, set, ret_old);
}

int sys_sigtimedwait(const sigset_t *set, siginfo_t *ret, const struct timespec *timeout)
{
	return WRAP_ONCE("sigtimedwait", sigtimedwait(set, ret, timeout));
}

static uint64_t clock_read(clockid_t clock)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(clock, &ts); /* these clocks always are there */
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

uint64_t sys_clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t sys_clock_coarse_ms(void)
{
	return clock_read(CLOCK_MONOTONIC_COARSE) / 1000000u;
}

uint64_t sys_real_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

uint64_t sys_thread_cpu_ns(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t sys_process_cpu_ns(void)
{
	return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t sys_thread_cpu_of_ns(pthread_t thread)
{
	clockid_t clock;

	return pthread_getcpuclockid(thread, &clock) == 0 ? clock_read(clock) : 0;
}

int sys_sleep_ns(uint64_t ns)
{
	uint64_t until = sys_clock_ns() + (ns < SLEEP_MAX_NS ? ns : SLEEP_MAX_NS);
	struct timespec ts = {
		.tv_sec = (time_t)(until / NS_PER_SECOND),
		.tv_nsec = (long)(until % NS_PER_SECOND),
	};
	int r;

	/* An absolute end, so that interruptions do not add up. */
	do {
		r = sys_fault("sleep");
		if (r == 0)
			r = -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	} while (r == -EINTR);
	return r;
}

static void sigpipe_set(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGPIPE);
}

int sys_sigpipe_block(struct sys_sigpipe *saved)
{
	sigset_t pending, pipe_only;

	/*
	 * One that was pending before is the caller's, and must not be eaten.
	 * It can only be pending where it is blocked already.
	 */
	sigpipe_set(&pipe_only);
	(void)sigemptyset(&pending);
	(void)sigpending(&pending);
	saved->was_pending = sigismember(&pending, SIGPIPE) == 1;
	return sys_sigmask(SIG_BLOCK, &pipe_only, &saved->old);
}

void sys_sigpipe_restore(const struct sys_sigpipe *saved)
{
	static const struct timespec now = { 0 };
	sigset_t pipe_only;

	/* Undoing: not a place for injected faults. */
	sigpipe_set(&pipe_only);
	if (!saved->was_pending)
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, &saved->old, NULL);
}
