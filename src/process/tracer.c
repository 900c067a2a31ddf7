/* SPDX-License-Identifier: MIT */
#include "process/tracer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "sys/sys.h"
#include "sys/trace.h"

/*
 * Three tasks:
 *
 *	caller  ── request, futex ──►  tracer, a process of its own
 *	                                  ▲
 *	keeper (a thread of ours) ── makes it, waits for its end
 *
 * The keeper does nothing while the tracer lives, so the tracer may use the
 * keeper's thread-local storage (errno, malloc's arena).  What ends the tracer
 * wakes the keeper, which tells the caller: nobody waits for ever.
 */

#define TRACER_STACK_BYTES ((size_t)1 << 20)
#define TRACER_GUARD_BYTES ((size_t)4096)
/* Kept in memory, for a stop should not wait for page faults. */
#define TRACER_STACK_LOCKED ((size_t)128 << 10)
/*
 * How often an idle tracer looks whether we still are there: the kernel does
 * not deliver PDEATHSIG from a parent that dropped its privileges meanwhile.
 */
#define TRACER_LOOK_NS UINT64_C(1000000000)

enum tracer_state { TRACER_IDLE, TRACER_REQUEST, TRACER_DONE, TRACER_QUIT, TRACER_DEAD };

struct tracer {
	_Atomic uint32_t state;    /* a futex; REQUEST while it starts, too */
	_Atomic pid_t pid;
	pid_t owner;
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool renew;                /* asked for by the request that runs */
	bool renewing;             /* that request is done: make another process */
	bool limited;              /* SIGALRM is to end this process */
	pthread_t keeper;
	pthread_mutex_t lock;      /* callers, one at a time */
	unsigned char *stack;
};

/* In the tracer; the keeper's storage, but no other thread's. */
static _Thread_local struct tracer *tracer_self;

static void tracer_say(struct tracer *tr, enum tracer_state state)
{
	atomic_store(&tr->state, state);
	(void)sys_futex_wake(&tr->state);
}

static enum tracer_state tracer_wait(struct tracer *tr, enum tracer_state while_state)
{
	uint32_t now;

	while ((now = atomic_load(&tr->state)) == while_state)
		(void)sys_futex_wait(&tr->state, now, UINT64_MAX);
	return now;
}

/* ------------------------------------------------------------- the tracer */

static int tracer_settle(struct tracer *tr)
{
	/* Its SIGCHLD says that a tracee has stopped; the caller may ignore theirs. */
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	int r = sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	sigset_t alrm;

	(void)sigemptyset(&alrm);
	(void)sigaddset(&alrm, SIGALRM);
	if (r == 0 && sys_getppid() != tr->owner)
		r = -EOWNERDEAD;
	if (r == 0)
		r = sys_sigaction(SIGCHLD, &dfl, NULL);
	if (r == 0)
		r = sys_sigaction(SIGALRM, &dfl, NULL);
	if (r == 0)
		r = sys_sigmask(SIG_UNBLOCK, &alrm, NULL);
	(void)sys_prctl(PR_SET_NAME, (unsigned long)"decant-tracer", 0, 0, 0); /* for ps */
	return r;
}

/* The next request, or QUIT. */
static enum tracer_state tracer_next(struct tracer *tr)
{
	for (;;) {
		uint32_t now = atomic_load(&tr->state);

		if (now == TRACER_REQUEST || now == TRACER_QUIT)
			return now;
		if (sys_futex_wait(&tr->state, now, TRACER_LOOK_NS) == -ETIMEDOUT &&
		    sys_getppid() != tr->owner)
			return TRACER_QUIT;
	}
}

void tracer_limit(uint64_t ns)
{
	if (!tracer_self || (ns == 0 && !tracer_self->limited))
		return;
	if (ns)
		tracer_self->limited = true;
	(void)sys_alarm_ns(ns);
	if (ns == 0)
		tracer_self->limited = false;
}

static int tracer_main(void *arg)
{
	struct tracer *tr = arg;
	int r = tracer_settle(tr);

	tracer_self = tr;
	if (r < 0) {
		tr->result = r;
		return 1;
	}
	atomic_store(&tr->pid, sys_getpid());
	tr->renewing = false;
	tracer_say(tr, TRACER_DONE);
	while (tracer_next(tr) == TRACER_REQUEST) {
		tr->renew = false;
		tr->result = tr->fn(tr->arg);
		tracer_limit(0);
		if (tr->renew) {
			tr->renewing = true;
			break;
		}
		tracer_say(tr, TRACER_DONE);
	}
	return 0;
}

