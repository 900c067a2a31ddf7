/* SPDX-License-Identifier: MIT */
/*
 * The shadow: a copy-on-write child of the target that never runs one of its
 * instructions, is nobody's visible child (double clone), and dies with the
 * tracer.  Not a checkpoint: shared mappings stay shared with the target.
 */
#ifndef PROCESS_SHADOW_H
#define PROCESS_SHADOW_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/call.h"
#include "process/target.h"

struct shadow {
	pid_t pid;               /* as we see it; 0: none */
	struct target target;    /* for pages_scan(), pages_read(PAGES_SHADOW) and maps_read() */
	uint64_t clone_ns;       /* how long the clone took */
};

/*
 * In a stop, with an open call.  -ENOTSUP: cannot be hidden or made here (says
 * why); -EAGAIN, -ENOMEM: the clone failed; the target is as before.
 */
int shadow_make(struct shadow *ret, struct call *c, struct err *reterr);
/* A system call in the shadow, which is stopped for ever; in the tracer. */
int shadow_do(struct shadow *s, long nr, const uint64_t args[6], int64_t *ret,
	      struct err *reterr);
/* Scratch memory for arguments in the shadow; 0 before shadow_scratch(). */
int shadow_scratch(struct shadow *s, uint64_t len, uint64_t *ret_addr, struct err *reterr);
/* Kill and reap it; in the tracer.  A zeroed shadow is fine. */
void shadow_kill(struct shadow *s);

#endif
