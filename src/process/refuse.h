/* SPDX-License-Identifier: MIT */
/*
 * Why a process cannot be captured, as a sentence with what could be done.
 * Pure: what was found out is given.  Not the finding out: that is target.c.
 */
#ifndef PROCESS_REFUSE_H
#define PROCESS_REFUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "process/procfs.h"

#define REFUSE_KTHREAD 0x00200000  /* PF_KTHREAD, of struct proc_stat.flags */

/*
 * By what /proc says of it: 0, or -ESRCH (zombie, kernel thread).  An exiting
 * thread-group leader with threads left is neither.
 */
int refuse_state(const struct proc_status *st, const struct proc_stat *stat, struct err *reterr);

/* What the kernel looked at when it did not let us. */
struct refuse_access {
	const struct proc_status *self, *target;
	bool not_dumpable;       /* its files in /proc do not belong to its user */
	int yama_scope;          /* kernel.yama.ptrace_scope; -1: no Yama */
};
/* -EPERM */
int refuse_access(const struct refuse_access *a, struct err *reterr);

/* -EBUSY; name may be NULL. */
int refuse_traced(pid_t pid, pid_t tracer, const char *name, struct err *reterr);

/* Size of a word of the program that has this auxv: 32, 64, or 0 (makes no sense). */
unsigned refuse_auxv_bits(const void *auxv, size_t len);

/*
 * From /proc/PID/task/TID/syscall: is this system call one that ends only when
 * a child execs or exits?  *ret_flags_at: where in the target's memory the
 * flags must be looked up to tell (clone3), else 0.
 */
bool refuse_is_vfork(const char *syscall_text, uint64_t *ret_flags_at);

#endif
