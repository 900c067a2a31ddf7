/* SPDX-License-Identifier: MIT */
/*
 * System calls that start a program: wrappers as in sys.h.
 * Not posix_spawn(): what happens between fork and exec is the caller's, and
 * may be async-signal-safe calls only.
 */
#ifndef SYS_SPAWN_H
#define SYS_SPAWN_H

#include <sys/types.h>

/* The child's pid; 0 in the child, which has the calling thread only. */
pid_t sys_fork(void);
/* Returns only what went wrong. */
int sys_execve(const char *path, char *const *argv, char *const *envp);
/* The calling thread runs on this CPU only; where it may not, nothing changes. */
int sys_run_on(unsigned cpu);
/* This process's environment. */
char **sys_environ(void);
void sys_exit(int status) __attribute__((noreturn));

#endif
