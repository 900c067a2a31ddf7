/* SPDX-License-Identifier: MIT */
/* The tracer's loop: who stands, why, and who goes on how. */
#include "policy/trace.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "policy/report.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define TRACE_OPTIONS                                                                      \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD |               \
	 PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

static int trace_fits(const struct policy *p, bool counted, const struct program *program,
		      struct err *reterr)
{
	(void)counted;
	(void)program;
	if (p->stable)
		return err_set(reterr, -ENOTSUP, "trace: stable needs memory of the supervisor, "
			       "which only notify and preload have");
	return 0;
}

static int trace_begin(struct supervise *s, struct err *reterr)
{
	struct trace *tr = sys_calloc(1, sizeof(*tr));
	int r = 0;

	if (!tr)
		return err_set(reterr, -ENOMEM, "out of memory");
	s->private = tr;
	tr->s = s;
	tr->cpu = -1;
	tr->bounce = sys_malloc(TRACE_BOUNCE);
	if (!tr->bounce)
		return err_set(reterr, -ENOMEM, "out of memory");
	/* Copies stay as they are: only what the kernel lends can be changed. */
	if (s->counted && s->policy.vmsplice <= POLICY_WARN)
		r = watch_create(&tr->watch, s->report, reterr);
	return r < 0 ? r : filter_make(s, SECCOMP_RET_TRACE, reterr);
}

static int trace_child(struct supervise *s)
{
	int r = child_wait(s); /* until we are traced: calls would fail before that */

	return r < 0 ? r : filter_install(s, 0);
}

bool trace_lost(struct trace *tr, const struct tracee *t, int r)
{
	if (r >= 0)
		return false;
	if (r != -ESRCH) {
		report_hole(tr->s->report, "process %d could not be traced any more and was "
			    "killed: %s", (int)t->tid, strerrordesc_np(-r));
		(void)sys_kill(t->tid, SIGKILL);
	}
	return true;
}

void trace_resume(struct trace *tr, const struct tracee *t, int op, int sig)
{
	(void)trace_lost(tr, t, (int)sys_ptrace(op, t->tid, 0, (uintptr_t)sig));
}

/* -------------------------------------------------------------- what happened */

/* Another thread's exec takes the leader's number; all others are gone. */
static void trace_exec(struct trace *tr, struct tracee *t)
{
	unsigned long former = 0;

	if (sys_ptrace(PTRACE_GETEVENTMSG, t->tid, 0, (uintptr_t)&former) >= 0 &&
	    (pid_t)former != t->tid)
		tracee_remove(&tr->tracees, (pid_t)former);
	tracee_close(t);
	t->phase = TRACEE_IDLE;
	t->plain_read = false;
	t->tgid = t->tid;
	if (tr->watch)
		watch_forget(tr->watch, t->tid);
	report_exec(tr->s->report, t->tid);
}

static void trace_event(struct trace *tr, struct tracee *t, int event, int sig)
{
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		call_enter(tr, t);
		return;
	case PTRACE_EVENT_EXEC:
		trace_exec(tr, t);
		break;
	case PTRACE_EVENT_STOP:
		/* Stopped by a signal: it stays so until somebody lets it go on. */
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
			trace_resume(tr, t, PTRACE_LISTEN, 0);
			return;
		}
		break;
	default:
		break;
	}
	trace_resume(tr, t, PTRACE_CONT, 0);
}

static void trace_stopped(struct trace *tr, struct tracee *t, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);

	if (event)
		trace_event(tr, t, event, sig);
	else if (sig == (SIGTRAP | 0x80) && t->phase != TRACEE_IDLE)
		call_leave(tr, t);
	else
		trace_resume(tr, t, PTRACE_CONT, sig == (SIGTRAP | 0x80) ? 0 : sig);
}

static void trace_ended(struct trace *tr, pid_t tid, int status, struct ended *ret)
{
	if (tid == tr->s->pid)
		ret->status = status;
	if (tr->watch)
		watch_forget(tr->watch, tid);
	report_exit(tr->s->report, tid);
	tracee_remove(&tr->tracees, tid);
}

/* Until nobody is left.  __WNOTHREAD: children of the caller's are not ours. */
static int trace_loop(struct trace *tr, struct ended *ret, struct err *reterr)
{
	for (;;) {
		int status;
		pid_t tid = sys_waitpid(-1, &status, __WALL | __WNOTHREAD);
		struct tracee *t;

		if (tid == -EINTR)
			continue;
		if (tid == -ECHILD)
			return 0;
		if (tid < 0)
			return err_errno(reterr, tid, "wait for what is traced");
		if (!WIFSTOPPED(status)) {
			trace_ended(tr, tid, status, ret);
			continue;
		}
		t = tracee_get(&tr->tracees, tid);
		if (!t)
			return err_set(reterr, -ENOMEM, "out of memory");
		trace_stopped(tr, t, status);
	}
}

/* Nothing goes on under half a policy. */
static void trace_kill(struct trace *tr)
{
	int status;
	pid_t tid;

	(void)sys_kill(tr->s->pid, SIGKILL);
	for (size_t i = 0; i < TRACEES_BUCKETS; i++)
		for (struct tracee *t = tr->tracees.bucket[i]; t; t = t->next)
			(void)sys_kill(t->tid, SIGKILL);
	while ((tid = sys_waitpid(-1, &status, __WALL | __WNOTHREAD)) != -ECHILD)
		if (tid > 0 && WIFSTOPPED(status))
			(void)sys_kill(tid, SIGKILL);
}

static int trace_run(struct supervise *s, struct ended *ret, struct err *reterr)
{
	struct trace *tr = s->private;
	int r = (int)sys_ptrace(PTRACE_SEIZE, s->pid, 0, TRACE_OPTIONS);

	if (r < 0)
		r = err_errno(reterr, r, "ptrace: the program cannot be traced");
	if (r == 0) {
		r = child_go(s);
		if (r < 0)
			(void)err_errno(reterr, r, "the program's process");
	}
	if (r == 0)
		r = trace_loop(tr, ret, reterr);
	if (r < 0) {
		trace_kill(tr);
		return r;
	}
	return child_ran(s, reterr);
}

static void trace_end(struct supervise *s)
{
	struct trace *tr = s->private;

	if (!tr)
		return;
	watch_destroy(tr->watch);
	tracees_deinit(&tr->tracees);
	free(tr->bounce);
	free(tr);
}

const struct mechanism mechanism_trace = {
	.name = "trace",
	.fits = trace_fits,
	.begin = trace_begin,
	.child = trace_child,
	.run = trace_run,
	.end = trace_end,
};
