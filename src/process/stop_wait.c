/* SPDX-License-Identifier: MIT */
#include "process/stop_wait.h"

#include <errno.h>
#include <string.h>

#include "process/stop_task.h"
#include "sys/sys.h"
#include "sys/trace.h"

/*
 * How long a thread may be on its way before we look at others: it may be one
 * that called exec and waits until we have seen the end of those.
 */
#define STOP_LOOK_NS UINT64_C(2000000)

/* A task that calls exec takes another's id, which is refused in between. */
#define STOP_TRIES 3

/* ---------------------------------------------------------------- catching */

/* PTRACE_SEIZE gave EPERM, which has many reasons.  1: it is ours; -EAGAIN: try again. */
static int stop_refused(const struct stop *s, pid_t tid, struct err *reterr)
{
	struct proc_status status;

	if (stop_task_gone(s, tid))
		return 0;
	if (stop_task_status(s, tid, &status) < 0)
		return -EAGAIN;
	if (status.tracer == 0)
		return -EAGAIN;
	if (status.tracer == sys_getpid()) /* it called exec and took the leader's id */
		return 1;
	return err_set(reterr, -EBUSY, "PID %d: traced already, by PID %d", s->target->pid,
		       status.tracer);
}

int stop_catch(const struct stop *s, struct stop_thread *t, struct err *reterr)
{
	long r = 0;

	for (int i = 0; i < STOP_TRIES; i++) {
		r = sys_ptrace(PTRACE_SEIZE, t->tid, 0, PTRACE_O_TRACESYSGOOD);
		if (r == -EPERM)
			r = stop_refused(s, t->tid, reterr);
		else if (r == 0)
			r = 1;
		if (r != -EAGAIN)
			break;
	}
	if (r == -ESRCH)
		return 0;
	if (r == -EAGAIN)
		return err_set(reterr, -EPERM, "PID %d: thread %d cannot be traced (is "
			       "CAP_SYS_PTRACE there, does Yama or another security module "
			       "forbid it?)", s->target->pid, t->tid);
	if (r < 0)
		return r == -EBUSY ? (int)r : err_errno(reterr, (int)r, "PID %d: thread %d",
							 s->target->pid, t->tid);
	if (r == 0)
		return 0;
	t->seized = true;
	t->stopped = t->dead = t->changed = t->group_stopped = t->has_siginfo = false;
	t->signal = 0;
	return 1;
}

/* ----------------------------------------------------------------- waiting */

int stop_late(const struct stop *s, const struct stop_thread *t, struct err *reterr)
{
	struct proc_stat stat = { .state = '?' };

	(void)stop_task_stat(s, t->tid, &stat);
	if (stat.state == 'D')
		return err_set(reterr, -ETIMEDOUT, "PID %d: thread %d cannot be stopped now: it "
			       "waits in the kernel (vfork, a frozen cgroup, or a device)",
			       s->target->pid, t->tid);
	return err_set(reterr, -ETIMEDOUT, "PID %d: thread %d did not stop in time (state %c)",
		       s->target->pid, t->tid, stat.state);
}

/* In a PTRACE_EVENT_STOP: what it looks like.  1; 0: killed meanwhile. */
static int stop_standing(const struct stop *s, struct stop_thread *t, int sig,
			 struct err *reterr)
{
	int r = arch_regs_get(t->tid, &t->regs);

	if (r == 0)
		r = arch_regs_check(&t->regs);
	if (r == 0 && arch_restart_broken(&t->regs))
		r = arch_regs_set(t->tid, &t->regs);
	if (r == 0)
		r = (int)sys_ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(t->sigmask),
				    (uintptr_t)&t->sigmask);
	t->stopped = r != -ESRCH;
	if (r == -ENOTSUP)
		return err_set(reterr, r, "PID %d: thread %d runs 32-bit code", s->target->pid,
			       t->tid);
	if (r < 0)
		return r == -ESRCH ? 0 : err_errno(reterr, r, "PID %d: thread %d",
						   s->target->pid, t->tid);
	t->group_stopped = sig != SIGTRAP;
	t->signal = t->group_stopped ? sig : 0;
	t->resume = t->regs;
	return 1;
}

/*
 * What a peek said.  1: it stands; 0: it is gone; -EAGAIN: not yet.  It was
 * killed while it stood (ESRCH from ptrace): its end is still to come.
 */
static int stop_event(const struct stop *s, struct stop_thread *t, int status,
		      struct err *reterr)
{
	int sig = WSTOPSIG(status), r;

	if (!WIFSTOPPED(status) || status >> 16 == PTRACE_EVENT_STOP)
		while (sys_waitpid(t->tid, &status, __WALL | WNOHANG) == -EINTR)
			;
	if (!WIFSTOPPED(status)) {
		t->seized = false;
		return 0;
	}
	if (status >> 16 == PTRACE_EVENT_STOP) {
		r = stop_standing(s, t, sig, reterr);
		return r ? r : -EAGAIN;
	}
	/*
	 * About to get a signal: hand it on.  The interruption is still pending
	 * and stops the thread when its handler is set up, so that no signal is
	 * lost, doubled or overtaken, and every thread is in the same kind of stop.
	 * The report was not taken by a wait: until the next line the kernel keeps
	 * the signal, should we die.
	 */
	(void)sys_ptrace(PTRACE_CONT, t->tid, 0, status >> 16 ? 0 : (uintptr_t)sig);
	return -EAGAIN;
}

/* Until something happens to a tracee, but not for long. */
static void stop_sleep(uint64_t until_ns)
{
	uint64_t now = sys_clock_ns(), ns = until_ns > now ? until_ns - now : 0;
	struct timespec ts = { .tv_nsec = (long)(ns < STOP_LOOK_NS ? ns : STOP_LOOK_NS) };
	sigset_t chld;

	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	(void)sys_sigtimedwait(&chld, NULL, &ts);
}

int stop_await(const struct stop *s, struct stop_thread *t, struct err *reterr)
{
	uint64_t until_ns = sys_clock_ns() + STOP_LOOK_NS;
	int r, status;
	pid_t pid;

	for (;;) {
		pid = sys_wait_peek(t->tid, &status);
		if (pid > 0) {
			r = stop_event(s, t, status, reterr);
			if (r != -EAGAIN || sys_clock_ns() >= until_ns)
				return r;
			continue;
		}
		if (pid == -ECHILD) { /* not ours: exec by another thread ended it */
			t->seized = false;
			return 0;
		}
		if (sys_clock_ns() >= until_ns)
			/* A leader that ended reports only after all others. */
			return stop_task_gone(s, t->tid) ? 0 : -EAGAIN;
		stop_sleep(until_ns);
	}
}

/* -------------------------------------------------------------- letting go */

void stop_let_go(struct stop_thread *t)
{
	long r = 0;

	if (t->changed)
		r = arch_regs_set(t->tid, &t->resume);
	if (r != -ESRCH)
		r = sys_ptrace(PTRACE_DETACH, t->tid, 0, 0);
	t->stopped = t->changed = false;
	t->dead = r == -ESRCH;
	t->seized = t->dead;
}

void stop_reap(struct stop_thread *t, uint64_t until_ns)
{
	int status;

	while (t->seized) {
		pid_t pid = sys_waitpid(t->tid, &status, __WALL | WNOHANG);

		if (pid == -ECHILD || (pid > 0 && !WIFSTOPPED(status)))
			t->seized = false;
		else if (sys_clock_ns() >= until_ns)
			break;
		else if (pid <= 0)
			stop_sleep(until_ns);
	}
}
