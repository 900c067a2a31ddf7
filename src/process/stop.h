/* SPDX-License-Identifier: MIT */
/*
 * The stop: all threads of a target stand still, and go on as if nothing had
 * been.  Every function runs in the tracer (tracer_run()).
 *
 * While it stands, system calls that PTRACE_INTERRUPT breaks (epoll_wait,
 * sigtimedwait, ...: facts in arch.h) are set up to be made again.
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
	bool stopped;            /* in a ptrace stop now */
	bool group_stopped;      /* was stopped by SIGSTOP before we came, and stays so */
	bool dead;               /* exited (or is a zombie leader) meanwhile */
	bool changed;            /* regs differ from what it resumes with: set before detach */
	int signal;              /* that it was about to get when it stopped, 0: none */
	struct arch_regs regs;   /* as they were before we came: what a core shows */
	struct arch_regs resume; /* with what it goes on (system call made again) */
	uint64_t sigmask;
	/* The following by stop_details(); the tracer's memory, freed by stop_free(). */
	struct arch_state state; /* FP and vector registers, ... */
	siginfo_t siginfo;
	bool has_siginfo;
};

struct stop {
	const struct target *target;
	struct stop_thread *threads; /* the leader first, if it lives */
	size_t n, size;
	uint64_t begin_ns;       /* first PTRACE_INTERRUPT */
	uint64_t stopped_ns;     /* all stand still */
	uint64_t end_ns;         /* the last was let go */
	pid_t *tids;             /* scratch */
	size_t tids_size;
	bool seized;
};

#define STOP_INIT { 0 }

struct stop_options {
	uint64_t timeout_ns;     /* for one try to get all threads to stand still; then all go on */
};

/*
 * PTRACE_SEIZE all threads, which run on; threads that come are caught by the
 * stop itself.  Room for all is made here, outside of the stop.
 * -EPERM, -EBUSY (traced), -ESRCH.
 */
int stop_seize(struct stop *s, const struct target *t, struct err *reterr);
/*
 * All stand still now (new threads included).  -ETIMEDOUT: one did not within
 * timeout_ns: all that had stopped were let go again, still seized; try again
 * later, or stop_free().  -ESRCH: the target is gone.
 */
int stop_begin(struct stop *s, const struct stop_options *o, struct err *reterr);
/*
 * Registers beyond the general ones, and siginfo, of all threads; for a core.
 * Memory for it is made by stop_seize() (and here only for threads that came).
 */
int stop_details(struct stop *s, struct err *reterr);
/* All go on, still seized: stop_begin() may follow.  Never fails half-way. */
void stop_resume(struct stop *s);
/* Let go of all for good; resumes first if need be.  Memory goes with stop_free(). */
void stop_release(struct stop *s);
void stop_free(struct stop *s);

#endif
