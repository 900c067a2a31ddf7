/* SPDX-License-Identifier: MIT */
/*
 * Requests of ptrace(2) that the distribution's headers may lack.  A kernel
 * that does not know one answers EIO.
 */
#ifndef UAPI_PTRACE_H
#define UAPI_PTRACE_H

#include <stdint.h>
#include <sys/ptrace.h>

/* Linux 5.13; struct __ptrace_rseq_configuration has these fields. */
#define UAPI_PTRACE_GET_RSEQ_CONFIGURATION 0x420f
struct uapi_ptrace_rseq {
	uint64_t rseq_abi_pointer; /* 0: none registered */
	uint32_t rseq_abi_size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/* Linux 6.4: system call user dispatch. */
#define UAPI_PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210
#define UAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
struct uapi_ptrace_sud {
	uint64_t mode;             /* 0: off */
	uint64_t selector;
	uint64_t offset;
	uint64_t len;
};

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

#endif
