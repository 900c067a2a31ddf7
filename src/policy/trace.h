/* SPDX-License-Identifier: MIT */
/*
 * Mechanism trace: the call is rewritten in place, so that the kernel itself
 * does the copy.  Private to trace.c and trace_call.c.
 */
#ifndef POLICY_TRACE_H
#define POLICY_TRACE_H

#include "policy/ends.h"
#include "policy/mechanism.h"
#include "policy/tracee.h"
#include "policy/watch.h"

struct trace {
	struct supervise *s;
	struct tracees tracees;
	struct spliced spliced;
	struct watch *watch;      /* NULL: nobody wants to know */
	char *bounce;             /* TRACE_BOUNCE bytes */
	unsigned entered;         /* calls so far */
	int cpu;                  /* that we keep to */
};

#define TRACE_BOUNCE 65536
#define TRACE_FOLLOW 64           /* calls between two looks where the thread runs */

/* The thread stands at a call that was caught; it goes on afterwards. */
void call_enter(struct trace *tr, struct tracee *t);
/* It stands at the end of it. */
void call_leave(struct trace *tr, struct tracee *t);
/* op: PTRACE_CONT, PTRACE_SYSCALL; a thread that was killed does not mind. */
void trace_resume(struct trace *tr, const struct tracee *t, int op, int sig);
/*
 * r: what a request of ptrace returned.  True: the thread is lost.  Where it
 * was not killed by somebody else it is now: it would stand for ever, or go on
 * in a state that nobody knows.
 */
bool trace_lost(struct trace *tr, const struct tracee *t, int r);

/* trace_copy.c: write the vector of t ourselves, never waiting.  Bytes or a negative errno. */
int64_t copy_write(struct trace *tr, struct tracee *t, int fd);
/* Sum of the vector's lengths; 0 where it cannot be read. */
uint64_t copy_asked(pid_t tid, bool is_32bit, uint64_t iov, uint64_t n);
/* Piece i of a vector: 0 or -EFAULT. */
int copy_piece(pid_t tid, bool is_32bit, uint64_t iov, uint64_t i, uint64_t *ret_addr,
	       uint64_t *ret_len);

#endif
