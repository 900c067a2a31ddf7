/* SPDX-License-Identifier: MIT */
/* Descriptors of our own for the file behind an end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "route/reopen.h"
#include "sys/sys.h"

int reopen_read(const struct end *e)
{
	/* O_NONBLOCK: rather an error than a wait for somebody to give up a lease. */
	return end_reopen(e->fd, O_RDONLY | O_NONBLOCK);
}

int reopen_direct(struct job *j, const struct end *e)
{
	bool sink = e->side == END_SINK;
	int fd = end_reopen(e->fd, (sink ? O_WRONLY : O_RDONLY) | O_DIRECT | O_NONBLOCK);

	if (fd < 0)
		return job_fail(j, -EOPNOTSUPP, "%s: cannot be opened past the page cache: %s",
				sink ? "sink" : "source", strerrordesc_np(-fd));
	/* As asked for, it would have io_uring fail rather than wait, on FUSE. */
	(void)sys_setfl(fd, O_DIRECT);
	return fd;
}
