/* SPDX-License-Identifier: MIT */
#include "process/stop_task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"

#define STOP_PF_IO_WORKER 0x10
#define STOP_PF_USER_WORKER 0x4000

/*
 * Into memory of our own, not by procfs_stat(): a tracer that is killed while
 * it holds malloc's lock would leave it locked in a process that lives on.
 */
static int stop_task_text(const struct stop *s, pid_t tid, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/%s", tid, name);
	fd = sys_openat(s->target->proc_fd, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = sys_read(fd, buf, size - 1);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	return n ? 0 : -ESRCH;
}

int stop_task_stat(const struct stop *s, pid_t tid, struct proc_stat *ret)
{
	char text[1024];
	int r = stop_task_text(s, tid, "stat", text, sizeof(text));

	return r < 0 ? r : procfs_parse_stat(text, ret);
}

int stop_task_status(const struct stop *s, pid_t tid, struct proc_status *ret)
{
	char text[4096];
	int r = stop_task_text(s, tid, "status", text, sizeof(text));

	return r < 0 ? r : procfs_parse_status(text, ret);
}

bool stop_task_passive(const struct proc_stat *stat)
{
	/*
	 * Workers of io_uring and vhost are tasks of the target that never run
	 * its code; to interrupt one would fail the request that it works on.
	 */
	return stat->state == 'Z' || stat->state == 'X' ||
	       (stat->flags & (STOP_PF_IO_WORKER | STOP_PF_USER_WORKER));
}

bool stop_task_gone(const struct stop *s, pid_t tid)
{
	struct proc_stat stat;
	int r = stop_task_stat(s, tid, &stat);

	return r == -ENOENT || r == -ESRCH || (r == 0 && stop_task_passive(&stat));
}

uint64_t stop_task_ran_ns(const struct stop *s, pid_t tid)
{
	char text[96];
	int r = stop_task_text(s, tid, "schedstat", text, sizeof(text));

	return r < 0 ? 0 : strtoull(text, NULL, 10);
}
