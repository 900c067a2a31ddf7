/* SPDX-License-Identifier: MIT */
/*
 * Waiting in a caller's place.  It sleeps killably: signals reach it, but do
 * not wake it, so that we look for them, and let the kernel end or restart its
 * call as a blocking one.  A tracer that wants it to stop is seen likewise.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "policy/notify.h"
#include "process/procfs.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define WAIT_TICK_MS 5
#define NS_PER_MS 1000000ull
/*
 * How long a signal of the whole process may lie there before we take it that
 * the thread that is to have it is one that waits for us: the first thread,
 * whom the kernel prefers, and the others.
 */
#define WAIT_LEADER_NS (10 * NS_PER_MS)
#define WAIT_OTHER_NS (100 * NS_PER_MS)

static int wait_status(pid_t tid, struct proc_status *ret)
{
	_cleanup_close_ int dir = -1;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)tid);
	dir = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return dir < 0 ? dir : procfs_status(dir, ret);
}

/* One thread at a time, or two that wait would both answer to one signal. */
static bool wait_claim(struct notify_job *job, uint64_t now_ns)
{
	struct notify *n = job->n;
	bool mine;

	(void)pthread_mutex_lock(&n->lock);
	mine = n->interrupted_tgid != job->tgid ||
	       now_ns - n->interrupted_ns >= 4 * WAIT_TICK_MS * NS_PER_MS;
	if (mine) {
		n->interrupted_tgid = job->tgid;
		n->interrupted_ns = now_ns;
	}
	(void)pthread_mutex_unlock(&n->lock);
	return mine;
}

/* A signal of the process that some of its threads will take. */
static bool wait_is_ours(struct notify_job *job, const struct proc_status *st)
{
	uint64_t now_ns = sys_clock_ns();

	if (!(st->sig_shared_pending & ~st->sig_blocked)) {
		job->pending_ns = 0;
		return false;
	}
	if (st->threads <= 1)
		return true;
	if (!job->pending_ns)
		job->pending_ns = now_ns;
	return now_ns - job->pending_ns >=
		       (job->tid == job->tgid ? WAIT_LEADER_NS : WAIT_OTHER_NS) &&
	       wait_claim(job, now_ns);
}

/* The rest of the process has stopped, and waits for this thread. */
static bool wait_is_stopping(const struct notify_job *job, const struct proc_status *st)
{
	struct proc_status leader;

	return st->threads > 1 && job->tid != job->tgid &&
	       wait_status(job->tgid, &leader) == 0 &&
	       (leader.state == 'T' || leader.state == 't');
}

/* The call is to end now. */
static bool wait_is_over(struct notify_job *job)
{
	struct proc_status st;

	if (wait_status(job->tid, &st) < 0 || !notify_is_valid(job))
		return true; /* killed: nobody hears what we say */
	if (!job->looked) {
		job->looked = true;
		job->tgid = st.tgid;
		job->tracer = st.tracer;
	}
	if (st.sig_pending & ~st.sig_blocked)
		return true;
	if (st.tracer != job->tracer) {
		job->tracer = st.tracer;
		if (st.tracer)
			return true;
	}
	return wait_is_ours(job, &st) || wait_is_stopping(job, &st);
}

/*
 * Until fd has one of events (an error counts), a signal, the end of the limit
 * (0: none) or of the supervisor.
 */
static int wait_for(struct notify_job *job, int fd, short events, uint64_t limit_ns)
{
	uint64_t until_ns = limit_ns ? sys_clock_ns() + limit_ns : UINT64_MAX;

	notify_hand_over(job);
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = fd, .events = events },
			{ .fd = job->n->stop, .events = POLLIN },
		};
		int r = sys_poll(p, 2, WAIT_TICK_MS);

		if (r < 0 && r != -EINTR)
			return r;
		if (r > 0 && p[0].revents)
			return 0;
		if (wait_is_over(job) || (r > 0 && p[1].revents))
			return -NOTIFY_RESTART;
		if (sys_clock_ns() >= until_ns)
			return -EAGAIN;
	}
}

static struct notify_job *wait_job(struct move *m)
{
	return m->private;
}

static int wait_room(struct move *m, int out)
{
	return wait_for(wait_job(m), out, POLLOUT, 0);
}

static int wait_data(struct move *m, int in)
{
	return wait_for(wait_job(m), in, POLLIN, 0);
}

/* Sockets with a limit of their own are not restarted by the kernel either. */
static int wait_drain(struct move *m, int out, int timeout_ms)
{
	int r = wait_for(wait_job(m), out, POLLOUT,
			 timeout_ms < 0 ? 0 : (uint64_t)timeout_ms * NS_PER_MS);

	return r == -NOTIFY_RESTART && timeout_ms >= 0 ? -EINTR : r;
}

static void wait_broken(struct move *m, bool raised)
{
	(void)raised; /* ours, and blocked */
	wait_job(m)->broken = true;
}

void notify_wait_init(struct notify_job *job)
{
	job->looked = false;
	job->pending_ns = 0;
	job->move = (struct move){
		.call = sys_number,
		.room = wait_room,
		.data = wait_data,
		.drain = wait_drain,
		.broken = wait_broken,
		.buf = job->buffer,
		.size = NOTIFY_BUFFER,
		.private = job,
	};
}

/* Until it stands, or is gone.  What the end of our own child was is notify_reap()'s. */
static void interrupt_wait(const struct notify_job *job)
{
	int status;
	pid_t r;

	do {
		r = sys_wait_until(job->tid, &status);
	} while (r == -EINTR);
	if (r > 0 && !WIFSTOPPED(status) && job->tid != job->n->s->pid)
		(void)sys_waitpid(job->tid, &status, __WALL | WNOHANG);
}

/*
 * We trace it for a moment: the stop that is asked for makes the kernel look at
 * what the call returned, whichever thread takes the signal.  Where another
 * tracer is there already, the guess has to do.
 */
void notify_interrupt(struct notify_job *job, struct seccomp_notif_resp *resp)
{
	struct proc_status st;

	if (wait_status(job->tid, &st) < 0 || st.threads <= 1 ||
	    (st.sig_pending & ~st.sig_blocked) || !notify_is_valid(job) ||
	    sys_ptrace(PTRACE_SEIZE, job->tid, 0, 0) < 0) {
		notify_send(job, resp);
		return;
	}
	(void)sys_ptrace(PTRACE_INTERRUPT, job->tid, 0, 0);
	/* One that has its number since is let go in its first stop. */
	notify_send(job, resp);
	interrupt_wait(job);
	(void)sys_ptrace(PTRACE_DETACH, job->tid, 0, 0);
}
