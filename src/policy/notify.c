/* SPDX-License-Identifier: MIT */
/*
 * The workers.  One leads: it listens, and carries out by itself what is over
 * soon, for to wake another one costs as much as such a call.  A call can also
 * wait for what a later one does (the other end of a pipe): before it waits, the
 * leader hands over, and there is always an idle worker to take it, who is made
 * if need be.  It also takes over from a leader that is late, whatever holds it.
 */
#include "policy/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "policy/report.h"
#include "policy/tracers.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define NS_PER_S 1000000000ull
/* How long a leader may be at a call before another one listens. */
#define WORKER_LATE_NS 2000000ull

static void *worker_main(void *arg);

static int worker_make(struct notify *n)
{
	int r;

	if (n->workers >= NOTIFY_WORKERS_MAX)
		return -EAGAIN;
	r = sys_thread_create(&n->threads[n->workers], "decant-notify", worker_main, n);
	if (r == 0)
		n->workers++;
	return r;
}

/* 1: a question; 0: none any more; else again. */
static int worker_listen(struct notify *n, struct seccomp_notif *req)
{
	struct pollfd p[2] = {
		{ .fd = n->listener, .events = POLLIN },
		{ .fd = n->stop, .events = POLLIN },
	};
	int r = sys_poll(p, 2, -1);

	if (r < 0)
		return r == -EINTR ? -EAGAIN : 0;
	if (p[1].revents)
		return 0;
	if (!(p[0].revents & POLLIN))
		return p[0].revents ? 0 : -EAGAIN; /* POLLHUP: nobody has the filter */
	memset(req, 0, sizeof(*req));
	r = sys_notif_recv(n->listener, req);
	return r < 0 ? -EAGAIN : 1; /* -ENOENT: killed meanwhile */
}

/* From here on the lock is held, but where it is said. */

static void worker_over(struct notify *n)
{
	n->over = true;
	(void)pthread_cond_broadcast(&n->free);
}

/* Somebody else leads, or can: we are at a call that takes its time. */
static void worker_resign(struct notify *n)
{
	n->leading = false;
	n->busy_ns = 0;
	n->active++;
	(void)pthread_cond_signal(&n->free);
}

/* Look for a while whether the leader comes back from its call. */
static void worker_watch(struct notify *n)
{
	uint64_t until_ns = sys_clock_ns() + WORKER_LATE_NS;
	struct timespec until = { (time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S) };

	n->watched = true;
	(void)pthread_cond_timedwait(&n->free, &n->lock, &until);
	n->watched = false;
	if (n->leading && n->busy_ns && sys_clock_ns() - n->busy_ns >= WORKER_LATE_NS)
		worker_resign(n); /* in its name; it sees that by n->lead */
}

/* false: it is over. */
static bool worker_lead(struct notify *n, struct notify_job *job)
{
	while (n->leading && !n->over) {
		if (n->busy_ns && !n->watched)
			worker_watch(n);
		else
			(void)pthread_cond_wait(&n->free, &n->lock);
	}
	if (n->over)
		return false;
	n->leading = true;
	n->busy_ns = 0;
	job->lead = ++n->lead;
	return true;
}

/* One worker has to be there beside those at work and the leader. */
static void worker_spare(struct notify *n)
{
	n->busy_ns = sys_clock_ns();
	if (n->workers <= n->active + 1)
		(void)worker_make(n); /* or the call after this one waits for us */
	else if (!n->watched)
		(void)pthread_cond_signal(&n->free);
}

static bool worker_leads(const struct notify *n, const struct notify_job *job)
{
	return n->leading && n->lead == job->lead;
}

/* The lock is not held. */
void notify_hand_over(struct notify_job *job)
{
	struct notify *n = job->n;

	(void)pthread_mutex_lock(&n->lock);
	if (worker_leads(n, job))
		worker_resign(n);
	(void)pthread_mutex_unlock(&n->lock);
}

/* One call; 0: there are none any more. */
static int worker_serve(struct notify *n, struct notify_job *job)
{
	int r;

	(void)pthread_mutex_unlock(&n->lock);
	do {
		r = worker_listen(n, &job->req);
	} while (r < 0);
	(void)pthread_mutex_lock(&n->lock);
	if (r == 0)
		return 0;
	worker_spare(n);
	(void)pthread_mutex_unlock(&n->lock);
	notify_call(job);
	(void)pthread_mutex_lock(&n->lock);
	return 1;
}

static void worker_loop(struct notify *n, struct notify_job *job)
{
	(void)pthread_mutex_lock(&n->lock);
	while (worker_lead(n, job)) {
		int r = 1;

		while (r && !n->over && worker_leads(n, job)) {
			n->busy_ns = 0;
			r = worker_serve(n, job);
		}
		if (r == 0)
			worker_over(n);
		else if (!worker_leads(n, job))
			n->active--;
	}
	(void)pthread_mutex_unlock(&n->lock);
}

static void *worker_main(void *arg)
{
	struct notify_job job = { .n = arg, .pidfd = -1 };
	void *buffer;

	if (sys_mmap(&buffer, NULL, NOTIFY_BUFFER, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) < 0) {
		/* Its calls would wait for us for ever: an end is better. */
		(void)sys_kill(job.n->s->pid, SIGKILL);
		return NULL;
	}
	job.buffer = buffer;
	worker_loop(job.n, &job);
	(void)sys_munmap(buffer, NOTIFY_BUFFER);
	return NULL;
}

