/* SPDX-License-Identifier: MIT */
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/wrap.h"

int sys_getfl(int fd)
{
	return WRAP_RETRY("getfl", fcntl(fd, F_GETFL));
}

int sys_setfl(int fd, int flags)
{
	return WRAP_RETRY("setfl", fcntl(fd, F_SETFL, flags));
}

int sys_dupfd_cloexec(int fd, int fd_min)
{
	return WRAP_RETRY("dupfd_cloexec", fcntl(fd, F_DUPFD_CLOEXEC, fd_min));
}

int sys_getpipe_sz(int fd)
{
	return WRAP_RETRY("getpipe_sz", fcntl(fd, F_GETPIPE_SZ));
}

int sys_setpipe_sz(int fd, int size)
{
	return WRAP_RETRY("setpipe_sz", fcntl(fd, F_SETPIPE_SZ, size));
}

int sys_getlease(int fd)
{
	return WRAP_RETRY("getlease", fcntl(fd, F_GETLEASE));
}

int sys_setlease(int fd, int type)
{
	return WRAP_RETRY("setlease", fcntl(fd, F_SETLEASE, type));
}

int sys_setsig(int fd, int sig)
{
	return WRAP_RETRY("setsig", fcntl(fd, F_SETSIG, sig));
}

int sys_setown_ex(int fd, int type, pid_t id)
{
	struct f_owner_ex owner = { .type = (enum __pid_type)type, .pid = id };

	return WRAP_RETRY("setown_ex", fcntl(fd, F_SETOWN_EX, &owner));
}

int sys_getseals(int fd)
{
	return WRAP_RETRY("getseals", fcntl(fd, F_GET_SEALS));
}

int sys_addseals(int fd, int seals)
{
	return WRAP_RETRY("addseals", fcntl(fd, F_ADD_SEALS, seals));
}

int sys_pipe2(int ret_fds[2], int flags)
{
	return WRAP_RETRY("pipe2", pipe2(ret_fds, flags));
}

int sys_fionread(int fd, int *ret)
{
	return WRAP_RETRY("fionread", ioctl(fd, FIONREAD, ret));
}

int sys_eventfd(unsigned count, int flags)
{
	return WRAP_RETRY("eventfd", eventfd(count, flags));
}
