/* SPDX-License-Identifier: MIT */
/*
 * One thread of a stop: caught, waited for, let go.  Not the order in which all
 * of them are: that is stop.c.
 */
#ifndef PROCESS_STOP_WAIT_H
#define PROCESS_STOP_WAIT_H

#include "process/stop.h"

/* PTRACE_SEIZE.  1: done; 0: it is gone or ends; -EPERM, -EBUSY with a sentence. */
int stop_catch(const struct stop *s, struct stop_thread *t, struct err *reterr);
/*
 * After PTRACE_INTERRUPT: a moment, until it stands still, with its registers.
 * 1: it does; 0: it is gone; -EAGAIN: not yet; -ENOTSUP with a sentence.
 */
int stop_await(const struct stop *s, struct stop_thread *t, struct err *reterr);
/* -ETIMEDOUT and why. */
int stop_late(const struct stop *s, const struct stop_thread *t, struct err *reterr);
/* It goes on.  Where it was killed meanwhile t->dead is set: stop_reap() it. */
void stop_let_go(struct stop_thread *t);
/* Wait for the end of one that was killed, so that its parent hears of it. */
void stop_reap(struct stop_thread *t, uint64_t until_ns);

#endif
