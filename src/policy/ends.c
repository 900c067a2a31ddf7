/* SPDX-License-Identifier: MIT */
#include "policy/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "sys/proc.h"
#include "sys/sys.h"

/* All pipes of pipe(2) are on one device; its number + 1, once it is known. */
static _Atomic uint64_t end_pipefs;

static bool end_learn_pipefs(void)
{
	struct stat st;
	int fds[2], r = sys_pipe2(fds, O_CLOEXEC);

	if (r < 0)
		return false;
	r = sys_fstat(fds[0], &st);
	(void)sys_close(fds[0]);
	(void)sys_close(fds[1]);
	if (r >= 0)
		atomic_store_explicit(&end_pipefs, (uint64_t)st.st_dev + 1, memory_order_relaxed);
	return r >= 0;
}

/* fd -1: we have no copy. */
static bool end_is_fifo(int fd, const struct stat *st)
{
	struct statfs fs;

	if (!atomic_load_explicit(&end_pipefs, memory_order_relaxed) && !end_learn_pipefs())
		return fd >= 0 && (sys_fstatfs(fd, &fs) < 0 || fs.f_type != PIPEFS_MAGIC);
	return atomic_load_explicit(&end_pipefs, memory_order_relaxed) != (uint64_t)st->st_dev + 1;
}

static uint8_t end_kind(int fd, const struct stat *st)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return KIND_FILE;
	case S_IFIFO:
		return end_is_fifo(fd, st) ? KIND_FIFO : KIND_PIPE;
	case S_IFSOCK:
		return KIND_SOCKET;
	default:
		return KIND_OTHER;
	}
}

static uint64_t end_ino(const struct stat *st)
{
	return S_ISFIFO(st->st_mode) ? ((uint64_t)st->st_dev << 40) ^ (uint64_t)st->st_ino : 0;
}

int end_peek(pid_t tid, int fd, struct policy_end *ret, uint64_t *ret_ino)
{
	struct statx stx;
	struct stat st = { 0 };
	char path[48];
	int r;

	*ret = (struct policy_end){ .kind = KIND_BAD };
	*ret_ino = 0;
	if (fd < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	r = sys_statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &stx);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	st.st_mode = stx.stx_mode;
	st.st_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	st.st_ino = stx.stx_ino;
	ret->kind = end_kind(-1, &st);
	*ret_ino = end_ino(&st);
	return 0;
}

int end_look(int pidfd, int fd, struct policy_end *ret, uint64_t *ret_ino, int *ret_fd)
{
	_cleanup_close_ int ours = fd < 0 ? -EBADF : sys_pidfd_getfd(pidfd, fd, 0);
	struct policy_end e = { .kind = KIND_BAD };
	struct stat st;
	int flags, r;

	if (ret_ino)
		*ret_ino = 0;
	if (ret_fd)
		*ret_fd = -1;
	*ret = e;
	if (ours < 0)
		return ours == -EBADF && pidfd >= 0 ? 0 : ours;
	flags = sys_getfl(ours);
	if (flags < 0 || (flags & O_PATH))
		return flags < 0 ? flags : 0;
	r = sys_fstat(ours, &st);
	if (r < 0)
		return r;
	e.kind = end_kind(ours, &st);
	e.can_read = (flags & O_ACCMODE) != O_WRONLY;
	e.can_write = (flags & O_ACCMODE) != O_RDONLY;
	e.nonblock = flags & O_NONBLOCK;
	e.append = flags & O_APPEND;
	*ret = e;
	if (ret_ino)
		*ret_ino = end_ino(&st);
	if (ret_fd)
		*ret_fd = take_fd(&ours);
	return 0;
}

/* One bit of the key tells the ends apart; 0 is no key. */
static uint64_t spliced_key(uint64_t ino, bool write_end)
{
	return (ino << 1 | write_end) + 2;
}

void spliced_note(struct spliced *s, uint64_t ino, bool write_end)
{
	if (!ino || spliced_seen(s, ino, write_end))
		return;
	s->key[s->next++ % SPLICED_MAX] = spliced_key(ino, write_end);
}

bool spliced_seen(const struct spliced *s, uint64_t ino, bool write_end)
{
	uint64_t key = spliced_key(ino, write_end);

	for (size_t i = 0; ino && i < SPLICED_MAX && s->key[i]; i++)
		if (s->key[i] == key)
			return true;
	return false;
}
