/* SPDX-License-Identifier: MIT */
/*
 * System calls that look into another process or change it, and those that the
 * tracer is made of.  Not decisions about them: as in sys.h, thin wrappers that
 * return >= 0 or a negative errno.
 *
 * Faults: what restores something in the target (registers, mask, detach) is
 * done in any case, and then said to have failed.
 */
#ifndef SYS_TRACE_H
#define SYS_TRACE_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "uapi/ptrace.h"

/*
 * op: PTRACE_*; a pointer is cast to uintptr_t.  As the kernel has it, not as
 * libc: PEEK requests store through data.  The name for faults is "ptrace_seize",
 * "ptrace_getregset", ...
 */
long sys_ptrace(int op, pid_t tid, uintptr_t addr, uintptr_t data);
/* EINTR: return. */
pid_t sys_waitpid(pid_t pid, int *ret_status, int flags);
/*
 * The same of one task, at once, without taking it: 0, or pid and *ret_status.
 * A wait that takes the report of a signal-delivery-stop takes the signal, too,
 * should we die before we have handed it on.
 */
pid_t sys_wait_peek(pid_t pid, int *ret_status);
/* The same, blocking; EINTR: return. */
pid_t sys_wait_until(pid_t pid, int *ret_status);
int sys_kill(pid_t pid, int sig);
int sys_tgkill(pid_t tgid, pid_t tid, int sig);
pid_t sys_gettid(void);
pid_t sys_getppid(void);
int sys_prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
/* ret_old may be NULL. */
int sys_sigaction(int sig, const struct sigaction *act, struct sigaction *ret_old);
/* Unlike /proc/PID/mem it cannot write where the process itself could not. */
ssize_t sys_process_vm_writev(pid_t pid, const struct iovec *local, size_t local_n,
			      const struct iovec *remote, size_t remote_n);
/* SIGALRM for this process in so many nanoseconds; 0: not. */
int sys_alarm_ns(uint64_t ns);
int sys_mlock(const void *addr, size_t len);
int sys_mprotect(void *addr, size_t len, int prot);

/*
 * A word shared by threads, or by processes that share the memory.
 * sys_futex_wait(): -EAGAIN when *word is not what, -ETIMEDOUT; timeout_ns:
 * UINT64_MAX waits without limit.  EINTR: return.
 */
int sys_futex_wait(const _Atomic uint32_t *word, uint32_t what, uint64_t timeout_ns);
int sys_futex_wake(const _Atomic uint32_t *word);

/*
 * Run fn(arg) in a process that shares memory, descriptors and working
 * directory with this one, and wait until it ends; all signals should be
 * blocked.  No SIGCHLD comes of it, and only waits with __WALL or __WCLONE see
 * it.  It uses the calling thread's thread-local storage (errno, malloc's),
 * which has nothing to do meanwhile.  stack_top: the end of memory for its stack.
 * *ret_status: as of waitpid(); 0 when somebody else's wait has taken it.
 */
int sys_vm_process(int (*fn)(void *arg), void *stack_top, void *arg, int *ret_status);

#endif
