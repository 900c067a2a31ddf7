/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: watches that hear nothing but the end of what they watch, as a
 * control of tests that say what watches are for.
 */
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

int inotify_add_watch(int fd, const char *name, uint32_t mask)
{
	return (int)syscall(SYS_inotify_add_watch, fd, name, IN_DELETE_SELF | (mask & IN_ONLYDIR));
}
