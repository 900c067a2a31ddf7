/* SPDX-License-Identifier: MIT */
/*
 * A traced thread, from one ptrace stop to the next.  Not its registers.
 * All in the tracer; no wait is without limit.
 */
#ifndef PROCESS_STEP_H
#define PROCESS_STEP_H

#include <stdint.h>
#include <sys/types.h>

#include "process/call.h"

/* For what takes no time but that of a busy machine: a trap, the exit of a killed process. */
#define STEP_SHORT_NS UINT64_C(5000000000)
/* For a system call: a fork of a terabyte takes some. */
#define STEP_LONG_NS UINT64_C(60000000000)

enum step_at {
	STEP_SYSCALL,            /* at the entry or exit of a system call */
	STEP_CHILD,              /* a child was made; both stand still */
};

/* The next stop or end.  -ETIMEDOUT; -ESRCH: it has ended. */
int step_wait(pid_t tid, uint64_t limit_ns, int *ret_status);
/*
 * Go on to the next entry or exit of a system call, or to the birth of a child
 * (*ret_child, which may be NULL if there can be none).  Signals that come are
 * passed on.  Returns enum step_at.
 */
int step_syscall(pid_t tid, uint64_t limit_ns, pid_t *ret_child);
/* Wait until it stands in the stop that PTRACE_INTERRUPT (or its birth) made. */
int step_trap(pid_t tid);
/* Make it come to such a stop.  running: it is not in a stop now. */
int step_interrupt(pid_t tid, bool running);
/* SIGKILL, and wait for the end. */
void step_kill(pid_t pid);

/*
 * A whole system call by changed registers, in a thread with registers *base
 * that will never run.  *ret_child (may be NULL): it made a child, and stands
 * at that.
 */
int step_plain(pid_t tid, const struct arch_regs *base, const struct gadgets *g, uint64_t sp,
	       long nr, const uint64_t args[6], int64_t *ret, pid_t *ret_child);

#endif
