/* SPDX-License-Identifier: MIT */
/* x86-64: the one place that knows its registers, frames and system call numbers. */
#include "process/arch.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "sys/sys.h"
#include "sys/trace.h"

const uint16_t arch_elf_machine = EM_X86_64;

/* ------------------------------------------------------------- registers */

#define ARCH_CS_64 0x33
#define ARCH_X32_BIT 0x40000000ul

/* The kernel's own, in a system call that was interrupted and not yet returned. */
#define ARCH_ERESTARTNOHAND 514

_Static_assert(sizeof(struct user_regs_struct) == 216 &&
	       sizeof(struct user_regs_struct) <= ARCH_REGS_MAX, "NT_PRSTATUS's registers");

static const struct user_regs_struct *arch_user(const struct arch_regs *r)
{
	return (const struct user_regs_struct *)(const void *)r->data;
}

static struct user_regs_struct *arch_user_of(struct arch_regs *r)
{
	return (struct user_regs_struct *)(void *)r->data;
}

static int arch_regset_get(pid_t tid, uint32_t type, void *data, size_t size)
{
	struct iovec iov = { data, size };
	long r = sys_ptrace(PTRACE_GETREGSET, tid, type, (uintptr_t)&iov);

	return r < 0 ? (int)r : (int)iov.iov_len;
}

int arch_regs_get(pid_t tid, struct arch_regs *ret)
{
	int n = arch_regset_get(tid, NT_PRSTATUS, ret->data, sizeof(ret->data));

	if (n < 0)
		return n;
	ret->len = (uint32_t)n;
	return 0;
}

int arch_regs_set(pid_t tid, const struct arch_regs *regs)
{
	struct iovec iov = { (void *)regs->data, regs->len };
	long r = sys_ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, (uintptr_t)&iov);

	return r < 0 ? (int)r : 0;
}

int arch_regs_check(const struct arch_regs *regs)
{
	/* The kernel gives the 68 bytes of i386 when the thread runs in such a segment. */
	if (regs->len != sizeof(struct user_regs_struct) || arch_user(regs)->cs != ARCH_CS_64)
		return -ENOTSUP;
	return 0;
}

uint64_t arch_ip(const struct arch_regs *r)
{
	return arch_user(r)->rip;
}

uint64_t arch_sp(const struct arch_regs *r)
{
	return arch_user(r)->rsp;
}

long arch_syscall(const struct arch_regs *r)
{
	long nr = (long)arch_user(r)->orig_rax;

	return nr >= 0 ? nr : -1;
}

/* -------------------------------------------- system calls that it breaks */

/*
 * Calls that return EINTR whenever a signal is pending, be it only our
 * PTRACE_INTERRUPT, where others return ERESTART*.  When they do, nothing was
 * moved or changed, so that they can be made again.
 */
static bool arch_breaks(const struct user_regs_struct *u)
{
	switch (u->orig_rax & ~ARCH_X32_BIT) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
	case SYS_msgrcv:
	case SYS_msgsnd:
	/* On sockets with a time-out (SO_RCVTIMEO, SO_SNDTIMEO). */
	case SYS_read:
	case SYS_write:
	case SYS_readv:
	case SYS_writev:
	case SYS_preadv2:
	case SYS_pwritev2:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_sendfile:
	case SYS_splice:
		return true;
	case SYS_ioctl:
		return (uint32_t)u->rsi == 0xae80; /* KVM_RUN */
	case SYS_fallocate:
		return (u->rsi & 0x28) == 0; /* not the modes that move data */
	default:
		return false;
	}
}

bool arch_restart_broken(struct arch_regs *r)
{
	struct user_regs_struct *u = arch_user_of(r);

	if ((long)u->orig_rax < 0 || (long)u->rax != -EINTR || !arch_breaks(u))
		return false;
	/*
	 * Now the kernel decides, at the end of the stop: EINTR where a handler
	 * runs, which the call would have given without us too, else again.
	 */
	u->rax = (unsigned long)-ARCH_ERESTARTNOHAND;
	return true;
}

/* ------------------------------------------------- further register sets */

#define ARCH_XSTATE_LEAST 4096

/* CPUID traps in a virtual machine, tens of microseconds: once. */
static uint32_t arch_xstate_size(void)
{
	static _Atomic uint32_t known;
	uint32_t size = atomic_load(&known), a, b, c, d;

	if (size)
		return size;
	size = ARCH_XSTATE_LEAST;
	if (__get_cpuid_count(0xd, 0, &a, &b, &c, &d) && c > size)
		size = c; /* all that the processor has */
	atomic_store(&known, size);
	return size;
}

int arch_state_reserve(struct arch_state *st)
{
	const struct arch_note want[] = {
		{ .type = NT_FPREGSET, .size = sizeof(struct user_fpregs_struct) },
		{ .type = NT_X86_XSTATE, .size = arch_xstate_size() },
	};

	if (st->n)
		return 0;
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct arch_note *note = &st->notes[i];

		*note = want[i];
		note->data = sys_aligned_alloc(64, note->size);
		if (!note->data) {
			arch_state_free(st);
			return -ENOMEM;
		}
		memset(note->data, 0, note->size); /* and there before the stop */
		st->n = i + 1;
	}
	return 0;
}

int arch_state_get(pid_t tid, struct arch_state *st)
{
	for (unsigned i = 0; i < st->n; i++) {
		struct arch_note *note = &st->notes[i];
		int n = arch_regset_get(tid, note->type, note->data, note->size);

		if (n == -ENODEV || n == -EINVAL)
			n = 0; /* a processor without XSAVE */
		if (n < 0)
			return n;
		note->len = (uint32_t)n;
	}
	return 0;
}

void arch_state_free(struct arch_state *st)
{
	for (unsigned i = 0; i < ARCH_NOTES_MAX; i++)
		free(st->notes[i].data);
	memset(st, 0, sizeof(*st));
}

/* NT_X86_XSAVE_LAYOUT, which old headers lack. */
#define ARCH_NT_LAYOUT 0x205
/* Where the note's own header says which features its bytes have. */
#define ARCH_XSTATE_FEATURES 464

size_t arch_layout_note(const struct arch_note *notes, unsigned n, uint32_t *ret_type,
			unsigned char ret[ARCH_LAYOUT_MAX])
{
	uint64_t features = 0;
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		if (notes[i].type == NT_X86_XSTATE &&
		    notes[i].len >= ARCH_XSTATE_FEATURES + sizeof(features))
			memcpy(&features, notes[i].data + ARCH_XSTATE_FEATURES, sizeof(features));
	/* x87 and SSE, the first two, have their place since long before. */
	for (uint32_t i = 2; i < 64; i++) {
		struct {
			uint32_t type, size, offset, flags;
		} record = { .type = i };
		uint32_t c, d;

		if (!(features >> i & 1) ||
		    !__get_cpuid_count(0xd, i, &record.size, &record.offset, &c, &d))
			continue;
		memcpy(ret + len, &record, sizeof(record));
		len += sizeof(record);
	}
	*ret_type = ARCH_NT_LAYOUT;
	return len;
}
