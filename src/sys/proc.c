/* SPDX-License-Identifier: MIT */
#include "sys/proc.h"

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/wrap.h"
#include "uapi/pagemap.h"
#include "uapi/procmap.h"
#include "uapi/userfaultfd.h"

int sys_pidfd_open(pid_t pid, unsigned flags)
{
	return WRAP_RETRY("pidfd_open", (int)syscall(SYS_pidfd_open, pid, flags));
}

int sys_pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return WRAP_RETRY("pidfd_getfd", (int)syscall(SYS_pidfd_getfd, pidfd, fd, flags));
}

int sys_pidfd_send_signal(int pidfd, int sig, const siginfo_t *info, unsigned flags)
{
	return WRAP_RETRY("pidfd_send_signal",
			  (int)syscall(SYS_pidfd_send_signal, pidfd, sig, info, flags));
}

ssize_t sys_getdents64(int fd, void *buf, size_t size)
{
	return WRAP_RETRY("getdents64", getdents64(fd, buf, size));
}

ssize_t sys_readlinkat(int dir_fd, const char *path, char *buf, size_t size)
{
	ssize_t n = WRAP_RETRY("readlinkat", readlinkat(dir_fd, path, buf, size));

	if (n < 0)
		return n;
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	return n;
}

int sys_pagemap_scan(int pagemap_fd, struct pm_scan_arg *arg)
{
	return WRAP_RETRY("pagemap_scan", ioctl(pagemap_fd, PAGEMAP_SCAN, arg));
}

int sys_userfaultfd(int flags)
{
	return WRAP_RETRY("userfaultfd", (int)syscall(SYS_userfaultfd, flags));
}

int sys_uffdio_api(int uffd, struct uffdio_api *arg)
{
	return WRAP_RETRY("uffdio_api", ioctl(uffd, UFFDIO_API, arg));
}

int sys_uffdio_register(int uffd, struct uffdio_register *arg)
{
	return WRAP_RETRY("uffdio_register", ioctl(uffd, UFFDIO_REGISTER, arg));
}

int sys_uffdio_unregister(int uffd, struct uffdio_range *arg)
{
	return WRAP_AFTER("uffdio_unregister", ioctl(uffd, UFFDIO_UNREGISTER, arg));
}

int sys_procmap_query(int maps_fd, struct uapi_procmap_query *arg)
{
	return WRAP_RETRY("procmap_query", ioctl(maps_fd, UAPI_PROCMAP_QUERY, arg));
}

int sys_bpf(int command, union bpf_attr *attr, unsigned size)
{
	return WRAP_RETRY("bpf", (int)syscall(SYS_bpf, command, attr, size));
}

long sys_number(long nr, long a, long b, long c, long d, long e, long f)
{
	return WRAP_ONCE("number", syscall(nr, a, b, c, d, e, f));
}
