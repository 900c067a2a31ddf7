/* SPDX-License-Identifier: MIT */
/*
 * The tracer: a process of its own that shares our memory and descriptors and
 * makes all ptrace calls, because a tracer is one task for life, its waits and
 * signals must not meet the caller's, and its death is the one way to let go of
 * a thread that does not stop.  Not a copy: what it writes, we see.
 *
 * It dies with us (PR_SET_PDEATHSIG); the caller's wait calls never see it.
 */
#ifndef PROCESS_TRACER_H
#define PROCESS_TRACER_H

#include "base/err.h"

struct tracer;

int tracer_start(struct tracer **ret, struct err *reterr);
/* Run fn(arg) there and wait for it; its result.  -EOWNERDEAD: the tracer died. */
int tracer_run(struct tracer *tr, int (*fn)(void *arg), void *arg);
/* Lets go of everything that is still traced.  NULL is fine. */
void tracer_stop(struct tracer *tr);

#endif
