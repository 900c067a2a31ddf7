/* SPDX-License-Identifier: MIT */
/*
 * System calls made by a stopped thread of the target on our behalf, such that
 * our death at any instant leaves it alive and right: the thread's own context
 * lies on its stack as a signal frame, and every way out of the call leads
 * through rt_sigreturn back to where it was (see docs/ARCHITECTURE.md).
 * Runs in the tracer; one call at a time per stop.
 */
#ifndef PROCESS_CALL_H
#define PROCESS_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/maps.h"
#include "process/stop.h"

/* Found before the stop: instruction addresses in the target's executable mappings. */
struct gadgets {
	uint64_t syscall_ret;    /* 0: none */
	uint64_t sigreturn;      /* the C library's restorer, 0: none */
	uint64_t pop_ret;        /* used with syscall_ret in the restorer's place */
};

/* Reads only file-backed, executable, not writable mappings (and the vdso). */
int gadgets_find(const struct target *t, const struct maps *m, struct gadgets *ret,
		 struct err *reterr);

enum call_method {
	CALL_FRAME,              /* survives our death */
	CALL_PLAIN,              /* registers changed in place: the control, and a last resort */
};

struct call;

/*
 * Choose a thread with room for a frame and prepare it.  method: CALL_FRAME
 * falls back to nothing: -ENOTSUP with the reason (no room on any stack,
 * shadow stacks, no gadget, system call user dispatch).
 */
int call_open(struct call **ret, struct stop *s, const struct maps *m, const struct gadgets *g,
	      enum call_method method, struct err *reterr);
/*
 * Make one system call there.  *ret: its result (>= 0 or negative errno).
 * Returns a negative errno when the call could not be made at all: -ESRCH (the
 * thread died), -ENOTSUP (it does not run, as in a frozen cgroup), -ETIMEDOUT.
 * No more calls then.
 */
int call_do(struct call *c, long nr, const uint64_t args[6], int64_t *ret, struct err *reterr);
/* The thread is as it was; NULL is fine. */
void call_close(struct call *c);
/* The thread that it uses. */
struct stop_thread *call_thread(struct call *c);
/* ARCH_SCRATCH_BYTES of the target's memory for arguments, until call_close(). */
uint64_t call_scratch(const struct call *c);

/*
 * For shadow.c.  A clone, which leaves the thread standing at the birth of
 * *ret_child: it goes on with call_clone_end(), whose *ret is the child as the
 * target's namespace has it.  *ret of call_clone(): negative errno if there is
 * no child.  From then on the thread's way home waits for the child until it is
 * reaped; but not if a seccomp filter might kill it for that (call_can_reap()).
 */
bool call_can_reap(const struct call *c);
int call_clone(struct call *c, uint64_t flags, pid_t *ret_child, int64_t *ret,
	       struct err *reterr);
int call_clone_end(struct call *c, int64_t *ret, struct err *reterr);
int call_reap(struct call *c, pid_t ns_child, struct err *reterr);
/* Undo in a copy of the target's memory what was written there for the call. */
void call_undo_in(const struct call *c, pid_t pid);
/* Stack pointer of a child: what it does if it ever runs is exit(0). */
uint64_t call_child_sp(const struct call *c);
const struct gadgets *call_gadgets(const struct call *c);
const struct target *call_target(const struct call *c);
/* PTRACE_SETOPTIONS of it and its children, but for PTRACE_O_EXITKILL. */
unsigned call_options(const struct call *c);

#endif
