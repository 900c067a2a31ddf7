/* SPDX-License-Identifier: MIT */
/*
 * A thread made ready for system calls of ours: chosen, its state looked at,
 * the frame that leads it home put on its stack.  Not the calls; and until one
 * is made nothing that the thread could see has changed.
 */
#ifndef PROCESS_PREPARE_H
#define PROCESS_PREPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/call.h"

#define PREPARE_RSEQ_MAX 64

struct prepare {
	struct stop_thread *thread;
	struct arch_state state;
	struct arch_frame frame;
	unsigned options;        /* of ptrace: SUSPEND_SECCOMP if it has a filter */
	bool seccomp;            /* it has a filter, which on its way home is in force */
	bool placed;             /* the frame is on the stack; saved is what was there */
	size_t len;              /* of the frame */
	unsigned char *bytes, *saved;
	uint64_t rseq_addr;      /* of its rseq area, 0: none */
	size_t rseq_len;
	unsigned char rseq[PREPARE_RSEQ_MAX]; /* what was in it */
};

/* p is zeroed; after an error too it wants prepare_free().  -ENOTSUP, -EPERM. */
int prepare_thread(struct prepare *p, const struct stop *s, const struct maps *m,
		   const struct gadgets *g, enum call_method method, struct err *reterr);
/* What was there before the frame was; pid: the thread, or a copy of its memory. */
void prepare_undo(const struct prepare *p, pid_t pid);
/* The thread is in its critical section again, if it was in one. */
void prepare_undo_rseq(const struct prepare *p);
/* All of the rseq area, which the kernel writes: for a copy that never runs. */
void prepare_undo_rseq_in(const struct prepare *p, pid_t pid);
void prepare_free(struct prepare *p);

#endif
