/* SPDX-License-Identifier: MIT */
#include "process/call.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process/arch.h"
#include "process/prepare.h"
#include "process/stack.h"
#include "process/step.h"
#include "process/tracer.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define CALL_TRIES 100

struct call {
	const struct target *target;
	struct stop_thread *thread;
	struct gadgets gadgets;
	enum call_method method;
	struct prepare p;        /* what was found out about the thread, and its frame */
	bool moved;              /* its registers are not its own */
	bool masked;             /* its signals are blocked by us */
	bool running;            /* it went off and did not come back in time */
	bool child;              /* it has a child of ours */
};

/* ------------------------------------------------------------ one call */

static int call_failed(struct call *c, int r, struct err *reterr)
{
	if (r == -ESRCH)
		c->thread->dead = true;
	if (r == -ENOTSUP)
		return err_set(reterr, r, "PID %d: thread %d does not run (is its cgroup frozen?)",
			       c->target->pid, c->thread->tid);
	if (r == -ETIMEDOUT)
		c->running = true;
	return err_errno(reterr, r, "thread %d: system call", c->thread->tid);
}

static int call_mask(struct call *c)
{
	uint64_t all = UINT64_MAX;

	if (c->masked)
		return 0;
	c->masked = true;
	return (int)sys_ptrace(PTRACE_SETSIGMASK, c->thread->tid, sizeof(all), (uintptr_t)&all);
}

/*
 * Into the kernel, as rt_sigreturn: if we die before it has become another
 * call, the thread just goes home.
 */
static int call_enter(struct call *c, const struct arch_chain *chain)
{
	struct arch_regs regs;
	int r;

	arch_regs_neutral(&c->thread->resume, &c->gadgets, chain, &regs);
	c->moved = true;
	r = arch_regs_set(c->thread->tid, &regs);
	/* Not before: with the thread's own registers nothing would unblock them. */
	if (r == 0)
		r = call_mask(c);
	if (r == 0)
		r = step_syscall(c->thread->tid, STEP_SHORT_NS, NULL);
	if (r == -ETIMEDOUT) {
		c->running = true;
		return -ENOTSUP;
	}
	return r;
}

static int call_plainly(struct call *c, long nr, const uint64_t args[6], int64_t *ret,
			pid_t *ret_child)
{
	int r = call_mask(c);

	c->moved = true;
	if (r < 0)
		return r;
	return step_plain(c->thread->tid, &c->thread->resume, &c->gadgets, 0, nr, args, ret,
			  ret_child);
}

/*
 * *ret_child (may be NULL): the call made a child, and the thread stands at
 * that.  before: its way home until the call is made, after: from then on.
 */
static int call_make(struct call *c, long nr, const uint64_t args[6],
		     const struct arch_chain *before, const struct arch_chain *after,
		     int64_t *ret, pid_t *ret_child)
{
	pid_t tid = c->thread->tid;
	struct arch_regs regs;
	int r;

	if (c->method == CALL_PLAIN)
		return call_plainly(c, nr, args, ret, ret_child);
	for (unsigned i = 0; i < CALL_TRIES; i++) {
		r = call_enter(c, before);
		if (r < 0)
			return r;
		arch_regs_call(&c->thread->resume, &c->gadgets, after, nr, args, &regs);
		r = arch_regs_set(tid, &regs);
		if (r == 0)
			r = step_syscall(tid, STEP_LONG_NS, ret_child);
		if (r == STEP_CHILD)
			return 0;
		if (r < 0) {
			/* If it still stands at the entry no call must come of it. */
			arch_regs_neutral(&c->thread->resume, &c->gadgets, before, &regs);
			(void)arch_regs_set(tid, &regs);
			return r;
		}
		r = arch_regs_get(tid, &regs);
		if (r < 0)
			return r;
		*ret = arch_result(&regs);
		if (!arch_syscall_restarts(*ret))
			return 0;
	}
	return -EAGAIN;
}

/* With a child of ours the way home leads through its end. */
static const struct arch_chain *call_home(const struct call *c)
{
	return c->child && !c->p.seccomp ? &c->p.frame.reap : &c->p.frame.home;
}

static int call_usable(const struct call *c, struct err *reterr)
{
	if (c->thread->dead)
		return err_errno(reterr, -ESRCH, "thread %d", c->thread->tid);
	if (c->running)
		return err_errno(reterr, -ETIMEDOUT, "thread %d", c->thread->tid);
	return 0;
}

int call_do(struct call *c, long nr, const uint64_t args[6], int64_t *ret, struct err *reterr)
{
	int r = call_usable(c, reterr);

	if (r < 0)
		return r;
	r = call_make(c, nr, args, call_home(c), call_home(c), ret, NULL);
	return r < 0 ? call_failed(c, r, reterr) : 0;
}

