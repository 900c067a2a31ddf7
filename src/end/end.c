/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "end/private.h"
#include "sys/sys.h"

/* Numbers of terminals: Documentation/admin-guide/devices.txt of Linux. */
#define END_MAJOR_TTY 4
#define END_MAJOR_TTYAUX 5
#define END_MINOR_PTMX 2
#define END_MAJOR_PTS_FIRST 136
#define END_MAJOR_PTS_LAST 143
#define END_MAJOR_ACM 166
#define END_MAJOR_USB 188
#define END_MAJOR_LOW_DENSITY 204

const char *end_noun(const struct end *e)
{
	switch (e->kind) {
	case DECANT_END_FD:
		return e->terminal ? "terminal" : "descriptor";
	case DECANT_END_FILE:
		return e->block_device ? "block device" : "file";
	case DECANT_END_PIPE:
		return "pipe";
	case DECANT_END_SOCKET:
		return e->tcp ? "TCP socket" : e->unix_stream ? "UNIX socket" : "socket";
	case DECANT_END_MEMORY:
		return "memory";
	case DECANT_END_PROCESS:
		return "memory of a process";
	case DECANT_END_NULL:
		return "null";
	case DECANT_END_ZERO:
		return "zero";
	}
	return "unknown end";
}

const char *end_side_noun(const struct end *e)
{
	return e->side == END_SOURCE ? "source" : "sink";
}

/* Offset of a file: given, or the descriptor's own. */
static int end_init_file(struct end *e, struct err *reterr)
{
	int64_t pos;
	int fl;

	e->seekable = true;
	if (e->side == END_SINK) {
		fl = sys_getfl(e->fd);
		if (fl < 0)
			return err_errno(reterr, fl, "sink descriptor %d", e->fd);
		e->append = fl & O_APPEND;
	}
	if (e->offset == DECANT_CURRENT) {
		pos = sys_lseek(e->fd, 0, SEEK_CUR);
		if (pos < 0)
			return err_errno(reterr, pos == -ESPIPE ? -EINVAL : (int)pos,
					 "%s descriptor %d: its position", end_side_noun(e), e->fd);
		e->offset = (uint64_t)pos;
		e->position = true;
	} else if (e->append) {
		/* Linux ignores the offset of pwrite(2) here: bytes in the wrong place. */
		return err_set(reterr, -EINVAL, "sink offset: descriptor %d has O_APPEND, which "
			       "writes at the end only", e->fd);
	}
	if (e->offset > INT64_MAX)
		return err_set(reterr, -EINVAL, "%s offset: beyond what a file can have",
			       end_side_noun(e));
	e->seekable = !e->append;
	return 0;
}

static int end_init_stream_type(struct end *e, struct err *reterr)
{
	int type = 0, r;
	socklen_t len = sizeof(type);

	r = sys_getsockopt(e->fd, SOL_SOCKET, SO_TYPE, &type, &len);
	if (r == -ENOTSOCK)
		return err_set(reterr, -EINVAL, "%s socket %d: the descriptor is no socket",
			       end_side_noun(e), e->fd);
	if (r < 0)
		return err_errno(reterr, r, "%s socket %d: its type", end_side_noun(e), e->fd);
	if (type != SOCK_STREAM)
		return err_set(reterr, -ENOTSUP, "%s socket %d: not a stream socket; its messages "
			       "would not stay whole", end_side_noun(e), e->fd);
	return 0;
}

static bool end_is_terminal(dev_t dev)
{
	unsigned m = major(dev);

	return m == END_MAJOR_TTY || m == END_MAJOR_TTYAUX || m == END_MAJOR_ACM ||
	       m == END_MAJOR_USB || m == END_MAJOR_LOW_DENSITY ||
	       (m >= END_MAJOR_PTS_FIRST && m <= END_MAJOR_PTS_LAST);
}

/* DECANT_END_FD: find out the kind. */
static int end_init_fd(struct end *e, struct err *reterr)
{
	struct stat st;
	int r = sys_fstat(e->fd, &st);

	if (r < 0)
		return err_errno(reterr, r, "%s descriptor %d", end_side_noun(e), e->fd);
	if (S_ISDIR(st.st_mode))
		return err_set(reterr, -EISDIR, "%s descriptor %d: is a directory",
			       end_side_noun(e), e->fd);
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
		e->kind = DECANT_END_FILE;
		e->block_device = S_ISBLK(st.st_mode);
		return end_init_file(e, reterr);
	}
	if (S_ISFIFO(st.st_mode))
		e->kind = DECANT_END_PIPE;
	else if (S_ISSOCK(st.st_mode))
		e->kind = DECANT_END_SOCKET;
	if (e->offset != 0 && e->offset != DECANT_CURRENT)
		return err_set(reterr, -EINVAL, "%s offset: a %s has none", end_side_noun(e),
			       end_noun(e));
	if (e->kind == DECANT_END_SOCKET)
		return end_init_stream_type(e, reterr);
	if (e->kind == DECANT_END_FD) {
		e->poll_first = true;
		e->terminal = S_ISCHR(st.st_mode) && end_is_terminal(st.st_rdev);
		e->master = e->terminal && major(st.st_rdev) == END_MAJOR_TTYAUX &&
			    minor(st.st_rdev) == END_MINOR_PTMX;
	}
	return 0;
}

