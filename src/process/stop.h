/* SPDX-License-Identifier: MIT */
/*
 * The stop: all threads of a target stand still, and go on as if nothing had
 * been.  stop_begin() to stop_release() run in the tracer (tracer_run()), the
 * others rather not: they allocate, and a tracer that is killed while it holds
 * malloc's lock leaves it locked.
 *
 * Nothing is traced between stops: a thread that is traced halts at each of its
 * signals, so somebody would have to wait for it all the time.
 *
 * While the stop stands every thread is in a PTRACE_EVENT_STOP, and the
 * kernel's registers of it are those in `resume`.  A signal that a thread was
 * about to get when we came was handed on: the thread then stands before its
 * handler's first instruction.  A system call that PTRACE_INTERRUPT breaks
 * (epoll_wait, sigtimedwait, ...: arch_restart_broken()) is set up at once to be
 * made again, so that our death does not harm it either.
 */
#ifndef PROCESS_STOP_H
#define PROCESS_STOP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/arch.h"
#include "process/target.h"

struct stop_thread {
	pid_t tid;               /* as we see it */
	pid_t ns_tid;            /* as the target sees it */
	bool seized;
	bool stopped;            /* in a PTRACE_EVENT_STOP now */
	bool group_stopped;      /* was stopped by SIGSTOP before we came, and stays so */
	bool dead;               /* killed while the stop stood */
	bool changed;            /* regs differ from what it resumes with: set before detach */
	bool listed;             /* by /proc, when this stop began */
	bool busy;               /* at work lately: stopped last and let go first */
	bool runnable;           /* of stop_seize(), for stop_rank() */
	uint64_t ran_ns;         /* its scratch */
	int signal;              /* 0; of a group-stopped one the signal that did it */
	struct arch_regs regs;   /* as they were before we came: what a core shows */
	struct arch_regs resume; /* with what it goes on */
	uint64_t sigmask;
	/* The following by stop_details(); the tracer's memory, freed by stop_free(). */
	struct arch_state state; /* FP and vector registers, ... */
	uint64_t sigpend;        /* sent to this thread and blocked */
	siginfo_t siginfo;       /* of `signal`; si_signo 0 for none, as in pr_cursig */
	bool has_siginfo;
};

struct stop {
	const struct target *target;
	struct stop_thread *threads; /* the leader first, if it lives */
	size_t n, size;              /* those behind n are spare, with memory for their state */
	uint64_t begin_ns;           /* first PTRACE_INTERRUPT */
	uint64_t busy_ns;            /* first PTRACE_INTERRUPT of a busy thread */
	uint64_t stopped_ns;         /* all stand still */
	uint64_t busy_end_ns;        /* the last busy one was let go */
	uint64_t end_ns;             /* the last was let go */
	pid_t *tids;                 /* scratch: what /proc listed last */
	size_t listed, tids_size;
	uint32_t *slots;             /* index + 1 by hash of the tid, 0: empty */
	size_t slots_n;              /* a power of two */
	pid_t *left_out;             /* a dead leader, the kernel's workers of io_uring */
	size_t left_out_n, left_out_size;
	uint64_t until_ns, limit_ns; /* of stop_begin(): its time-out, the tracer's alarm */
	bool holds_dead;             /* traces a dead leader, until the tracer ends */
	bool stands;
};

#define STOP_INIT { 0 }

struct stop_options {
	uint64_t timeout_ns;     /* for one try to get all threads to stand still (50 us for each
				  * are added); then all go on */
	bool details;            /* stop_details() is to follow: begin with it where time is */
	/*
	 * Called once, when those that do nothing stand (which takes a while if
	 * they are many) and those at work still run.  Negative errno: gives up.
	 */
	int (*before_busy)(void *arg);
	void *arg;
};

/*
 * Prepare: memory for all threads, made outside of the stop, and a look at
 * which are at work (some milliseconds if they are many); nothing is touched
 * yet.  Again before each later stop.
 * -ESRCH, -ENOMEM.
 */
int stop_seize(struct stop *s, const struct target *t, struct err *reterr);
/*
 * All stand still now (new threads included).  After an error nothing is traced
 * any more, and all run: those that could not be let go otherwise by
 * tracer_renew().
 *	-ETIMEDOUT  one did not stand still within timeout_ns; try again later
 *	-ESRCH      the target is gone
 *	-EPERM, -EBUSY (traced by somebody else), -ENOTSUP (32-bit code)
 */
int stop_begin(struct stop *s, const struct stop_options *o, struct err *reterr);
/*
 * Registers beyond the general ones, and signals, of all threads; for a core.
 * Memory for it is made by stop_seize() (and here only for threads that came).
 * Threads that have them are left as they are.
 */
int stop_details(struct stop *s, struct err *reterr);
/* All go on, untraced: stop_begin() may follow.  Never fails half-way. */
void stop_resume(struct stop *s);
/* As stop_resume(), if it stands. */
void stop_release(struct stop *s);
void stop_free(struct stop *s);

#endif
