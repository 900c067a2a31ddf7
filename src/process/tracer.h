/* SPDX-License-Identifier: MIT */
/*
 * The tracer: a process of its own that shares our memory and descriptors and
 * makes all ptrace calls, because a tracer is one task for life, its waits and
 * signals must not meet the caller's, and its death is the one way to let go of
 * a thread that does not stop.  Not a copy: what it writes, we see.
 *
 * It dies with us (PR_SET_PDEATHSIG); the caller's wait calls never see it
 * (but for wait(__WALL), which may take its status: no harm).
 */
#ifndef PROCESS_TRACER_H
#define PROCESS_TRACER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct tracer;

int tracer_start(struct tracer **ret, struct err *reterr);
/*
 * Run fn(arg) there and wait for it; its result.  One at a time, from any
 * thread.  -EOWNERDEAD: the tracer died, now or earlier; what it traced runs.
 */
int tracer_run(struct tracer *tr, int (*fn)(void *arg), void *arg);
/*
 * In the tracer: when this request has come to its end, a new process takes
 * this one's place, and everything that it traces is let go.  That is so
 * before tracer_run() returns.  Elsewhere it does nothing.
 */
void tracer_renew(void);
/*
 * In the tracer: when this request still is at work after so many nanoseconds,
 * its process is killed and renewed, and tracer_run() returns -ETIMEDOUT.  For
 * calls that may block: PTRACE_SEIZE waits while the target is in exec, which
 * may wait for us.  0: no limit any more.  Elsewhere it does nothing.
 */
void tracer_limit(uint64_t ns);
/* Lets go of everything that is still traced.  NULL is fine. */
void tracer_stop(struct tracer *tr);
/* Its process id; another one after tracer_renew(). */
pid_t tracer_pid(const struct tracer *tr);

#endif
