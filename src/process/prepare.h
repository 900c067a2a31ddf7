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

struct prepare {
	struct stop_thread *thread;
	struct arch_state state;
	struct arch_frame frame;
	unsigned options;        /* of ptrace: SUSPEND_SECCOMP if it has a filter */
	bool can_reap;           /* a wait for any child of a clone can only find ours */
	bool placed;             /* the frame is on the stack; saved is what was there */
	size_t len;              /* of the frame */
	unsigned char *bytes, *saved;
	uint64_t rseq_addr;      /* of its pointer to a critical section; 0: none */
	uint64_t rseq_cs;        /* what was in it */
};

/* p is zeroed; after an error too it wants prepare_free().  -ENOTSUP, -EPERM. */
int prepare_thread(struct prepare *p, const struct stop *s, const struct maps *m,
		   const struct gadgets *g, enum call_method method, struct err *reterr);
/* What was there before the frame was; pid: the thread, or a copy of its memory. */
void prepare_undo(const struct prepare *p, pid_t pid);
void prepare_undo_rseq(const struct prepare *p, pid_t pid);
void prepare_free(struct prepare *p);

#endif
