/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of a process or thread, parsed.
 * Not a cache: every call reads anew; parsers are pure and have tests of their own.
 */
#ifndef PROCESS_PROCFS_H
#define PROCESS_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* /proc/PID/status; what a kernel does not say is 0 (or -1 for seccomp). */
struct proc_status {
	char name[64];            /* unescaped */
	char state;               /* R S D T t Z X I */
	pid_t tgid, pid, ppid, tracer;
	pid_t ns_pid;             /* innermost NSpid */
	unsigned ns_depth;        /* pids in NSpid */
	pid_t ns_pgrp, ns_sid;    /* innermost NSpgid and NSsid; 0: from outside of it */
	uid_t uid[4];             /* real, effective, saved, fs */
	gid_t gid[4];
	unsigned threads;
	int seccomp;              /* 0 none, 1 strict, 2 filter */
	uint64_t sig_pending, sig_shared_pending, sig_blocked, sig_ignored, sig_caught;
	uint64_t cap_permitted, cap_effective;
	uint64_t vm_rss_kib, vm_swap_kib, vm_pin_kib, vm_hugetlb_kib;
	bool has_mm;              /* false: kernel thread, zombie */
	bool shadow_stack;        /* x86_Thread_features has shstk */
};

/* /proc/PID/stat */
struct proc_stat {
	char comm[64];
	char state;
	pid_t ppid, pgrp, session;
	uint64_t flags;           /* PF_* */
	uint64_t utime_ticks, stime_ticks, cutime_ticks, cstime_ticks;
	int nice;
	uint64_t start_ticks;     /* since boot */
	int exit_signal;
};

/* The whole file; dir_fd is /proc/PID or /proc/PID/task/TID.  Appends. */
int procfs_read(int dir_fd, const char *name, struct buf *ret);
/* text is ended by 0.  -EBADMSG with nothing in *ret when it makes no sense. */
int procfs_parse_status(const char *text, struct proc_status *ret);
int procfs_parse_stat(const char *text, struct proc_stat *ret);
int procfs_status(int dir_fd, struct proc_status *ret);
int procfs_stat(int dir_fd, struct proc_stat *ret);
/*
 * Thread ids under dir_fd/task, ascending; *ret is malloc'ed, the caller's.
 * Returns their number.  grow: *ret and *size are of an earlier call, kept and
 * enlarged when needed, so that a stop allocates nothing.
 */
int procfs_tasks(int dir_fd, pid_t **ret, size_t *size);

#endif
