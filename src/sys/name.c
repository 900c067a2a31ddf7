/* SPDX-License-Identifier: MIT */
#include "sys/name.h"

#include <sys/inotify.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "sys/wrap.h"

int sys_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return WRAP_RETRY("renameat", renameat(from_fd, from, to_fd, to));
}

int sys_unlinkat(int dir_fd, const char *path, int flags)
{
	return WRAP_AFTER("unlinkat", unlinkat(dir_fd, path, flags));
}

int sys_symlinkat(const char *text, int dir_fd, const char *path)
{
	return WRAP_RETRY("symlinkat", symlinkat(text, dir_fd, path));
}

int sys_flock(int fd, int op)
{
	return WRAP_RETRY("flock", flock(fd, op));
}

int sys_inotify_init1(int flags)
{
	return WRAP_RETRY("inotify_init1", inotify_init1(flags));
}

int sys_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	return WRAP_RETRY("inotify_add_watch", inotify_add_watch(fd, path, mask));
}
