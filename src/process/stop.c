/* SPDX-License-Identifier: MIT */
#include "process/stop.h"

#include <errno.h>
#include <string.h>

#include "process/procfs.h"
#include "process/stop_rank.h"
#include "process/stop_table.h"
#include "process/stop_task.h"
#include "process/stop_wait.h"
#include "process/tracer.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* Looks at the list of tasks that find nobody new though the kernel counts more. */
#define STOP_LOOKS_MAX 3
/* For those that are being killed; their parent waits for our wait. */
#define STOP_REAP_NS UINT64_C(1000000000)
/* Each thread takes its time; three to five times as much as on an idle machine. */
#define STOP_THREAD_NS UINT64_C(50000)
/* Beyond the time-out: then the tracer itself must hang. */
#define STOP_LIMIT_NS UINT64_C(100000000)

/* ----------------------------------------------------------- the task list */

/* Their number; 0 for a moment while one calls exec. */
static int stop_list(struct stop *s, struct err *reterr)
{
	int n = procfs_tasks(s->target->proc_fd, &s->tids, &s->tids_size);

	if (n > 0)
		return n;
	if (n < 0 && n != -ENOENT && n != -ESRCH)
		return err_errno(reterr, n, "PID %d: threads", s->target->pid);
	if (target_gone(s->target))
		return err_set(reterr, -ESRCH, "PID %d: it has ended", s->target->pid);
	return 0;
}

/* Tasks that the kernel counts; 0: it does not say. */
static size_t stop_count(const struct stop *s)
{
	struct statx stx;

	/* The links of /proc/PID/task: itself, its parent's and one for each. */
	if (sys_statx(s->target->proc_fd, "task", 0, STATX_NLINK, &stx) < 0 || stx.stx_nlink < 3)
		return 0;
	return stx.stx_nlink - 2;
}

/* The id that the target knows the thread by. */
static pid_t stop_ns_tid(const struct stop *s, pid_t tid)
{
	struct proc_status status;

	if (s->target->status.ns_depth <= 1)
		return tid;
	return stop_task_status(s, tid, &status) == 0 && status.ns_pid ? status.ns_pid : tid;
}

/* A task that is not known yet.  1: in the table now; 0: not to be stopped. */
static int stop_meet(struct stop *s, pid_t tid)
{
	struct stop_thread *t;
	struct proc_stat stat;
	int r;

	if (stop_table_left_out(s, tid))
		return 0;
	r = stop_task_stat(s, tid, &stat);
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? 0 : r;
	if (stat.state == 'Z' && tid != s->target->pid)
		return 0; /* it goes by itself; a leader stays */
	if (stop_task_passive(&stat))
		return stop_table_leave_out(s, tid);
	t = stop_table_add(s, tid);
	if (!t)
		return -ENOMEM;
	t->ns_tid = stop_ns_tid(s, tid);
	t->busy = true; /* it is new */
	t->runnable = stat.state == 'R';
	return 1;
}

/* ----------------------------------------------------------------- prepare */

static bool stop_is_any(const struct stop_thread *t)
{
	(void)t;
	return true;
}

/* As many again could come before the next list without an allocation. */
static int stop_reserve_tids(struct stop *s, size_t n)
{
	pid_t *tids;

	if (s->tids_size >= n)
		return 0;
	tids = sys_realloc(s->tids, n * sizeof(*tids));
	if (!tids)
		return -ENOMEM;
	s->tids = tids;
	s->tids_size = n;
	return 0;
}

int stop_seize(struct stop *s, const struct target *t, struct err *reterr)
{
	int n, r;

	s->target = t;
	n = stop_list(s, reterr);
	if (n < 0)
		return n;
	r = stop_table_reserve(s, (size_t)n + (size_t)n / 4 + 16);
	if (r == 0) {
		stop_table_drop(s, stop_is_any);
		s->left_out_n = 0;
	}
	for (int i = 0; i < n && r >= 0; i++)
		r = stop_meet(s, s->tids[i]);
	if (r >= 0)
		r = stop_reserve_tids(s, 2 * (size_t)n + 64);
	if (r >= 0)
		r = stop_rank(s);
	return r < 0 ? err_errno(reterr, r, "PID %d: threads", t->pid) : 0;
}

/* --------------------------------------------------------------- the stop */

static int stop_compare_tids(const void *a, const void *b)
{
	return *(const pid_t *)a < *(const pid_t *)b ? -1 : *(const pid_t *)a > *(const pid_t *)b;
}

