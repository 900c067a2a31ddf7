/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/trace.h"
#include "sys/wrap.h"

#define NS_PER_SECOND 1000000000ull

/* ---------------------------------------------------------------- ptrace */

/* undo: gives something back to the target, so it is done before a fault. */
static const struct {
	int op;
	bool undo;
	const char *name;
} trace_ops[] = {
	{ PTRACE_CONT, false, "ptrace_cont" },
	{ PTRACE_DETACH, true, "ptrace_detach" },
	{ PTRACE_GETEVENTMSG, false, "ptrace_geteventmsg" },
	{ PTRACE_GETREGSET, false, "ptrace_getregset" },
	{ PTRACE_GETSIGINFO, false, "ptrace_getsiginfo" },
	{ PTRACE_GETSIGMASK, false, "ptrace_getsigmask" },
	{ PTRACE_INTERRUPT, false, "ptrace_interrupt" },
	{ PTRACE_LISTEN, false, "ptrace_listen" },
	{ PTRACE_PEEKSIGINFO, false, "ptrace_peeksiginfo" },
	{ PTRACE_SEIZE, false, "ptrace_seize" },
	{ PTRACE_SETOPTIONS, false, "ptrace_setoptions" },
	{ PTRACE_SETREGSET, true, "ptrace_setregset" },
	{ PTRACE_SETSIGMASK, true, "ptrace_setsigmask" },
	{ PTRACE_SYSCALL, false, "ptrace_syscall" },
	{ UAPI_PTRACE_GET_RSEQ_CONFIGURATION, false, "ptrace_get_rseq" },
	{ UAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, false, "ptrace_get_sud" },
	{ UAPI_PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, true, "ptrace_set_sud" },
};

long sys_ptrace(int op, pid_t tid, uintptr_t addr, uintptr_t data)
{
	const char *name = "ptrace";
	bool undo = false;

	for (size_t i = 0; i < sizeof(trace_ops) / sizeof(trace_ops[0]); i++)
		if (trace_ops[i].op == op) {
			name = trace_ops[i].name;
			undo = trace_ops[i].undo;
			break;
		}
	if (undo)
		return WRAP_AFTER(name, syscall(SYS_ptrace, op, tid, addr, data));
	return WRAP_ONCE(name, syscall(SYS_ptrace, op, tid, addr, data));
}

pid_t sys_waitpid(pid_t pid, int *ret_status, int flags)
{
	/* Not libc's: that is a cancellation point and writes thread-local storage. */
	return (pid_t)WRAP_ONCE("waitpid", syscall(SYS_wait4, pid, ret_status, flags, NULL));
}

static pid_t wait_look(pid_t pid, int *ret_status, int flags)
{
	siginfo_t info = { 0 };
	int r = (int)WRAP_ONCE("waitpid", syscall(SYS_waitid, P_PID, pid, &info,
						  WEXITED | WSTOPPED | WNOWAIT | __WALL | flags,
						  NULL));

	if (r < 0 || info.si_pid == 0)
		return r;
	if (info.si_code == CLD_EXITED)
		*ret_status = info.si_status << 8;
	else if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
		*ret_status = info.si_status;
	else
		*ret_status = info.si_status << 8 | 0x7f;
	return pid;
}

pid_t sys_wait_peek(pid_t pid, int *ret_status)
{
	return wait_look(pid, ret_status, WNOHANG);
}

pid_t sys_wait_until(pid_t pid, int *ret_status)
{
	return wait_look(pid, ret_status, 0);
}

/* ------------------------------------------------------ other processes */

int sys_kill(pid_t pid, int sig)
{
	return WRAP_ONCE("kill", kill(pid, sig));
}

int sys_tgkill(pid_t tgid, pid_t tid, int sig)
{
	return (int)WRAP_ONCE("tgkill", syscall(SYS_tgkill, tgid, tid, sig));
}

ssize_t sys_process_vm_writev(pid_t pid, const struct iovec *local, size_t local_n,
			      const struct iovec *remote, size_t remote_n)
{
	struct wrap_iov w;

	wrap_iov_init(&w, "process_vm_writev", local, local_n);
	return WRAP_RETRY("process_vm_writev",
			  process_vm_writev(pid, w.iov, w.n, remote, remote_n, 0));
}

/* ------------------------------------------------------------- ourselves */

pid_t sys_gettid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

pid_t sys_getppid(void)
{
	return getppid();
}

int sys_prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return WRAP_ONCE("prctl", prctl(op, a, b, c, d));
}

int sys_sigaction(int sig, const struct sigaction *act, struct sigaction *ret_old)
{
	return WRAP_ONCE("sigaction", sigaction(sig, act, ret_old));
}

int sys_alarm_ns(uint64_t ns)
{
	struct itimerval in = {
		.it_value.tv_sec = (time_t)(ns / NS_PER_SECOND),
		.it_value.tv_usec = (suseconds_t)((ns % NS_PER_SECOND + 999) / 1000),
	};

	return WRAP_ONCE("alarm", setitimer(ITIMER_REAL, &in, NULL));
}

int sys_mlock(const void *addr, size_t len)
{
	return WRAP_ONCE("mlock", mlock(addr, len));
}

int sys_mprotect(void *addr, size_t len, int prot)
{
	return WRAP_ONCE("mprotect", mprotect(addr, len, prot));
}

int sys_futex_wait(const _Atomic uint32_t *word, uint32_t what, uint64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
		.tv_nsec = (long)(timeout_ns % NS_PER_SECOND),
	};
	struct timespec *limit = timeout_ns == UINT64_MAX ? NULL : &ts;

	/* No gate: a wait that fails would only be made again. */
	return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, what, limit, NULL, 0) < 0 ? -errno : 0;
}

int sys_futex_wake(const _Atomic uint32_t *word)
{
	int r = (int)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);

	return r < 0 ? -errno : r;
}

struct vm_process {
	int (*fn)(void *arg);
	void *arg;
};

static int vm_process_main(void *arg)
{
	struct vm_process *p = arg;

	sys_fault_die_with(getppid());
	return p->fn(p->arg);
}

int sys_vm_process(int (*fn)(void *arg), void *stack_top, void *arg, int *ret_status)
{
	struct vm_process p = { fn, arg };
	int r = sys_fault("vm_process");
	pid_t pid;

	if (r < 0)
		return r;
	*ret_status = 0;
	pid = clone(vm_process_main, stack_top, CLONE_VM | CLONE_FILES | CLONE_FS, &p);
	if (pid < 0)
		return -errno;
	/*
	 * Nothing may touch thread-local storage from here on: no libc wait, no
	 * gate.  Not CLONE_VFORK: a thread in that state holds up a stop signal
	 * to the whole process, and setuid() of its other threads.  ECHILD:
	 * somebody's wait(__WALL) took it, so it has ended.
	 */
	while (syscall(SYS_wait4, pid, ret_status, __WALL, NULL) < 0 && errno == EINTR)
		;
	sys_fault_die_with(0);
	return 0;
}
