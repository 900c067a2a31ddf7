/* SPDX-License-Identifier: MIT */
/*
 * The process that is to be captured: found, allowed, and fit for it.
 * Opening it does not touch it: nothing is attached, nothing stopped.
 */
#ifndef PROCESS_TARGET_H
#define PROCESS_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "caps/caps.h"
#include "process/procfs.h"

struct target {
	pid_t pid;               /* thread group, as we see it */
	pid_t live;              /* a thread whose files in /proc work: pid, if the leader lives */
	bool leader_dead;
	int pidfd;
	int proc_fd;             /* /proc/PID */
	int task_fd;             /* /proc/PID/task/LIVE: maps, mem, pagemap are opened here */
	int mem_fd;              /* mem, read only (opened with the rights of now) */
	int pagemap_fd;
	struct caps *caps;
	struct proc_status status; /* of live, when it was opened */
	struct proc_stat stat;
};

/*
 * Errors, each with its sentence "PID 12: why" and what could be done:
 *	-ESRCH     no such process; a kernel thread; a zombie
 *	-EPERM     not allowed: says which capability or Yama setting is missing
 *	-EBUSY     traced already: by whom (pid and name)
 *	-ENOTSUP   32-bit; an architecture that we do not know; this process itself
 *	-EAGAIN    vfork in progress (the parent cannot be stopped before the child execs)
 */
int target_open(struct target **ret, pid_t pid, struct caps *caps, struct err *reterr);
void target_close(struct target *t);
/* Open a file of /proc/PID/task/LIVE. */
int target_file(const struct target *t, const char *name, int flags);
/* Has it exited (or become a zombie) since? */
bool target_gone(const struct target *t);
/*
 * Has it called execve() since?  Then mem_fd and pagemap_fd are of memory that
 * is no more, and what is read by PID is another program's.
 */
bool target_execed(const struct target *t);
/* A thread of it is in vfork (state D, in the kernel's clone) right now. */
bool target_in_vfork(const struct target *t);
/* Its cgroup is frozen: it can be stopped, but makes no system call for us. */
bool target_frozen(const struct target *t);
/*
 * Its parent, process group and session as its own pid namespace has them; 0:
 * they are of one above it.
 */
struct target_family {
	pid_t ppid, pgrp, sid;
};
struct target_family target_family(const struct target *t);
/* Mask of /proc/PID/coredump_filter; the kernel's default (0x33) where it cannot be read. */
uint32_t target_coredump_filter(const struct target *t);

#endif