static bool stop_is_listed(const struct stop *s, pid_t tid)
{
	return bsearch(&tid, s->tids, s->listed, sizeof(tid), stop_compare_tids);
}

static bool stop_leads_no_more(const struct stop *s, pid_t tid)
{
	struct proc_stat stat;

	return tid != s->target->pid || (stop_task_stat(s, tid, &stat) == 0 &&
					 stop_task_passive(&stat));
}

/* Those of the list that are new, or were not caught yet.  Number caught. */
static int stop_catch_listed(struct stop *s, int listed, struct err *reterr)
{
	int caught = 0, r;

	s->listed = (size_t)listed;
	stop_table_forget(s, stop_is_listed);
	for (size_t i = 0; i < s->n; i++)
		s->threads[i].listed = false;
	for (int i = 0; i < listed; i++) {
		struct stop_thread *t = stop_table_find(s, s->tids[i]);

		if (!t) {
			r = stop_meet(s, s->tids[i]);
			if (r < 0)
				return err_errno(reterr, r, "PID %d: threads", s->target->pid);
			if (r == 0)
				continue;
			t = stop_table_find(s, s->tids[i]);
		}
		t->listed = true;
		if (t->seized)
			continue;
		r = stop_catch(s, t, reterr);
		if (r < 0)
			return r;
		caught += r;
	}
	return caught;
}

static bool stop_is_not_caught(const struct stop_thread *t)
{
	return !t->seized;
}

static bool stop_is_not_standing(const struct stop_thread *t)
{
	return !t->stopped;
}

/* Still to be stopped: any, or only idle ones. */
static bool stop_is_due(const struct stop_thread *t, bool any)
{
	return t->seized && !t->stopped && (any || !t->busy);
}

static void stop_interrupt(struct stop *s, bool any)
{
	/* An error here means that it is dying, which the wait will tell. */
	for (size_t i = 0; i < s->n; i++)
		if (stop_is_due(&s->threads[i], any))
			(void)sys_ptrace(PTRACE_INTERRUPT, s->threads[i].tid, 0, 0);
}

/* One pass; how many are still on their way. */
static int stop_await_each(struct stop *s, bool any, struct err *reterr)
{
	int left = 0, r;

	for (size_t i = 0; i < s->n; i++) {
		struct stop_thread *t = &s->threads[i];

		if (!stop_is_due(t, any))
			continue;
		r = stop_await(s, t, reterr);
		if (r == 0 && t->seized) { /* a leader that ended: the others live on */
			s->holds_dead = true;
			t->seized = false;
			r = stop_table_leave_out(s, t->tid);
		}
		if (r == -EAGAIN)
			left++;
		else if (r < 0)
			return r;
	}
	return left;
}

static int stop_part(struct stop *s, bool any, struct err *reterr)
{
	int left;

	stop_interrupt(s, any);
	while ((left = stop_await_each(s, any, reterr)) > 0 && sys_clock_ns() < s->until_ns)
		;
	if (left <= 0)
		return left;
	for (size_t i = 0; i < s->n; i++)
		if (stop_is_due(&s->threads[i], any))
			return stop_late(s, &s->threads[i], reterr);
	return 0;
}

/*
 * Those that stood may be dead, and a dead leader alive: a thread that calls
 * exec kills all others and takes the leader's id.  Marks those that are not
 * what they were; false: there may be such.
 */
static bool stop_still_stands(struct stop *s, size_t n)
{
	size_t left_out = s->left_out_n;
	struct arch_regs regs;

	for (size_t i = 0; i < n && i < s->n; i++)
		if (s->threads[i].stopped && arch_regs_get(s->threads[i].tid, &regs) == -ESRCH)
			s->threads[i].stopped = false;
	if (stop_table_left_out(s, s->target->pid))
		stop_table_forget(s, stop_leads_no_more);
	return (s->n == 0 || s->threads[0].stopped) && s->left_out_n == left_out;
}

/*
 * Nobody is missing when a list that was made while all known ones stood still
 * has nobody new.  The kernel's count saves that list, where all that it counts
 * stand still (or are a dead leader): a worker may have gone, a thread come.
 */
static bool stop_complete(const struct stop *s, int caught, unsigned *looks)
{
	bool counted = stop_count(s) == s->n + s->left_out_n;
	size_t dead = stop_table_left_out(s, s->target->pid);

	if (caught == 0)
		return counted || ++*looks >= STOP_LOOKS_MAX;
	return counted && s->left_out_n == dead;
}

