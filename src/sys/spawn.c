/* SPDX-License-Identifier: MIT */
#include "sys/spawn.h"

#include <unistd.h>

#include "sys/wrap.h"

pid_t sys_fork(void)
{
	return WRAP_ONCE("fork", fork());
}

int sys_execve(const char *path, char *const *argv, char *const *envp)
{
	return WRAP_ONCE("execve", execve(path, argv, envp));
}

char **sys_environ(void)
{
	return environ;
}

void sys_exit(int status)
{
	_exit(status);
}
