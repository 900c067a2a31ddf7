/* SPDX-License-Identifier: MIT */
#include "policy/tracee.h"

#include <asm/unistd.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

/* Linux 6.9. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/* ----------------------------------------------------------------- the table */

static struct tracee **tracee_slot(struct tracees *ts, pid_t tid)
{
	struct tracee **at = &ts->bucket[(unsigned)tid % TRACEES_BUCKETS];

	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	return at;
}

struct tracee *tracee_get(struct tracees *ts, pid_t tid)
{
	struct tracee **at = tracee_slot(ts, tid);

	if (!*at) {
		*at = sys_calloc(1, sizeof(**at));
		if (*at) {
			(*at)->tid = tid;
			(*at)->pidfd = -1;
		}
	}
	return *at;
}

void tracee_close(struct tracee *t)
{
	(void)sys_close(t->pidfd);
	t->pidfd = -1;
}

void tracee_remove(struct tracees *ts, pid_t tid)
{
	struct tracee **at = tracee_slot(ts, tid), *t = *at;

	if (!t)
		return;
	*at = t->next;
	tracee_close(t);
	free(t);
}

void tracees_deinit(struct tracees *ts)
{
	for (size_t i = 0; i < TRACEES_BUCKETS; i++)
		while (ts->bucket[i])
			tracee_remove(ts, ts->bucket[i]->tid);
}

pid_t tracee_tgid(struct tracee *t)
{
	char path[64], text[512];
	const char *at;
	ssize_t n = -1;
	int fd;

	if (t->tgid)
		return t->tgid;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)t->tid);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		n = sys_read(fd, text, sizeof(text) - 1);
		(void)sys_close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\nTgid:");
	t->tgid = at ? (pid_t)strtol(at + 6, NULL, 10) : 0;
	return t->tgid ? t->tgid : t->tid;
}

static int tracee_open(struct tracee *t)
{
	int fd = sys_pidfd_open(t->tid, PIDFD_THREAD);

	/* Threads with tables of their own are then seen by their leader's. */
	return fd == -EINVAL ? sys_pidfd_open(tracee_tgid(t), 0) : fd;
}

int tracee_pidfd(struct tracees *ts, struct tracee *t)
{
	if (t->pidfd >= 0)
		return t->pidfd;
	t->pidfd = tracee_open(t);
	if (t->pidfd == -EMFILE || t->pidfd == -ENFILE) {
		/* More threads than descriptors: open again when they are needed. */
		for (size_t i = 0; i < TRACEES_BUCKETS; i++)
			for (struct tracee *o = ts->bucket[i]; o; o = o->next)
				if (o != t)
					tracee_close(o);
		t->pidfd = tracee_open(t);
	}
	if (t->pidfd < 0)
		t->pidfd = -1;
	return t->pidfd;
}

/* --------------------------------------------------------- registers, memory */

int tracee_load(struct tracee *t)
{
	return (int)sys_ptrace(PTRACE_GETREGS, t->tid, 0, (uintptr_t)&t->regs);
}

int tracee_store(const struct tracee *t, const struct user_regs_struct *regs)
{
	return (int)sys_ptrace(PTRACE_SETREGS, t->tid, 0, (uintptr_t)regs);
}

int tracee_read(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };
	ssize_t n = sys_process_vm_readv(tid, &local, 1, &remote, 1);

	return n < 0 ? (int)n : (size_t)n == len ? 0 : -EFAULT;
}

int tracee_write(pid_t tid, uint64_t addr, const void *buf, size_t len)
{
	struct iovec local = { (void *)(uintptr_t)buf, len };
	struct iovec remote = { (void *)(uintptr_t)addr, len };
	ssize_t n = sys_process_vm_writev(tid, &local, 1, &remote, 1);

	return n < 0 ? (int)n : (size_t)n == len ? 0 : -EFAULT;
}

/* <asm/unistd_32.h> cannot be included next to the 64-bit one. */
static const struct {
	long nr64, nr32;
} tracee_nrs[] = {
	[TRACEE_PWRITEV2] = { __NR_pwritev2, 379 },
	[TRACEE_PREADV2] = { __NR_preadv2, 378 },
	[TRACEE_POLL] = { __NR_poll, 168 },
	[TRACEE_NONE] = { -1, -1 },
};

void tracee_rewrite(const struct tracee *t, enum tracee_nr nr, const uint64_t args[6],
		    struct user_regs_struct *ret)
{
	*ret = t->regs;
	if (t->is_32bit) {
		ret->orig_rax = (unsigned long long)tracee_nrs[nr].nr32;
		ret->rbx = (uint32_t)args[0];
		ret->rcx = (uint32_t)args[1];
		ret->rdx = (uint32_t)args[2];
		ret->rsi = (uint32_t)args[3];
		ret->rdi = (uint32_t)args[4];
		ret->rbp = (uint32_t)args[5];
	} else {
		ret->orig_rax = (unsigned long long)tracee_nrs[nr].nr64;
		ret->rdi = args[0];
		ret->rsi = args[1];
		ret->rdx = args[2];
		ret->r10 = args[3];
		ret->r8 = args[4];
		ret->r9 = args[5];
	}
}
