/* SPDX-License-Identifier: MIT */
#include "sys/spawn.h"

#include <errno.h>
#include <sched.h>
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

int sys_run_on(unsigned cpu)
{
	cpu_set_t set;

	if (cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return WRAP_ONCE("run_on", sched_setaffinity(0, sizeof(set), &set));
}

char **sys_environ(void)
{
	return environ;
}

void sys_exit(int status)
{
	_exit(status);
}