static int end_init_memory(struct end *e, const struct decant_end *said, struct err *reterr)
{
	uint64_t end;

	if ((!said->addr && said->len) ||
	    __builtin_add_overflow((uint64_t)(uintptr_t)said->addr, said->len, &end))
		return err_set(reterr, -EINVAL, "%s memory: no such range of addresses",
			       end_side_noun(e));
	e->addr = said->addr;
	e->size = said->len;
	e->offset = 0;
	e->seekable = true;
	e->nonblock = true;
	return 0;
}

static int end_init_process(struct end *e, const struct decant_end *said, struct err *reterr)
{
	if (e->side == END_SINK)
		return err_set(reterr, -ENOTSUP, "sink: memory of a process is a source only");
	if (said->pid <= 0)
		return err_set(reterr, -EINVAL, "source process: %d is no process id",
			       (int)said->pid);
	if (said->offset == DECANT_CURRENT)
		return err_set(reterr, -EINVAL, "source process: no address was given");
	e->pid = said->pid;
	e->seekable = true;
	e->nonblock = true;
	return 0;
}

static int end_init_stream(struct end *e, struct recent *recent, struct err *reterr)
{
	uint64_t now_ms;
	int r;

	if (e->offset != 0 && e->offset != DECANT_CURRENT)
		return err_set(reterr, -EINVAL, "%s offset: a %s has none", end_side_noun(e),
			       end_noun(e));
	if (e->kind != DECANT_END_SOCKET)
		return 0;
	now_ms = recent ? sys_clock_coarse_ms() : 0;
	if (recent && recent_has(recent, e->fd, RECENT_STREAM_SOCKET, now_ms))
		return 0;
	/* Here, for small transfers do not learn what their ends are. */
	r = end_init_stream_type(e, reterr);
	if (r == 0 && recent)
		recent_note(recent, e->fd, RECENT_STREAM_SOCKET, now_ms);
	return r;
}

static int end_init_kind(struct end *e, const struct decant_end *said, struct recent *recent,
			 struct err *reterr)
{
	switch (e->kind) {
	case DECANT_END_FD:
		return end_init_fd(e, reterr);
	case DECANT_END_FILE:
		return end_init_file(e, reterr);
	case DECANT_END_PIPE:
	case DECANT_END_SOCKET:
		return end_init_stream(e, recent, reterr);
	case DECANT_END_MEMORY:
		return end_init_memory(e, said, reterr);
	case DECANT_END_PROCESS:
		return end_init_process(e, said, reterr);
	case DECANT_END_NULL:
	case DECANT_END_ZERO:
		if (e->side == (e->kind == DECANT_END_NULL ? END_SOURCE : END_SINK))
			return err_set(reterr, -ENOTSUP, "%s: %s is a %s only", end_side_noun(e),
				       end_noun(e), e->side == END_SINK ? "source" : "sink");
		e->seekable = true;
		e->nonblock = true;
		return 0;
	}
	return err_set(reterr, -EINVAL, "%s kind %u: unknown", end_side_noun(e), said->kind);
}

static bool end_kind_has_fd(uint32_t kind)
{
	return kind <= DECANT_END_SOCKET;
}

int end_init_recent(struct end *ret, const struct decant_end *said, enum end_side side,
		    struct recent *recent, struct err *reterr)
{
	struct end e = {
		.kind = said->kind, .side = side, .fd = -1, .io_fd = -1, .mem_fd = -1,
		.offset = said->offset, .size = END_SIZE_UNKNOWN, .nosignal = true,
	};
	int r;

	if (said->flags)
		return err_set(reterr, -EINVAL, "%s flags 0x%x: unknown", end_side_noun(&e),
			       said->flags);
	if (end_kind_has_fd(said->kind)) {
		if (said->fd < 0)
			return err_set(reterr, -EBADF, "%s: no descriptor was given",
				       end_side_noun(&e));
		e.fd = e.io_fd = said->fd;
	}
	r = end_init_kind(&e, said, recent, reterr);
	if (r < 0)
		return r;
	*ret = e;
	return 0;
}

int end_init(struct end *ret, const struct decant_end *said, enum end_side side, struct err *reterr)
{
	return end_init_recent(ret, said, side, NULL, reterr);
}
