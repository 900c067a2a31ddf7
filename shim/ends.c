/* SPDX-License-Identifier: MIT */
/* What the descriptors of a call are. */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "raw.h"
#include "shim.h"

#define ENDS_SPLICED 64

/* Pipe ends; overwritten in a ring.  0: none. */
static uint64_t ends_spliced[ENDS_SPLICED];
static uint32_t ends_next;

/* Not the inode 0 of any pipe: both ends have a key of their own. */
static uint64_t ends_key(const struct shim_end *e, bool write_end)
{
	return (e->ino << 1 | write_end) + 2;
}

static bool ends_is_spliced(const struct shim_end *e, bool write_end)
{
	uint64_t key = ends_key(e, write_end);

	for (unsigned i = 0; i < ENDS_SPLICED; i++)
		if (__atomic_load_n(&ends_spliced[i], __ATOMIC_RELAXED) == key)
			return true;
	return false;
}

void shim_spliced(const struct shim_end *e, bool write_end)
{
	uint32_t i;

	if ((e->end.kind != KIND_PIPE && e->end.kind != KIND_FIFO) || ends_is_spliced(e, write_end))
		return;
	i = __atomic_fetch_add(&ends_next, 1, __ATOMIC_RELAXED) % ENDS_SPLICED;
	__atomic_store_n(&ends_spliced[i], ends_key(e, write_end), __ATOMIC_RELAXED);
}

/* What procfs makes up when it is read has no pages that could be lent. */
static bool ends_is_made_up(int fd, const struct stat *st)
{
	struct statfs fs;

	return st->st_size == 0 && S_ISREG(st->st_mode) && raw2(SYS_fstatfs, fd, &fs) == 0 &&
	       fs.f_type == PROC_SUPER_MAGIC;
}

static void ends_pipe(struct shim_end *e, int fd, const struct stat *st)
{
	long flags;

	e->end.kind = st->st_dev == shim.pipe_dev ? KIND_PIPE : KIND_FIFO;
	e->ino = (uint64_t)st->st_dev << 40 ^ st->st_ino;
	flags = raw3(SYS_fcntl, fd, F_GETFL, 0);
	if (flags < 0)
		return;
	e->end.can_read = (flags & O_ACCMODE) != O_WRONLY;
	e->end.can_write = (flags & O_ACCMODE) != O_RDONLY;
	e->end.nonblock = flags & O_NONBLOCK;
	e->end.spliced = ends_is_spliced(e, e->end.can_write);
}

void shim_look(int fd, struct shim_end *ret)
{
	struct shim_end e = { .end.kind = KIND_BAD };
	struct stat st;

	if (fd >= 0 && raw2(SYS_fstat, fd, &st) == 0) {
		switch (st.st_mode & S_IFMT) {
		case S_IFREG:
		case S_IFBLK:
			e.end.kind = ends_is_made_up(fd, &st) ? KIND_OTHER : KIND_FILE;
			e.size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
			break;
		case S_IFIFO:
			ends_pipe(&e, fd, &st);
			break;
		case S_IFSOCK:
			e.end.kind = KIND_SOCKET;
			break;
		default:
			e.end.kind = KIND_OTHER;
			break;
		}
	}
	*ret = e;
}

void shim_look_socket(int fd, struct shim_end *ret)
{
	struct shim_end e = { .end = { .kind = KIND_SOCKET, .can_read = true, .can_write = true } };
	socklen_t len = sizeof(int);
	int type;

	if (raw(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&type, (long)&len, 0) < 0) {
		shim_look(fd, ret);
		return;
	}
	e.stream = type == SOCK_STREAM;
	*ret = e;
}
