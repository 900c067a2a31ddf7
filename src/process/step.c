/* SPDX-License-Identifier: MIT */
#include "process/step.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "process/arch.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* A signal may make the kernel ask for the same call again, but not for ever. */
#define STEP_TRIES 100
/* How often to look, signal or not. */
#define STEP_LOOK_NS UINT64_C(100000000)

#define STEP_SYSCALL_SIG (SIGTRAP | 0x80)

/* About to get a signal, which the kernel keeps as long as no wait takes the report. */
static bool step_has_signal(int status)
{
	return WIFSTOPPED(status) && status >> 16 == 0 && WSTOPSIG(status) != STEP_SYSCALL_SIG;
}

static void step_take(pid_t tid, int *status)
{
	if (!step_has_signal(*status))
		while (sys_waitpid(tid, status, __WALL | WNOHANG) == -EINTR)
			;
}

/*
 * SIGCHLD is blocked in the tracer and comes with every stop: so a wait can
 * have a limit.  Those of other stops end it early, which does no harm.
 */
int step_wait(pid_t tid, uint64_t limit_ns, int *ret_status)
{
	uint64_t end = sys_clock_ns() + limit_ns, now;
	const uint64_t mask = UINT64_C(1) << (SIGCHLD - 1);
	sigset_t chld = { 0 };

	memcpy(&chld, &mask, sizeof(mask));
	for (;;) {
		pid_t r = sys_wait_peek(tid, ret_status);
		struct timespec ts;

		if (r == -EINTR)
			continue; /* the signal may have come already */
		if (r < 0)
			return r == -ECHILD ? -ESRCH : r;
		if (r == tid) {
			step_take(tid, ret_status);
			return WIFSTOPPED(*ret_status) ? 0 : -ESRCH;
		}
		now = sys_clock_ns();
		if (now >= end)
			return -ETIMEDOUT;
		now = end - now < STEP_LOOK_NS ? end - now : STEP_LOOK_NS;
		ts.tv_sec = 0;
		ts.tv_nsec = (long)now;
		(void)sys_sigtimedwait(&chld, NULL, &ts);
	}
}

static bool step_is_child(int status)
{
	int event = status >> 16;

	return event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_VFORK ||
	       event == PTRACE_EVENT_FORK;
}

/* What stopped it on the way and is not for us. */
static int step_signal(int status)
{
	return status >> 16 ? 0 : WSTOPSIG(status);
}

int step_syscall(pid_t tid, uint64_t limit_ns, pid_t *ret_child)
{
	unsigned long child = 0;
	int r, status, sig = 0;

	for (;;) {
		r = (int)sys_ptrace(PTRACE_SYSCALL, tid, 0, (uintptr_t)sig);
		if (r < 0)
			return r;
		r = step_wait(tid, limit_ns, &status);
		if (r < 0)
			return r;
		if (WSTOPSIG(status) == STEP_SYSCALL_SIG)
			return STEP_SYSCALL;
		if (step_is_child(status)) {
			/* It cannot fail; and a child that we do not know we could not end. */
			if (sys_ptrace(PTRACE_GETEVENTMSG, tid, 0, (uintptr_t)&child) < 0)
				(void)sys_ptrace(PTRACE_GETEVENTMSG, tid, 0, (uintptr_t)&child);
			if (ret_child)
				*ret_child = (pid_t)child;
			return STEP_CHILD;
		}
		/* A trap that was pending; or SIGSTOP, which nobody can block. */
		sig = step_signal(status);
	}
}

int step_trap(pid_t tid)
{
	int r, status, sig;

	for (;;) {
		r = step_wait(tid, STEP_SHORT_NS, &status);
		if (r < 0)
			return r;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return 0;
		sig = WSTOPSIG(status) == STEP_SYSCALL_SIG ? 0 : step_signal(status);
		r = (int)sys_ptrace(PTRACE_CONT, tid, 0, (uintptr_t)sig);
		if (r < 0)
			return r;
	}
}

int step_interrupt(pid_t tid, bool running)
{
	int r = (int)sys_ptrace(PTRACE_INTERRUPT, tid, 0, 0);

	if (r == 0 && !running)
		r = (int)sys_ptrace(PTRACE_CONT, tid, 0, 0);
	return r < 0 ? r : step_trap(tid);
}

void step_kill(pid_t pid)
{
	int status;

	/* Twice: a fault that a test puts in one of them must leave nothing behind. */
	if (sys_kill(pid, SIGKILL) < 0)
		(void)sys_kill(pid, SIGKILL);
	while (step_wait(pid, STEP_SHORT_NS, &status) == 0)
		;
}

int step_plain(pid_t tid, const struct arch_regs *base, const struct gadgets *g, uint64_t sp,
	       long nr, const uint64_t args[6], int64_t *ret, pid_t *ret_child)
{
	struct arch_regs regs;
	int r, at = 0;

	for (unsigned i = 0; i < STEP_TRIES; i++) {
		arch_regs_plain(base, g, sp, nr, args, &regs);
		r = arch_regs_set(tid, &regs);
		if (r == 0)
			r = step_syscall(tid, STEP_SHORT_NS, NULL);
		if (r >= 0)
			r = at = step_syscall(tid, STEP_LONG_NS, ret_child);
		if (r < 0)
			return r;
		if (at == STEP_CHILD)
			return 0;
		r = arch_regs_get(tid, &regs);
		if (r < 0)
			return r;
		*ret = arch_result(&regs);
		if (!arch_syscall_restarts(*ret))
			return 0;
	}
	return -EAGAIN;
}