/* ------------------------------------------------------------- children */

int call_clone(struct call *c, uint64_t flags, pid_t *ret_child, int64_t *ret, struct err *reterr)
{
	const struct arch_chain *after = c->p.seccomp ? &c->p.frame.home : &c->p.frame.reap;
	/* By the kernel itself the way home knows the child from its first instant on. */
	const uint64_t args[6] = { flags | CLONE_PARENT_SETTID, c->p.frame.quit.ret,
				   c->p.frame.reap_pid };
	pid_t child = 0;
	int r = call_usable(c, reterr);

	if (r < 0)
		return r;
	*ret = 0;
	r = call_make(c, SYS_clone, args, call_home(c), after, ret, &child);
	if (r < 0)
		return call_failed(c, r, reterr);
	c->child = c->child || child > 0;
	*ret_child = child;
	return 0;
}

int call_clone_end(struct call *c, int64_t *ret, struct err *reterr)
{
	struct arch_regs regs;
	int r = call_usable(c, reterr);

	if (r < 0)
		return r;
	r = step_syscall(c->thread->tid, STEP_LONG_NS, NULL);
	if (r >= 0)
		r = arch_regs_get(c->thread->tid, &regs);
	if (r < 0)
		return call_failed(c, r, reterr);
	*ret = arch_result(&regs);
	return 0;
}

int call_reap(struct call *c, pid_t ns_child, struct err *reterr)
{
	const uint64_t args[6] = { (uint64_t)ns_child, 0, __WALL };
	int64_t got;
	int r = call_do(c, SYS_wait4, args, &got, reterr);

	if (r < 0)
		return r;
	c->child = false;
	if (got != ns_child)
		return err_set(reterr, -ECHILD, "thread %d: our child %d is not there",
			       c->thread->tid, ns_child);
	return 0;
}

/* ------------------------------------------------------- opening, closing */

int call_open(struct call **ret, struct stop *s, const struct maps *m, const struct gadgets *g,
	      enum call_method method, struct err *reterr)
{
	struct call *c = sys_calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_errno(reterr, -ENOMEM, "PID %d: system call", s->target->pid);
	c->target = s->target;
	c->gadgets = *g;
	c->method = method;
	r = prepare_thread(&c->p, s, m, &c->gadgets, method, reterr);
	if (r < 0) {
		prepare_free(&c->p);
		free(c);
		return r;
	}
	c->thread = c->p.thread;
	*ret = c;
	return 0;
}

/* Registers last: until then the frame must do, and after them it is not needed. */
static int call_restore(struct call *c)
{
	pid_t tid = c->thread->tid;
	uint64_t mask = c->thread->sigmask;
	int r = step_interrupt(tid, c->running);

	if (r < 0 && r != -ESRCH)
		r = step_interrupt(tid, c->running);
	if (r < 0)
		return r;
	c->running = false;
	(void)sys_ptrace(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACESYSGOOD);
	prepare_undo_rseq(&c->p);
	if (c->masked)
		(void)sys_ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), (uintptr_t)&mask);
	(void)arch_regs_set(tid, &c->thread->resume);
	return 0;
}

void call_close(struct call *c)
{
	int r = 0;

	if (!c)
		return;
	if (c->moved && !c->thread->dead)
		r = call_restore(c);
	if (r == -ESRCH)
		c->thread->dead = true;
	/*
	 * Where that did not work the thread goes home by its frame, which must
	 * stay; it does so when it is let go of, be it by the tracer's end.
	 */
	if (r == -ETIMEDOUT)
		tracer_renew();
	if (r == 0 && !c->thread->dead)
		prepare_undo(&c->p, c->thread->tid);
	prepare_free(&c->p);
	free(c);
}

struct stop_thread *call_thread(struct call *c)
{
	return c->thread;
}

uint64_t call_scratch(const struct call *c)
{
	return c->p.frame.scratch;
}

bool call_can_reap(const struct call *c)
{
	return !c->p.seccomp;
}

void call_undo_in(const struct call *c, pid_t pid)
{
	prepare_undo_rseq_in(&c->p, pid);
	prepare_undo(&c->p, pid);
}

uint64_t call_child_sp(const struct call *c)
{
	return c->p.frame.quit.ret;
}

const struct gadgets *call_gadgets(const struct call *c)
{
	return &c->gadgets;
}

const struct target *call_target(const struct call *c)
{
	return c->target;
}

unsigned call_options(const struct call *c)
{
	return c->p.options;
}
