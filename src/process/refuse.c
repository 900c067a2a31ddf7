/* SPDX-License-Identifier: MIT */
#include "process/refuse.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define AUXV_TYPE_MAX 4096
#define AUXV_PHENT 4
#define AUXV_PHENT_32 32       /* sizeof(Elf32_Phdr) */
#define AUXV_PHENT_64 56

int refuse_state(const struct proc_status *st, const struct proc_stat *stat, struct err *reterr)
{
	bool dead = st->state == 'Z' || st->state == 'X';

	if (dead && st->threads <= 1)
		return err_set(reterr, -ESRCH, "PID %d: it has exited (a zombie that its parent, "
			       "process %d, has not waited for)", (int)st->pid, (int)st->ppid);
	if (!dead && !st->has_mm && stat->flags & REFUSE_KTHREAD)
		return err_set(reterr, -ESRCH,
			       "PID %d: a kernel thread, which has no memory of its own",
			       (int)st->pid);
	if (!dead && !st->has_mm && st->threads <= 1)
		return err_set(reterr, -ESRCH, "PID %d: it is exiting, its memory is gone",
			       (int)st->pid);
	return 0;
}

/* Real, effective and saved id must be the file system id of whoever asks. */
static bool refuse_ids_differ(const uint32_t target[4], uint32_t ours)
{
	return target[0] != ours || target[1] != ours || target[2] != ours;
}

int refuse_access(const struct refuse_access *a, struct err *reterr)
{
	const struct proc_status *us = a->self, *it = a->target;
	int pid = (int)it->pid;

	if (a->yama_scope == 3)
		return err_set(reterr, -EPERM, "PID %d: no process may be traced until the next "
			       "boot (kernel.yama.ptrace_scope is 3)", pid);
	if (us->cap_effective >> CAP_SYS_PTRACE & 1)
		return err_set(reterr, -EPERM, "PID %d: not allowed in spite of CAP_SYS_PTRACE: it "
			       "is in a user namespace not below ours, or a security module "
			       "forbids it", pid);
	if (refuse_ids_differ(it->uid, us->uid[3]))
		return err_set(reterr, -EPERM, "PID %d: belongs to user %u and we are %u: run as "
			       "that user, or with CAP_SYS_PTRACE", pid, it->uid[1], us->uid[3]);
	if (refuse_ids_differ(it->gid, us->gid[3]))
		return err_set(reterr, -EPERM, "PID %d: belongs to group %u and we are %u: run as "
			       "that group, or with CAP_SYS_PTRACE", pid, it->gid[1], us->gid[3]);
	if (it->cap_permitted & ~us->cap_permitted)
		return err_set(reterr, -EPERM, "PID %d: has capabilities that we lack; "
			       "CAP_SYS_PTRACE is needed", pid);
	if (a->not_dumpable)
		return err_set(reterr, -EPERM, "PID %d: is not dumpable (set-user-ID, or "
			       "PR_SET_DUMPABLE); CAP_SYS_PTRACE is needed", pid);
	if (a->yama_scope == 1)
		return err_set(reterr, -EPERM, "PID %d: kernel.yama.ptrace_scope is 1 and it is no "
			       "child of ours: CAP_SYS_PTRACE is needed, or "
			       "sysctl kernel.yama.ptrace_scope=0", pid);
	if (a->yama_scope == 2)
		return err_set(reterr, -EPERM, "PID %d: kernel.yama.ptrace_scope is 2; "
			       "CAP_SYS_PTRACE is needed", pid);
	return err_set(reterr, -EPERM, "PID %d: not allowed: a security module forbids it, or it "
		       "is in another user namespace; CAP_SYS_PTRACE may be needed", pid);
}

int refuse_traced(pid_t pid, pid_t tracer, const char *name, struct err *reterr)
{
	if (name)
		return err_set(reterr, -EBUSY, "PID %d: is traced already, by process %d (%s)",
			       (int)pid, (int)tracer, name);
	return err_set(reterr, -EBUSY, "PID %d: is traced already, by process %d", (int)pid,
		       (int)tracer);
}

/* ----------------------------------------------------------------- 32 bits */

/*
 * A list of pairs, ended by one of type 0.  Read with the wrong size of word it
 * has types that there are not; AT_PHENT, which every ELF program has, decides.
 */
static unsigned auxv_phent(const unsigned char *p, size_t len, size_t word)
{
	uint64_t type, value;
	uint32_t half[2];

	for (; len >= 2 * word; p += 2 * word, len -= 2 * word) {
		if (word == 8) {
			memcpy(&type, p, 8);
			memcpy(&value, p + 8, 8);
		} else {
			memcpy(half, p, 8);
			type = half[0];
			value = half[1];
		}
		if (type == 0 || type > AUXV_TYPE_MAX)
			return 0;
		if (type == AUXV_PHENT)
			return value <= AUXV_PHENT_64 ? (unsigned)value : 0;
	}
	return 0;
}

unsigned refuse_auxv_bits(const void *auxv, size_t len)
{
	if (auxv_phent(auxv, len, 8) == AUXV_PHENT_64)
		return 64;
	return auxv_phent(auxv, len, 4) == AUXV_PHENT_32 ? 32 : 0;
}

/* ------------------------------------------------------------------- vfork */

bool refuse_is_vfork(const char *syscall_text, uint64_t *ret_flags_at)
{
	char *end;
	long nr = strtol(syscall_text, &end, 10);
	uint64_t arg;

	*ret_flags_at = 0;
	if (end == syscall_text || *end != ' ') /* "running" */
		return false;
	arg = strtoull(end, NULL, 16);
#ifdef SYS_vfork
	if (nr == SYS_vfork)
		return true;
#endif
	if (nr == SYS_clone)
		return arg & CLONE_VFORK;
	if (nr == SYS_clone3)
		*ret_flags_at = arg;
	return false;
}
