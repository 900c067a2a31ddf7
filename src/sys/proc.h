/* SPDX-License-Identifier: MIT */
/*
 * System calls that look into another process: wrappers as in sys.h.
 * Not ptrace: that is trace.h.  EINTR: retry.
 */
#ifndef SYS_PROC_H
#define SYS_PROC_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pm_scan_arg;
struct uffdio_api;
struct uffdio_range;
struct uffdio_register;
struct uapi_procmap_query;
union bpf_attr;

int sys_pidfd_open(pid_t pid, unsigned flags);
/* A copy of its descriptor fd, with O_CLOEXEC. */
int sys_pidfd_getfd(int pidfd, int fd, unsigned flags);
/* sig 0: only asks whether it is there (a zombie is). */
int sys_pidfd_send_signal(int pidfd, int sig, const siginfo_t *info, unsigned flags);
/* Bytes of struct linux_dirent64; 0: the end. */
ssize_t sys_getdents64(int fd, void *buf, size_t size);
/* As sys_readlink(). */
ssize_t sys_readlinkat(int dir_fd, const char *path, char *buf, size_t size);

/* <uapi/pagemap.h>; the number of ranges. */
int sys_pagemap_scan(int pagemap_fd, struct pm_scan_arg *arg);

/* <uapi/procmap.h>; 0, -ENOENT: no such mapping. */
int sys_procmap_query(int maps_fd, struct uapi_procmap_query *arg);
/* <linux/bpf.h>; what the command gives: a descriptor (with O_CLOEXEC) or 0. */
int sys_bpf(int command, union bpf_attr *attr, unsigned size);
/*
 * The call of that number, made for a process that cannot make it itself.
 * EINTR: return.
 */
long sys_number(long nr, long a, long b, long c, long d, long e, long f);

/* <uapi/userfaultfd.h>; of this process. */
int sys_userfaultfd(int flags);
/* What they say is about the memory of the process that made the descriptor. */
int sys_uffdio_api(int uffd, struct uffdio_api *arg);
int sys_uffdio_register(int uffd, struct uffdio_register *arg);
int sys_uffdio_unregister(int uffd, struct uffdio_range *arg);

#endif
