/* SPDX-License-Identifier: MIT */
/*
 * Names beneath a directory: wrappers as in sys.h.  Not opening: that is
 * sys_openat().  EINTR: retry.
 */
#ifndef SYS_NAME_H
#define SYS_NAME_H

#include <stdint.h>

int sys_renameat(int from_fd, const char *from, int to_fd, const char *to);
/* Removes, whatever it returns (a fault is injected after it). */
int sys_unlinkat(int dir_fd, const char *path, int flags);
int sys_symlinkat(const char *text, int dir_fd, const char *path);
/* Of an open file or directory; -EWOULDBLOCK with LOCK_NB. */
int sys_flock(int fd, int op);
int sys_inotify_init1(int flags);
int sys_inotify_add_watch(int fd, const char *path, uint32_t mask);

#endif
