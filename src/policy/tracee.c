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

/* The start of /proc/TID/NAME, ended by a 0 byte. */
static void tracee_proc(const struct tracee *t, const char *name, char *ret, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	ssize_t n = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)t->tid, name);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		n = sys_read(fd, ret, size - 1);
	ret[n > 0 ? n : 0] = '\0';
}

pid_t tracee_tgid(struct tracee *t)
{
	char text[512];
	const char *at;

	if (t->tgid)
		return t->tgid;
	tracee_proc(t, "status", text, sizeof(text));
	at = strstr(text, "\nTgid:");
	t->tgid = at ? (pid_t)strtol(at + 6, NULL, 10) : 0;
	return t->tgid ? t->tgid : t->tid;
}

int tracee_cpu(const struct tracee *t)
{
	char text[1024];
	const char *at;

	/* Behind the name, which ends at the last parenthesis, as the 37th word. */
	tracee_proc(t, "stat", text, sizeof(text));
	at = strrchr(text, ')');
	for (int i = 0; at && i < 37; i++)
		at = strchr(at + 1, ' ');
	return at ? (int)strtol(at, NULL, 10) : -1;
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

/*
 * The numbers of the two ABIs are all different but for io_uring_setup, where
 * nothing depends on it.
 */
static const struct {
	long nr64, nr32;
	enum policy_call call;
} tracee_calls[] = {
	{ __NR_vmsplice, 316, CALL_VMSPLICE },
	{ __NR_splice, 313, CALL_SPLICE },
	{ __NR_tee, 315, CALL_TEE },
	{ __NR_sendfile, 187, CALL_SENDFILE },
	{ -1, 239, CALL_SENDFILE }, /* sendfile64 */
	{ __NR_copy_file_range, 377, CALL_COPY_FILE_RANGE },
	{ __NR_io_uring_setup, -1, CALL_IO_URING_SETUP },
};

bool tracee_call(struct tracee *t, enum policy_call *ret_call, uint64_t ret_args[6])
{
	const struct user_regs_struct *r = &t->regs;
	const uint64_t narrow[6] = {
		(uint32_t)r->rbx, (uint32_t)r->rcx, (uint32_t)r->rdx, (uint32_t)r->rsi,
		(uint32_t)r->rdi, (uint32_t)r->rbp,
	};
	const uint64_t wide[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };

	for (size_t i = 0; i < sizeof(tracee_calls) / sizeof(tracee_calls[0]); i++) {
		bool is_32bit = (long)r->orig_rax == tracee_calls[i].nr32;

		if (!is_32bit && (long)r->orig_rax != tracee_calls[i].nr64)
			continue;
		t->is_32bit = is_32bit;
		*ret_call = tracee_calls[i].call;
		memcpy(ret_args, is_32bit ? narrow : wide, 6 * sizeof(*ret_args));
		return true;
	}
	return false;
}

bool tracee_listens(const struct tracee *t)
{
	return t->regs.orig_rax == __NR_seccomp || t->regs.orig_rax == 354; /* of i386 */
}

int tracee_result(const struct tracee *t, int64_t *ret)
{
	unsigned long rax = 0;
	int r = (int)sys_ptrace(PTRACE_PEEKUSER, t->tid, offsetof(struct user_regs_struct, rax),
				(uintptr_t)&rax);

	/* i386: 32 bits, of which negative ones are errors. */
	*ret = t->is_32bit ? (int32_t)rax : (int64_t)rax;
	return r;
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

int tracee_poke(const struct tracee *t, uint64_t addr, uint64_t value)
{
	return (int)sys_ptrace(PTRACE_POKEDATA, t->tid, addr, value);
}

bool tracee_stands(const struct tracee *t)
{
	unsigned long rax;

	return sys_ptrace(PTRACE_PEEKUSER, t->tid, offsetof(struct user_regs_struct, rax),
			  (uintptr_t)&rax) >= 0;
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