void tracer_renew(void)
{
	if (tracer_self)
		tracer_self->renew = true;
}

/* ------------------------------------------------------------- the keeper */

static void *tracer_keep(void *arg)
{
	struct tracer *tr = arg;
	int r, status;

	do {
		r = sys_vm_process(tracer_main, tr->stack + TRACER_STACK_BYTES, tr, &status);
		tracer_self = NULL;
		if (r < 0)
			tr->result = r;
		if (tr->limited && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
			tr->result = -ETIMEDOUT;
			tr->renewing = true;
		}
		tr->limited = false;
	} while (r == 0 && tr->renewing);
	tracer_say(tr, TRACER_DEAD);
	return NULL;
}

/* ------------------------------------------------------------- the caller */

static int tracer_stack(struct tracer *tr)
{
	unsigned char *top;
	void *p;
	int r = sys_mmap(&p, NULL, TRACER_STACK_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	if (r < 0)
		return r;
	tr->stack = p;
	r = sys_mprotect(p, TRACER_GUARD_BYTES, PROT_NONE);
	if (r < 0)
		return r;
	top = tr->stack + TRACER_STACK_BYTES - TRACER_STACK_LOCKED;
	if (sys_mlock(top, TRACER_STACK_LOCKED) < 0)
		memset(top, 0, TRACER_STACK_LOCKED); /* there at least for now */
	return 0;
}

static void tracer_free(struct tracer *tr)
{
	if (tr->stack)
		(void)sys_munmap(tr->stack, TRACER_STACK_BYTES);
	(void)pthread_mutex_destroy(&tr->lock);
	free(tr);
}

int tracer_start(struct tracer **ret, struct err *reterr)
{
	struct tracer *tr = sys_calloc(1, sizeof(*tr));
	uint32_t done = TRACER_DONE;
	int r;

	if (!tr)
		return err_errno(reterr, -ENOMEM, "tracer");
	(void)pthread_mutex_init(&tr->lock, NULL);
	tr->owner = sys_getpid();
	atomic_init(&tr->state, TRACER_REQUEST);
	r = tracer_stack(tr);
	if (r == 0)
		r = sys_thread_create(&tr->keeper, "decant-keeper", tracer_keep, tr);
	if (r < 0) {
		tracer_free(tr);
		return err_errno(reterr, r, "tracer");
	}
	if (tracer_wait(tr, TRACER_REQUEST) != TRACER_DONE) {
		r = tr->result < 0 ? tr->result : -EOWNERDEAD;
		tracer_stop(tr);
		return err_errno(reterr, r, "tracer: it did not start");
	}
	(void)atomic_compare_exchange_strong(&tr->state, &done, TRACER_IDLE);
	*ret = tr;
	return 0;
}

int tracer_run(struct tracer *tr, int (*fn)(void *arg), void *arg)
{
	uint32_t idle = TRACER_IDLE, done = TRACER_DONE;
	int r = -EOWNERDEAD;

	(void)pthread_mutex_lock(&tr->lock);
	tr->fn = fn;
	tr->arg = arg;
	if (atomic_compare_exchange_strong(&tr->state, &idle, TRACER_REQUEST)) {
		(void)sys_futex_wake(&tr->state);
		if (tracer_wait(tr, TRACER_REQUEST) == TRACER_DONE)
			r = tr->result;
		(void)atomic_compare_exchange_strong(&tr->state, &done, TRACER_IDLE);
	}
	(void)pthread_mutex_unlock(&tr->lock);
	return r;
}

void tracer_stop(struct tracer *tr)
{
	uint32_t idle = TRACER_IDLE;

	if (!tr)
		return;
	if (atomic_compare_exchange_strong(&tr->state, &idle, TRACER_QUIT))
		(void)sys_futex_wake(&tr->state);
	(void)sys_thread_join(tr->keeper);
	tracer_free(tr);
}

pid_t tracer_pid(const struct tracer *tr)
{
	return atomic_load(&tr->pid);
}