/* ------------------------------------------------------------ the mechanism */

static int notify_fits(const struct policy *p, bool counted, const struct program *program,
		       struct err *reterr)
{
	(void)p;
	(void)counted;
	(void)program;
	(void)reterr;
	return 0;
}

static int notify_board(struct notify *n, struct err *reterr)
{
	struct supervise *s = n->s;
	void *map;
	int r = s->board = sys_memfd_create("decant-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (r >= 0)
		r = sys_ftruncate(s->board, sizeof(*n->board));
	if (r >= 0)
		r = sys_addseals(s->board, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (r >= 0)
		r = sys_mmap(&map, NULL, sizeof(*n->board), PROT_READ | PROT_WRITE, MAP_SHARED,
			     s->board, 0);
	if (r < 0)
		return err_errno(reterr, r, "memfd");
	n->board = map;
	n->board->magic = BOARD_MAGIC;
	return 0;
}

static int notify_begin(struct supervise *s, struct err *reterr)
{
	struct notify *n = sys_calloc(1, sizeof(*n));
	pthread_condattr_t attr;

	if (!n)
		return err_set(reterr, -ENOMEM, "out of memory");
	s->private = n;
	n->s = s;
	n->listener = -1;
	n->stop = sys_eventfd(0, EFD_CLOEXEC);
	(void)pthread_mutex_init(&n->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&n->free, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (n->stop < 0)
		return err_errno(reterr, n->stop, "eventfd");
	if (notify_board(n, reterr) < 0)
		return -ENOMEM;
	/* Copies stay as they are: only what the kernel lends can be changed. */
	if (s->counted && s->policy.vmsplice <= POLICY_WARN &&
	    watch_create(&n->watch, s->report, reterr) < 0)
		return -ENOMEM;
	return filter_make(s, SECCOMP_RET_USER_NOTIF, reterr);
}

/* Killable: an answer that was given has arrived, whatever signals there are. */
static int notify_child(struct supervise *s)
{
	int r = filter_install(s, SECCOMP_FILTER_FLAG_NEW_LISTENER |
				  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);

	if (r < 0)
		return r;
	r = child_tell(s, r);
	return r < 0 ? r : child_wait(s);
}

static int notify_connect(struct supervise *s, struct err *reterr)
{
	struct notify *n = s->private;
	int number = child_hear(s), r;

	if (number < 0)
		return child_ran(s, reterr);
	r = n->listener = sys_pidfd_getfd(s->pidfd, number, 0);
	if (r >= 0) {
		(void)pthread_mutex_lock(&n->lock);
		r = worker_make(n);
		(void)pthread_mutex_unlock(&n->lock);
	}
	if (r >= 0)
		r = child_go(s);
	if (r >= 0)
		return child_ran(s, reterr);
	(void)sys_kill(s->pid, SIGKILL);
	return err_errno(reterr, r, "notify");
}

static unsigned notify_workers(struct notify *n)
{
	unsigned workers;

	(void)pthread_mutex_lock(&n->lock);
	workers = n->workers;
	(void)pthread_mutex_unlock(&n->lock);
	return workers;
}

/* A worker ends when it is over, and none is made after that. */
static void notify_join(struct notify *n)
{
	for (unsigned i = 0; i < notify_workers(n); i++)
		(void)sys_thread_join(n->threads[i]);
	n->workers = 0;
}

static void notify_stop(struct notify *n)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&n->lock);
	worker_over(n);
	(void)pthread_mutex_unlock(&n->lock);
	(void)sys_write(n->stop, &one, sizeof(one));
	notify_join(n);
}

/* A worker may trace it for a moment: its stops, which wait() would tell, are no end. */
static int notify_reap(struct supervise *s, struct ended *ret)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
	int r;

	do {
		r = sys_poll(&p, 1, -1);
	} while (r == 0 || r == -EINTR);
	do {
		r = sys_waitpid(s->pid, &ret->status, 0);
	} while (r == -EINTR);
	return r < 0 ? r : 0;
}

static int notify_run(struct supervise *s, struct ended *ret, struct err *reterr)
{
	struct notify *n = s->private;
	int failed = notify_connect(s, reterr), r;

	if (failed == 0 && s->counted)
		failed = tracers_create(&n->tracers, s->report, n->board, s->pid, reterr);
	if (failed < 0)
		(void)sys_kill(s->pid, SIGKILL);
	r = notify_reap(s, ret);
	/* Those that it left behind still have the filter: until the last is gone. */
	if (failed == 0)
		notify_join(n);
	else
		notify_stop(n);
	tracers_destroy(n->tracers);
	n->tracers = NULL;
	return failed < 0 ? failed : r < 0 ? err_errno(reterr, r, "wait") : 0;
}

static void notify_end(struct supervise *s)
{
	struct notify *n = s->private;

	if (!n)
		return;
	if (n->workers)
		notify_stop(n);
	watch_destroy(n->watch);
	if (n->listener >= 0)
		(void)sys_close(n->listener);
	if (n->stop >= 0)
		(void)sys_close(n->stop);
	if (n->board)
		(void)sys_munmap(n->board, sizeof(*n->board));
	if (s->board >= 0)
		(void)sys_close(s->board);
	(void)pthread_cond_destroy(&n->free);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
	s->private = NULL;
}

const struct mechanism mechanism_notify = {
	.name = "notify",
	.fits = notify_fits,
	.begin = notify_begin,
	.child = notify_child,
	.run = notify_run,
	.end = notify_end,
};
