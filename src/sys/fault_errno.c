/* SPDX-License-Identifier: MIT */
/* Which error an injected fault is. */
#include "sys/fault.h"

#ifdef DECANT_FAULTS

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sys/wrap.h"

#define FAULT_ERRNO_MAX 4095

/* What a caller should expect of these; all others: EIO. */
static const struct {
	const char *name;
	int error;
} fault_plausible[] = {
	{ "accept4", EMFILE },
	{ "addseals", EBUSY },
	{ "alarm", EINVAL },
	{ "aligned_alloc", ENOMEM },
	{ "bind", EADDRINUSE },
	{ "cachestat", EOPNOTSUPP },
	{ "bpf", EPERM },
	{ "calloc", ENOMEM },
	{ "connect", ECONNREFUSED },
	{ "copy_file_range", EXDEV },
	{ "dlopen", ENOENT },
	{ "dlsym", ENOSYS },
	{ "dupfd_cloexec", EMFILE },
	{ "epoll_create1", EMFILE },
	{ "epoll_ctl", ENOMEM },
	{ "epoll_wait", EINTR },
	{ "eventfd", EMFILE },
	{ "fallocate", ENOSPC },
	{ "flock", ENOLCK },
	{ "ficlone", EOPNOTSUPP },
	{ "ficlonerange", EOPNOTSUPP },
	{ "getdents64", ENOMEM },
	{ "getpeername", ENOBUFS },
	{ "getrlimit", EINVAL },
	{ "getseals", EINVAL },
	{ "getsockname", ENOBUFS },
	{ "getsockopt", ENOPROTOOPT },
	{ "inotify_add_watch", ENOSPC },
	{ "inotify_init1", EMFILE },
	{ "kill", ESRCH },
	{ "listen", EADDRINUSE },
	{ "lseek", ESPIPE },
	{ "madvise", ENOMEM },
	{ "malloc", ENOMEM },
	{ "memfd_create", EMFILE },
	{ "mincore", EAGAIN },
	{ "mlock", ENOMEM },
	{ "mmap", ENOMEM },
	{ "mprotect", ENOMEM },
	{ "munmap", ENOMEM },
	{ "open", EMFILE },
	{ "openat", EMFILE },
	{ "openat2", EMFILE },
	{ "pagemap_scan", ENOMEM },
	{ "pidfd_getfd", EMFILE },
	{ "pidfd_open", EMFILE },
	{ "pidfd_send_signal", ESRCH },
	{ "pipe2", EMFILE },
	{ "poll", EINTR },
	{ "posix_fadvise", EINVAL },
	{ "prctl", EINVAL },
	{ "process_vm_readv", ESRCH },
	{ "process_vm_writev", EFAULT },
	{ "ptrace_cont", ESRCH },
	{ "ptrace_detach", ESRCH },
	{ "ptrace_get_rseq", EIO },
	{ "ptrace_get_sud", EIO },
	{ "ptrace_geteventmsg", ESRCH },
	{ "ptrace_getregset", ESRCH },
	{ "ptrace_getsiginfo", ESRCH },
	{ "ptrace_getsigmask", ESRCH },
	{ "ptrace_interrupt", ESRCH },
	{ "ptrace_listen", ESRCH },
	{ "ptrace_peeksiginfo", ESRCH },
	{ "ptrace_seize", EPERM },
	{ "ptrace_set_sud", EIO },
	{ "ptrace_setoptions", ESRCH },
	{ "ptrace_setregset", ESRCH },
	{ "ptrace_setsigmask", ESRCH },
	{ "ptrace_syscall", ESRCH },
	{ "pwrite", ENOSPC },
	{ "pwritev2", ENOSPC },
	{ "realloc", ENOMEM },
	{ "recv", ECONNRESET },
	{ "recvmsg", ECONNRESET },
	{ "renameat", ENOSPC },
	{ "sched_setattr", EPERM },
	{ "send", ECONNRESET },
	{ "sendmsg", ECONNRESET },
	{ "setfl", EPERM },
	{ "setlease", EAGAIN },
	{ "setpipe_sz", EPERM },
	{ "setsockopt", ENOPROTOOPT },
	{ "shutdown", ENOTCONN },
	{ "sigaction", EINVAL },
	{ "sigmask", EINVAL },
	{ "sigtimedwait", EINTR },
	{ "socket", EMFILE },
	{ "socketpair", EMFILE },
	{ "strdup", ENOMEM },
	{ "symlinkat", ENOSPC },
	{ "tgkill", ESRCH },
	{ "thread_create", EAGAIN },
	{ "thread_join", EINVAL },
	{ "uffdio_api", EINVAL },
	{ "uffdio_register", ENOMEM },
	{ "uffdio_unregister", ENOMEM },
	{ "uring_has_op", ENOMEM },
	{ "uring_init", EPERM },
	{ "uring_register_buffers", ENOMEM },
	{ "uring_register_buffers_sparse", ENOMEM },
	{ "uring_send_zc", ECONNRESET },
	{ "uring_splice", ENOSPC },
	{ "uring_submit", EAGAIN },
	{ "uring_update_buffers", ENOMEM },
	{ "uring_wait", EINTR },
	{ "uring_write", ENOSPC },
	{ "userfaultfd", EPERM },
	{ "vm_process", EAGAIN },
	{ "waitpid", EINTR },
	{ "write", EPIPE },
	{ "writev", EPIPE },
};

int fault_errno_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(fault_plausible) / sizeof(fault_plausible[0]); i++)
		if (strcmp(fault_plausible[i].name, name) == 0)
			return fault_plausible[i].error;
	return EIO;
}

int fault_errno_parse(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);
	int e;

	if (end != s && *end == '\0')
		return n > 0 && n <= FAULT_ERRNO_MAX ? (int)n : 0;
	for (e = 1; e <= 133; e++)
		if (strerrorname_np(e) && strcmp(strerrorname_np(e), s) == 0)
			return e;
	return 0;
}

#else

typedef int fault_errno_is_not_compiled_in; /* ISO C wants something here */

#endif
