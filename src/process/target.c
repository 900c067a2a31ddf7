/* SPDX-License-Identifier: MIT */
#include "process/target.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>

#include "process/refuse.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define TARGET_FILTER_DEFAULT 0x33

static int target_open_at(int dir_fd, const char *name, int flags)
{
	return sys_openat(dir_fd, name, flags | O_CLOEXEC, 0);
}

static int target_dir(pid_t pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* /proc/PID/task/TID, from /proc/PID. */
static int target_task_dir(int proc_fd, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", (int)tid);
	return target_open_at(proc_fd, path, O_RDONLY | O_DIRECTORY);
}

/* The first bytes of a small file, ended by 0; their number. */
static ssize_t target_text(int dir_fd, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = target_open_at(dir_fd, name, O_RDONLY);
	ssize_t n = fd < 0 ? fd : sys_read(fd, buf, size - 1);

	buf[n < 0 ? 0 : n] = '\0';
	return n;
}

/* ------------------------------------------------------------ who is it? */

/* pidfd_open() of a thread that leads no group. */
static int target_no_leader(pid_t pid, int code, struct err *reterr)
{
	struct proc_status st;
	int dir = target_dir(pid);

	if (dir >= 0 && procfs_status(dir, &st) == 0 && st.tgid != pid)
		code = err_set(reterr, -ESRCH, "PID %d: is a thread of process %d", (int)pid,
			       (int)st.tgid);
	else
		code = err_errno(reterr, code, "PID %d", (int)pid);
	if (dir >= 0)
		(void)sys_close(dir);
	return code;
}

/*
 * The pidfd first: when it still is of a process after /proc/PID was opened,
 * both are of the same one, for a PID is not used again before.
 */
static int target_find(struct target *t, struct err *reterr)
{
	int r = t->pid > 0 ? sys_pidfd_open(t->pid, 0) : -ESRCH;

	if (r >= 0)
		t->pidfd = r;
	if (t->pid == sys_getpid())
		return err_set(reterr, -ENOTSUP, "PID %d: is this process itself, which cannot "
			       "stop and go on reading", (int)t->pid);
	if (r == -ESRCH)
		return err_set(reterr, -ESRCH, "PID %d: no such process", (int)t->pid);
	if (r == -EINVAL || r == -ENOENT)
		return target_no_leader(t->pid, r, reterr);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: pidfd_open", (int)t->pid);
	r = target_dir(t->pid);
	if (r == -ENOENT && sys_pidfd_send_signal(t->pidfd, 0, NULL, 0) != -ESRCH)
		return err_set(reterr, -EPERM, "PID %d: /proc does not show it (hidepid, or a "
			       "/proc of other PIDs than ours)", (int)t->pid);
	if (r < 0 && r != -ENOENT)
		return err_errno(reterr, r, "PID %d: /proc", (int)t->pid);
	t->proc_fd = r;
	if (r < 0 || sys_pidfd_send_signal(t->pidfd, 0, NULL, 0) == -ESRCH)
		return err_set(reterr, -ESRCH, "PID %d: no such process", (int)t->pid);
	return 0;
}

/* The leader has exited and others go on: one of those. */
static int target_find_live(struct target *t)
{
	struct proc_status st;
	pid_t *tids = NULL;
	size_t size = 0;
	int i, n = procfs_tasks(t->proc_fd, &tids, &size), dir = n < 0 ? n : -ESRCH;

	for (i = 0; i < n; i++) {
		dir = target_task_dir(t->proc_fd, tids[i]);
		if (dir >= 0 && procfs_status(dir, &st) == 0 && st.has_mm && st.state != 'Z' &&
		    st.state != 'X') {
			t->live = tids[i];
			break;
		}
		if (dir >= 0)
			(void)sys_close(dir);
		dir = -ESRCH;
	}
	free(tids);
	return dir;
}

/* Which thread speaks for it, and does it live? */
static int target_look(struct target *t, struct err *reterr)
{
	int r = procfs_status(t->proc_fd, &t->status);

	if (r == 0)
		r = procfs_stat(t->proc_fd, &t->stat);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: status", (int)t->pid);
	r = refuse_state(&t->status, &t->stat, reterr);
	if (r < 0)
		return r;
	t->live = t->pid;
	t->leader_dead = !t->status.has_mm;
	r = t->leader_dead ? target_find_live(t) : target_task_dir(t->proc_fd, t->pid);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: no thread of it lives", (int)t->pid);
	t->task_fd = r;
	r = procfs_status(t->task_fd, &t->status);
	if (r == 0)
		r = procfs_stat(t->task_fd, &t->stat);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: status", (int)t->pid);
	return 0;
}

/* -------------------------------------------------------- are we allowed? */

static int target_denied(const struct target *t, struct err *reterr)
{
	struct proc_status self = { .pid = 0 };
	char scope[16];
	struct statx mem;
	int dir = sys_open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	struct refuse_access a = {
		.self = &self, .target = &t->status, .yama_scope = -1,
		.not_dumpable = sys_statx(t->task_fd, "mem", 0, STATX_UID, &mem) == 0 &&
				mem.stx_uid != t->status.uid[1],
	};

	if (dir >= 0) {
		(void)procfs_status(dir, &self);
		(void)sys_close(dir);
	}
	if (target_text(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", scope,
			sizeof(scope)) > 0)
		a.yama_scope = scope[0] - '0';
	return refuse_access(&a, reterr);
}

static int target_traced(const struct target *t, struct err *reterr)
{
	struct proc_status tracer;
	int dir = target_dir(t->status.tracer);
	bool known = dir >= 0 && procfs_status(dir, &tracer) == 0;

	if (dir >= 0)
		(void)sys_close(dir);
	return refuse_traced(t->pid, t->status.tracer, known ? tracer.name : NULL, reterr);
}

/* Opening mem asks the kernel the very question that tracing will. */
static int target_open_memory(struct target *t, struct err *reterr)
{
	t->mem_fd = target_open_at(t->task_fd, "mem", O_RDONLY);
	if (t->mem_fd == -EACCES || t->mem_fd == -EPERM)
		return target_denied(t, reterr);
	if (t->mem_fd >= 0)
		t->pagemap_fd = target_open_at(t->task_fd, "pagemap", O_RDONLY);
	if (t->mem_fd < 0 || t->pagemap_fd < 0)
		return err_errno(reterr, t->mem_fd < 0 ? t->mem_fd : t->pagemap_fd, "PID %d: %s",
				 (int)t->pid, t->mem_fd < 0 ? "mem" : "pagemap");
	return 0;
}

/* ------------------------------------------------------------- is it fit? */

static int target_fits(const struct target *t, struct err *reterr)
{
	char auxv[1024];
	ssize_t n;

#ifndef __x86_64__
	return err_set(reterr, -ENOTSUP, "PID %d: only x86-64 is supported yet", (int)t->pid);
#endif
	if (t->status.tracer)
		return target_traced(t, reterr);
	n = target_text(t->task_fd, "auxv", auxv, sizeof(auxv));
	if (n < 0)
		return err_errno(reterr, (int)n, "PID %d: auxv", (int)t->pid);
	if (n == 0)
		return err_set(reterr, -ESRCH, "PID %d: it is exiting, its memory is gone",
			       (int)t->pid);
	if (refuse_auxv_bits(auxv, (size_t)n) == 32)
		return err_set(reterr, -ENOTSUP, "PID %d: a 32-bit program, which is not supported",
			       (int)t->pid);
	if (target_in_vfork(t))
		return err_set(reterr, -EAGAIN, "PID %d: is in vfork and cannot be stopped before "
			       "the child execs or exits; try again", (int)t->pid);
	return 0;
}

static void target_close_files(struct target *t)
{
	int *const fds[] = { &t->pidfd, &t->proc_fd, &t->task_fd, &t->mem_fd, &t->pagemap_fd };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			(void)sys_close(*fds[i]);
}

static int target_try(struct target *t, pid_t pid, struct caps *caps, struct err *reterr)
{
	int r;

	*t = (struct target){
		.pid = pid, .live = pid, .caps = caps,
		.pidfd = -1, .proc_fd = -1, .task_fd = -1, .mem_fd = -1, .pagemap_fd = -1,
	};
	r = target_find(t, reterr);
	if (r == 0)
		r = target_look(t, reterr);
	if (r == 0)
		r = target_open_memory(t, reterr);
	if (r == 0)
		r = target_fits(t, reterr);
	if (r < 0)
		target_close_files(t);
	return r;
}

int target_open(struct target **ret, pid_t pid, struct caps *caps, struct err *reterr)
{
	struct target *t = sys_calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_errno(reterr, -ENOMEM, "PID %d", (int)pid);
	r = target_try(t, pid, caps, reterr);
	/* The leader may have exited while we looked: then another thread speaks for it. */
	if (r == -ESRCH && t->status.threads > 1 && !t->leader_dead)
		r = target_try(t, pid, caps, reterr);
	if (r < 0) {
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void target_close(struct target *t)
{
	if (!t)
		return;
	target_close_files(t);
	free(t);
}

/* ---------------------------------------------------------------- questions */

/* Files about the memory fail once their thread has exited; another has them. */
int target_file(const struct target *t, const char *name, int flags)
{
	struct target other = *t;
	int fd = target_open_at(t->task_fd, name, flags), dir;

	if (fd != -ESRCH && fd != -ENOENT)
		return fd;
	dir = target_find_live(&other);
	if (dir < 0)
		return fd;
	fd = target_open_at(dir, name, flags);
	(void)sys_close(dir);
	return fd;
}

bool target_gone(const struct target *t)
{
	struct pollfd p = { .fd = t->pidfd, .events = POLLIN };
	int r;

	do {
		r = sys_poll(&p, 1, 0);
	} while (r == -EINTR);
	return r > 0;
}

bool target_execed(const struct target *t)
{
	char byte;

	/* Nothing is mapped at 0: -EIO; 0 from a memory that nobody uses. */
	return sys_pread(t->mem_fd, &byte, 1, 0) == 0;
}

static bool target_thread_in_vfork(const struct target *t, pid_t tid)
{
	_cleanup_close_ int dir = target_task_dir(t->proc_fd, tid);
	uint64_t at, flags = 0;
	struct proc_stat st;
	char text[256];

	if (dir < 0 || procfs_stat(dir, &st) < 0 || st.state != 'D')
		return false;
	if (target_text(dir, "syscall", text, sizeof(text)) <= 0)
		return false;
	if (refuse_is_vfork(text, &at))
		return true;
	return at && sys_pread(t->mem_fd, &flags, sizeof(flags), at) == sizeof(flags) &&
	       flags & CLONE_VFORK;
}

bool target_frozen(const struct target *t)
{
	struct proc_stat st;
	char text[64];

	if (target_text(t->task_fd, "wchan", text, sizeof(text)) <= 0 ||
	    procfs_stat(t->task_fd, &st) < 0)
		return false;
	/* cgroup v2: do_freezer_trap(), which may be part of get_signal(), where
	 * nothing else sleeps but what is stopped (T, t); v1: __refrigerator(). */
	return strstr(text, "freezer") || strstr(text, "refrigerator") ||
	       (st.state == 'S' && strcmp(text, "get_signal") == 0);
}

bool target_in_vfork(const struct target *t)
{
	pid_t *tids = NULL;
	size_t size = 0;
	int i, n = procfs_tasks(t->proc_fd, &tids, &size);
	bool found = false;

	for (i = 0; i < n && !found; i++)
		found = target_thread_in_vfork(t, tids[i]);
	free(tids);
	return found;
}

/*
 * A process lives in the namespace of its parent or in one below that: a parent
 * that is as deep is in the same.
 */
struct target_family target_family(const struct target *t)
{
	struct target_family f = { t->stat.ppid, t->stat.pgrp, t->stat.session };
	struct proc_status parent;
	int dir;

	if (t->status.ns_depth <= 1)
		return f;
	f = (struct target_family){ 0, t->status.ns_pgrp, t->status.ns_sid };
	dir = t->stat.ppid ? target_dir(t->stat.ppid) : -ESRCH;
	if (dir < 0)
		return f;
	if (procfs_status(dir, &parent) == 0 && parent.ns_depth == t->status.ns_depth)
		f.ppid = parent.ns_pid;
	(void)sys_close(dir);
	return f;
}

/* Threads have no such file of their own, but a /proc/TID that is not listed. */
uint32_t target_coredump_filter(const struct target *t)
{
	int dir = t->leader_dead ? target_dir(t->live) : t->proc_fd;
	char text[32], *end;
	uint32_t filter = TARGET_FILTER_DEFAULT;
	unsigned long v;

	if (dir >= 0 && target_text(dir, "coredump_filter", text, sizeof(text)) > 0) {
		v = strtoul(text, &end, 16);
		if (end != text && v <= UINT32_MAX)
			filter = (uint32_t)v;
	}
	if (t->leader_dead && dir >= 0)
		(void)sys_close(dir);
	return filter;
}
