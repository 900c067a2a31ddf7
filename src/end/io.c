/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "end/private.h"
#include "sys/sys.h"
#include "uapi/rwf.h"

/* One call of the kernel moves less than this anyway (MAX_RW_COUNT). */
#define END_IO_MAX_BYTES (1u << 30)
/* All that a terminal promises by POLLOUT; for one that cannot be opened anew. */
#define END_TERMINAL_PIECE_BYTES 1

uint64_t end_size_now(const struct end *e)
{
	struct stat st;
	uint64_t size;

	if (e->kind == DECANT_END_MEMORY)
		return e->size;
	if (e->kind != DECANT_END_FILE || sys_fstat(e->fd, &st) < 0)
		return END_SIZE_UNKNOWN;
	if (S_ISREG(st.st_mode))
		return (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && sys_blkgetsize64(e->fd, &size) == 0)
		return size;
	return END_SIZE_UNKNOWN;
}

uint64_t end_size(struct end *e)
{
	uint64_t size;

	if (e->size != END_SIZE_UNKNOWN)
		return e->size;
	size = end_size_now(e);
	if (size == 0 && e->side == END_SOURCE && e->kind == DECANT_END_FILE)
		return END_SIZE_UNKNOWN;
	e->size = size;
	return size;
}

/* The descriptor is ready, so that a call on it will not wait. */
static int end_poll(const struct end *e, short events)
{
	struct pollfd pfd = { .fd = e->io_fd, .events = events };
	int r = sys_poll(&pfd, 1, 0);

	if (r < 0)
		return r == -EINTR ? -EAGAIN : r;
	if (r == 0)
		return -EAGAIN;
	return pfd.revents & POLLNVAL ? -EBADF : 0;
}

static int64_t end_read_process(struct end *e, uint64_t pos, void *buf, uint64_t len)
{
	uint64_t addr;

	if (__builtin_add_overflow(e->offset, pos, &addr))
		return -EFAULT;
	return end_copy(e, buf, addr, len);
}

/*
 * A descriptor that was opened with O_DIRECT refuses most places and lengths
 * with -EINVAL.  Ends that were not learned find that out here, once.
 */
static bool end_undirect(struct end *e)
{
	int fl, fd;

	if (e->io_fd != e->fd)
		return false;
	fl = sys_getfl(e->fd);
	if (fl < 0 || !(fl & O_DIRECT))
		return false;
	e->direct_fd = true;
	fd = end_reopen(e->fd, (e->side == END_SOURCE ? O_RDONLY : O_WRONLY) | (fl & O_APPEND));
	if (fd < 0)
		return false;
	e->io_fd = fd;
	return true;
}

int64_t end_kept(const struct end *e, uint64_t pos, int64_t n)
{
	uint64_t at = e->offset + pos, size;
	unsigned char byte;

	if (n <= 0 || e->immutable || e->block_device)
		return n;
	size = end_size_now(e);
	if (size == END_SIZE_UNKNOWN || (size >= at && size - at >= (uint64_t)n))
		return n;
	/* A file of /proc has the size 0 and gives bytes all the same. */
	if (size == 0 && sys_pread(e->io_fd, &byte, 1, at) > 0)
		return n;
	return size > at ? (int64_t)(size - at) : 0;
}

static int64_t end_read_file(struct end *e, uint64_t pos, void *buf, uint64_t len)
{
	uint64_t at;
	int64_t n;

	if (__builtin_add_overflow(e->offset, pos, &at) || at > INT64_MAX)
		return 0;
	n = sys_pread(e->io_fd, buf, len, at);
	if (n == -EINVAL && end_undirect(e))
		n = sys_pread(e->io_fd, buf, len, at);
	return end_kept(e, pos, n);
}

static int64_t end_read_pipe(struct end *e, void *buf, uint64_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	int64_t n;
	int r;

	if (e->nowait) {
		n = sys_preadv2(e->io_fd, &iov, 1, UINT64_MAX, RWF_NOWAIT);
		if (n != -EOPNOTSUPP)
			return n;
		/* A FIFO: the kernel knows RWF_NOWAIT on pipe(2)'s pipes only. */
		e->nowait = e->nonblock = false;
		e->poll_first = true;
	}
	if (e->poll_first) {
		r = end_poll(e, POLLIN);
		if (r < 0)
			return r;
	}
	return sys_read(e->io_fd, buf, len);
}

