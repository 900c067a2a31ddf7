/* SPDX-License-Identifier: MIT */
#include "process/stop_wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/trace.h"

/* How long a thread may be on its way before we look what keeps it. */
#define STOP_LOOK_NS UINT64_C(2000000)

#define STOP_PF_IO_WORKER 0x10
#define STOP_PF_USER_WORKER 0x4000

/* --------------------------------------------------------- what /proc says */

static int stop_task_open(const struct stop *s, pid_t tid)
{
	char path[32];

	snprintf(path, sizeof(path), "task/%d", tid);
	return sys_openat(s->target->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

int stop_task_stat(const struct stop *s, pid_t tid, struct proc_stat *ret)
{
	_cleanup_close_ int fd = stop_task_open(s, tid);

	return fd < 0 ? fd : procfs_stat(fd, ret);
}

int stop_task_status(const struct stop *s, pid_t tid, struct proc_status *ret)
{
	_cleanup_close_ int fd = stop_task_open(s, tid);

	return fd < 0 ? fd : procfs_status(fd, ret);
}

bool stop_task_passive(const struct proc_stat *stat)
{
	/*
	 * Workers of io_uring and vhost are tasks of the target that never run
	 * its code; to interrupt one would fail the request that it works on.
	 */
	return stat->state == 'Z' || stat->state == 'X' ||
	       (stat->flags & (STOP_PF_IO_WORKER | STOP_PF_USER_WORKER));
}

static bool stop_task_gone(const struct stop *s, pid_t tid)
{
	struct proc_stat stat;
	int r = stop_task_stat(s, tid, &stat);

	return r == -ENOENT || r == -ESRCH || (r == 0 && stop_task_passive(&stat));
}

/* ---------------------------------------------------------------- catching */

static int stop_refused(const struct stop *s, pid_t tid, int r, struct err *reterr)
{
	struct proc_status status;

	if (stop_task_gone(s, tid))
		return 0;
	if (stop_task_status(s, tid, &status) == 0 && status.tracer)
		return err_set(reterr, -EBUSY, "PID %d: traced already, by PID %d", s->target->pid,
			       status.tracer);
	return err_errno(reterr, r, "PID %d: thread %d cannot be traced (is CAP_SYS_PTRACE there, "
			 "does Yama or another security module forbid it?)", s->target->pid, tid);
}

int stop_catch(const struct stop *s, struct stop_thread *t, struct err *reterr)
{
	long r = sys_ptrace(PTRACE_SEIZE, t->tid, 0, PTRACE_O_TRACESYSGOOD);

	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return stop_refused(s, t->tid, (int)r, reterr);
	t->seized = true;
	t->stopped = t->dead = t->changed = t->group_stopped = t->has_siginfo = false;
	t->signal = 0;
	return 1;
}

/* ----------------------------------------------------------------- waiting */

static int stop_late(const struct stop *s, const struct stop_thread *t, struct err *reterr)
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
 * What a wait said.  1: it stands; 0: it is gone; -EAGAIN: not yet.  It was
 * killed while it stood (ESRCH from ptrace): its end is still to come.
 */
static int stop_event(const struct stop *s, struct stop_thread *t, int status,
		      struct err *reterr)
{
	int sig = WSTOPSIG(status), r;

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

int stop_await(const struct stop *s, struct stop_thread *t, uint64_t until_ns,
	       struct err *reterr)
{
	uint64_t look_ns = sys_clock_ns() + STOP_LOOK_NS, now;
	int r, status;
	pid_t pid;

	for (;;) {
		pid = sys_waitpid(t->tid, &status, __WALL | WNOHANG);
		if (pid > 0) {
			r = stop_event(s, t, status, reterr);
			if (r != -EAGAIN)
				return r;
			continue;
		}
		if (pid < 0) { /* another thread called exec and took its id, or all ids */
			t->seized = false;
			return 0;
		}
		now = sys_clock_ns();
		if (now >= look_ns) {
			look_ns = now + STOP_LOOK_NS;
			/* A leader that ended reports only after all others. */
			if (stop_task_gone(s, t->tid))
				return 0;
		}
		if (now >= until_ns)
			return stop_late(s, t, reterr);
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

		if (pid < 0 || (pid > 0 && !WIFSTOPPED(status)))
			t->seized = false;
		else if (sys_clock_ns() >= until_ns)
			break;
		else if (pid == 0)
			stop_sleep(until_ns);
	}
}
