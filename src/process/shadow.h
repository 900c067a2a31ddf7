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
	pid_t ns_pid;            /* as the target sees it, if it is its child; else 0 */
	struct target target;    /* for pages_scan(), pages_read(PAGES_SHADOW) and maps_read() */
	struct arch_regs regs;   /* of it, to make system calls from */
	struct gadgets gadgets;
	uint64_t scratch, scratch_len;
	uint64_t clone_ns;       /* how long the clone took */
};

/*
 * Is there anything in its mappings (with smaps' flags, before we track it)
 * that forbids a fork?  -ENOTSUP: a userfaultfd would be told of it.  Touches nothing;
 * on any thread.
 */
int shadow_may(const struct target *t, const struct maps *m, struct err *reterr);
/* Pure: a userfaultfd's fdinfo; does it want to know of forks? */
bool shadow_parse_uffd(const char *text);

/*
 * In a stop, with an open call.  -ENOTSUP: cannot be hidden or made here (says
 * why); -EAGAIN, -ENOMEM: the clone failed; the target is as before.
 * Only pid, ns_pid and clone_ns are for use yet.
 */
int shadow_make(struct shadow *ret, struct call *c, struct err *reterr);
/*
 * Fill in s->target, from that which it is a shadow of; not in the stop, for
 * it need not be.  On any thread.  After an error: shadow_kill().
 */
int shadow_open(struct shadow *s, const struct target *of, struct err *reterr);
/* A system call in the shadow, which is stopped for ever; in the tracer. */
int shadow_do(struct shadow *s, long nr, const uint64_t args[6], int64_t *ret,
	      struct err *reterr);
/*
 * Scratch memory for arguments in the shadow, made by the first call; a longer
 * one is made anew.  In the tracer.
 */
int shadow_scratch(struct shadow *s, uint64_t len, uint64_t *ret_addr, struct err *reterr);
/* Kill and reap it; in the tracer.  A zeroed shadow is fine. */
void shadow_kill(struct shadow *s);
/*
 * The shadow was made as a child of the target itself (ns_pid is set: the
 * target is the init of its pid namespace, or a subreaper).  It is a zombie
 * there after shadow_kill(), which only a wait for clones would find: another
 * stop, with a call, takes it away.  It may be gone already.
 */
int shadow_reap(struct shadow *s, struct call *c, struct err *reterr);

#endif
