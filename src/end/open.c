/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "end/private.h"
#include "sys/sys.h"

int end_reopen(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return sys_open(path, flags | O_CLOEXEC | O_NOCTTY, 0);
}

static int end_open_pipe(struct end *e, struct caps *caps, struct err *reterr)
{
	int fl = sys_getfl(e->fd), fd;

	if (fl < 0)
		return err_errno(reterr, fl, "%s pipe %d", end_side_noun(e), e->fd);
	/* Opening it anew must not give more than the caller's descriptor does. */
	if ((fl & O_ACCMODE) == (e->side == END_SOURCE ? O_WRONLY : O_RDONLY))
		return err_set(reterr, -EBADF, "%s pipe %d: the descriptor is not open for %s",
			       end_side_noun(e), e->fd,
			       e->side == END_SOURCE ? "reading" : "writing");
	if (fl & O_NONBLOCK) {
		e->nonblock = true;
		return 0;
	}
	/*
	 * O_NONBLOCK belongs to what was opened, which the caller shares with
	 * whoever has the descriptor too; a description of our own does not.
	 */
	if (caps_has(caps, FACT_PIPE_REOPEN)) {
		fd = end_reopen(e->fd, (e->side == END_SOURCE ? O_RDONLY : O_WRONLY) | O_NONBLOCK);
		if (fd == -ENXIO)
			return err_set(reterr, -EPIPE, "sink pipe %d: nobody has it open for "
				       "reading", e->fd);
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
			return err_errno(reterr, fd, "%s pipe %d: opening it anew",
					 end_side_noun(e), e->fd);
		if (fd >= 0) {
			e->io_fd = fd;
			e->nonblock = true;
			return 0;
		}
	}
	e->nowait = caps_has(caps, FACT_PIPE_NOWAIT);
	e->nonblock = e->nowait;
	e->poll_first = !e->nowait;
	return 0;
}

/* Plain reads of any length and place do not go with O_DIRECT. */
static int end_open_file(struct end *e, struct err *reterr)
{
	int fd;

	if (!e->direct_fd)
		return 0;
	fd = end_reopen(e->fd, (e->side == END_SOURCE ? O_RDONLY : O_WRONLY) |
			       (e->append ? O_APPEND : 0));
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return err_errno(reterr, fd, "%s file %d: opening it anew without O_DIRECT",
				 end_side_noun(e), e->fd);
	if (fd >= 0)
		e->io_fd = fd;
	return 0;
}

/*
 * A terminal is opened anew as pipes are.  Other devices are not: who knows
 * what opening means to them (a tape rewinds, the master of a terminal is
 * another one each time); they are asked before each read and write.
 */
static int end_open_other(struct end *e, struct err *reterr)
{
	int fl = sys_getfl(e->fd), fd;

	if (fl < 0)
		return err_errno(reterr, fl, "%s descriptor %d", end_side_noun(e), e->fd);
	if (fl & O_NONBLOCK) {
		e->nonblock = true;
		e->poll_first = false;
		return 0;
	}
	if (!e->terminal || e->master)
		return 0;
	fd = end_reopen(e->fd, (e->side == END_SOURCE ? O_RDONLY : O_WRONLY) | O_NONBLOCK);
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return err_errno(reterr, fd, "%s terminal %d: opening it anew", end_side_noun(e),
				 e->fd);
	if (fd >= 0) {
		e->io_fd = fd;
		e->nonblock = true;
		e->poll_first = false;
	}
	return 0;
}

/* See end_copy(): by system call, else by file. */
static int end_open_memory(struct end *e, struct caps *caps, struct err *reterr)
{
	int r;

	if (e->mem_fd >= 0 || caps_has(caps, FACT_PROCESS_VM))
		return 0;
	r = end_open_mem_fd(e);
	if (r < 0)
		return err_errno(reterr, r, "%s %s: /proc/PID/mem", end_side_noun(e), end_noun(e));
	return 0;
}

int end_open(struct end *e, struct caps *caps, struct err *reterr)
{
	if (e->io_fd != e->fd)
		return 0;
	switch (e->kind) {
	case DECANT_END_PIPE:
		return end_open_pipe(e, caps, reterr);
	case DECANT_END_FILE:
		return end_open_file(e, reterr);
	case DECANT_END_FD:
		return end_open_other(e, reterr);
	case DECANT_END_MEMORY:
	case DECANT_END_PROCESS:
		return end_open_memory(e, caps, reterr);
	default:
		return 0;
	}
}

void end_close(struct end *e, uint64_t moved_bytes)
{
	if (e->position && e->append) {
		/* write(2) moved it on, unless we wrote through our own. */
		if (e->io_fd != e->fd)
			(void)sys_lseek(e->fd, 0, SEEK_END);
	} else if (e->position && moved_bytes) {
		(void)sys_lseek(e->fd, (int64_t)(e->offset + moved_bytes), SEEK_SET);
	}
	e->position = false;
	if (e->io_fd != e->fd)
		(void)sys_close(e->io_fd);
	e->io_fd = e->fd;
	if (e->mem_fd >= 0)
		(void)sys_close(e->mem_fd);
	e->mem_fd = -1;
}
