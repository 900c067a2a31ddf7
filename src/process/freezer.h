/* SPDX-License-Identifier: MIT */
/*
 * A cgroup (version 2) that holds a given set of processes and nothing else,
 * frozen for a moment: all of them stop at once, and none is born.  Not the way
 * to look at them: for that they are stopped by ptrace while it is frozen.
 *
 * If we are killed meanwhile a process of ours thaws it (sys/guard.h).
 */
#ifndef PROCESS_FREEZER_H
#define PROCESS_FREEZER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct freezer;

/*
 * The cgroup of pids[0], if it has all pids (with those below it) and nobody
 * else.  -ENOENT: it has not, or there is no such cgroup; -EALREADY: somebody
 * has frozen it; -EACCES and others.  reterr says why.
 */
int freezer_open(struct freezer **ret, const pid_t *pids, size_t n, struct err *reterr);
/* Returns when all stand: told by the kernel, not asked for.  -ETIMEDOUT: thawed again. */
int freezer_freeze(struct freezer *f, uint64_t timeout_ns, struct err *reterr);
/* Does nothing if it is not frozen by us. */
void freezer_thaw(struct freezer *f);
/* Thaws.  NULL is fine. */
void freezer_close(struct freezer *f);

#endif