int64_t end_read(struct end *e, uint64_t pos, void *buf, uint64_t len)
{
	int r;

	if (len > END_IO_MAX_BYTES)
		len = END_IO_MAX_BYTES;
	switch (e->kind) {
	case DECANT_END_FILE:
		return end_read_file(e, pos, buf, len);
	case DECANT_END_PIPE:
		return end_read_pipe(e, buf, len);
	case DECANT_END_SOCKET:
		return sys_recv(e->io_fd, buf, len, MSG_DONTWAIT);
	case DECANT_END_MEMORY:
		len = end_memory_left(e, pos, len);
		return len ? end_copy(e, buf, (uintptr_t)e->addr + pos, len) : 0;
	case DECANT_END_PROCESS:
		return len ? end_read_process(e, pos, buf, len) : 0;
	case DECANT_END_ZERO:
		memset(buf, 0, len);
		return (int64_t)len;
	case DECANT_END_FD:
		r = e->poll_first ? end_poll(e, POLLIN) : 0;
		return r < 0 ? r : sys_read(e->io_fd, buf, len);
	case DECANT_END_NULL:
		break;
	}
	return -EBADF;
}

static int64_t end_write_file(struct end *e, uint64_t pos, const void *buf, uint64_t len)
{
	uint64_t at;
	int64_t n;

	if (e->append) {
		n = sys_write(e->io_fd, buf, len);
		if (n == -EINVAL && end_undirect(e))
			n = sys_write(e->io_fd, buf, len);
		return n;
	}
	if (__builtin_add_overflow(e->offset, pos, &at) || at > INT64_MAX)
		return -EFBIG;
	n = sys_pwrite(e->io_fd, buf, len, at);
	if (n == -EINVAL && end_undirect(e))
		n = sys_pwrite(e->io_fd, buf, len, at);
	return n;
}

/*
 * write(2) that raises no SIGPIPE.  RWF_NOSIGNAL (Linux 6.18) says so to the
 * kernel and costs nothing; else the signal is held back around the write and
 * thrown away if we caused it: two system calls more, four after -EPIPE.
 */
static int64_t end_write_quiet(struct end *e, const void *buf, uint64_t len, int rwf)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct sys_sigpipe saved;
	int64_t n;
	int r;

	if (e->nosignal) {
		n = sys_pwritev2(e->io_fd, &iov, 1, UINT64_MAX, rwf | RWF_NOSIGNAL);
		if (n != -EOPNOTSUPP)
			return n;
		/* Which of the two flags it was, the next call tells. */
		e->nosignal = false;
	}
	r = sys_sigpipe_block(&saved);
	if (r < 0)
		return r;
	n = rwf ? sys_pwritev2(e->io_fd, &iov, 1, UINT64_MAX, rwf) : sys_write(e->io_fd, buf, len);
	sys_sigpipe_restore(&saved);
	return n;
}

static int64_t end_write_pipe(struct end *e, const void *buf, uint64_t len)
{
	int64_t n;
	int r;

	if (e->nowait) {
		n = end_write_quiet(e, buf, len, RWF_NOWAIT);
		if (n != -EOPNOTSUPP)
			return n;
		e->nowait = e->nonblock = false;
		e->poll_first = true;
	}
	if (e->poll_first) {
		r = end_poll(e, POLLOUT);
		if (r < 0)
			return r;
		/* POLLOUT promises room for this much, not for more. */
		if (len > PIPE_BUF)
			len = PIPE_BUF;
	}
	return end_write_quiet(e, buf, len, 0);
}

static int64_t end_write_fd(struct end *e, const void *buf, uint64_t len)
{
	int r;

	if (e->poll_first) {
		r = end_poll(e, POLLOUT);
		if (r < 0)
			return r;
		if (e->terminal && len > END_TERMINAL_PIECE_BYTES)
			len = END_TERMINAL_PIECE_BYTES;
	}
	return sys_write(e->io_fd, buf, len);
}

int64_t end_write(struct end *e, uint64_t pos, const void *buf, uint64_t len, bool more)
{
	if (len > END_IO_MAX_BYTES)
		len = END_IO_MAX_BYTES;
	switch (e->kind) {
	case DECANT_END_FILE:
		return end_write_file(e, pos, buf, len);
	case DECANT_END_PIPE:
		return end_write_pipe(e, buf, len);
	case DECANT_END_SOCKET:
		return sys_send(e->io_fd, buf, len,
				MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	case DECANT_END_MEMORY:
		if (len == 0)
			return 0;
		len = end_memory_left(e, pos, len);
		return len ? end_copy(e, e->addr + pos, (uintptr_t)buf, len) : -ENOSPC;
	case DECANT_END_NULL:
		return (int64_t)len;
	case DECANT_END_FD:
		return end_write_fd(e, buf, len);
	case DECANT_END_PROCESS:
	case DECANT_END_ZERO:
		break;
	}
	return -EBADF;
}