/* The caller's time is not that of the stop. */
static int stop_call(struct stop *s, const struct stop_options *o)
{
	uint64_t begin_ns = sys_clock_ns();
	int r;

	tracer_limit(0);
	r = o->before_busy(o->arg);
	s->until_ns += sys_clock_ns() - begin_ns;
	tracer_limit(s->limit_ns);
	return r;
}

/*
 * First those that do nothing, and what takes time of them; the busy ones run
 * on until the rest is done.
 */
static int stop_both(struct stop *s, const struct stop_options *o, struct err *reterr)
{
	int r;

	if (s->begin_ns == 0)
		s->begin_ns = sys_clock_ns();
	r = stop_part(s, false, reterr);
	if (r == 0 && o->details)
		r = stop_details(s, reterr);
	if (r == 0 && o->before_busy && s->busy_ns == 0)
		r = stop_call(s, o);
	if (r < 0)
		return r;
	if (s->busy_ns == 0)
		s->busy_ns = sys_clock_ns();
	return stop_part(s, true, reterr);
}

/* Rounds: list, catch, wait. */
static int stop_rounds(struct stop *s, const struct stop_options *o, struct err *reterr)
{
	unsigned looks = 0;
	int n, r, caught;

	for (;;) {
		n = stop_list(s, reterr);
		if (n < 0)
			return n;
		caught = stop_catch_listed(s, n, reterr);
		if (caught < 0)
			return caught;
		stop_table_drop(s, stop_is_not_caught);
		r = stop_both(s, o, reterr);
		if (r < 0)
			return r;
		stop_table_drop(s, stop_is_not_standing);
		if (s->n && stop_complete(s, caught, &looks) && stop_still_stands(s, 1))
			return 0;
		if (target_gone(s->target))
			return err_set(reterr, -ESRCH, "PID %d: it has ended", s->target->pid);
		(void)stop_still_stands(s, s->n);
		if (sys_clock_ns() >= s->until_ns)
			return err_set(reterr, -ETIMEDOUT, "PID %d: its threads come and go all "
				       "the time", s->target->pid);
	}
}

/* After an error: nothing of the target stays traced. */
static void stop_give_up(struct stop *s)
{
	bool held = s->holds_dead;

	stop_resume(s);
	for (size_t i = 0; i < s->n; i++) {
		held |= s->threads[i].seized;
		s->threads[i].seized = false;
	}
	if (held)
		tracer_renew();
	s->holds_dead = false;
}

int stop_begin(struct stop *s, const struct stop_options *o, struct err *reterr)
{
	uint64_t timeout_ns = o->timeout_ns + s->n * STOP_THREAD_NS;
	int r;

	s->until_ns = sys_clock_ns() + timeout_ns;
	s->limit_ns = 2 * timeout_ns + STOP_LIMIT_NS;
	s->begin_ns = s->busy_ns = s->stopped_ns = s->busy_end_ns = s->end_ns = 0;
	s->holds_dead = false;
	/* The tracer of an earlier try may have been killed in the middle. */
	for (size_t i = 0; i < s->n; i++)
		s->threads[i].seized = s->threads[i].stopped = false;
	(void)err_set(reterr, -ETIMEDOUT, "PID %d: it cannot be stopped now: it calls exec, or "
		      "this machine has too much to do", s->target->pid);
	tracer_limit(s->limit_ns);
	r = stop_rounds(s, o, reterr);
	tracer_limit(0);
	if (r < 0) {
		stop_give_up(s);
		return r;
	}
	if (reterr)
		reterr->text[0] = '\0';
	stop_table_first(s, s->target->pid);
	s->stands = true;
	s->stopped_ns = sys_clock_ns();
	return 0;
}

static void stop_let_go_of(struct stop *s, bool busy)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->threads[i].stopped && s->threads[i].busy == busy)
			stop_let_go(&s->threads[i]);
}

void stop_resume(struct stop *s)
{
	uint64_t until_ns;

	stop_let_go_of(s, true);
	s->busy_end_ns = sys_clock_ns();
	stop_let_go_of(s, false);
	s->stands = false;
	s->end_ns = sys_clock_ns();
	until_ns = s->end_ns + STOP_REAP_NS;
	/* A leader's end is reported after all others'. */
	for (size_t i = s->n; i-- > 0;)
		if (s->threads[i].dead)
			stop_reap(&s->threads[i], until_ns);
}

void stop_release(struct stop *s)
{
	if (s->stands)
		stop_resume(s);
}

void stop_free(struct stop *s)
{
	stop_table_free(s);
}
