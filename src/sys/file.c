/* SPDX-License-Identifier: MIT */
#include <linux/fs.h> /* before the libc's, which guard against its names */
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sys/sys.h"
#include "sys/wrap.h"

/* ------------------------------------------------------------------ names */

int sys_open(const char *path, int flags, mode_t mode)
{
	return WRAP_RETRY("open", open(path, flags, mode));
}

int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	return WRAP_RETRY("openat", openat(dir_fd, path, flags, mode));
}

int sys_openat2(int dir_fd, const char *path, const struct open_how *how, size_t size)
{
	return WRAP_RETRY("openat2", (int)syscall(SYS_openat2, dir_fd, path, how, size));
}

int sys_close(int fd)
{
	int r;

	if (fd < 0)
		return -EBADF;
	r = WRAP_AFTER("close", close(fd));
	return r == -EINTR ? 0 : r;
}

int sys_unlink(const char *path)
{
	return WRAP_RETRY("unlink", unlink(path));
}

int sys_rename(const char *from, const char *to)
{
	return WRAP_RETRY("rename", rename(from, to));
}

int sys_mkdir(const char *path, mode_t mode)
{
	return WRAP_RETRY("mkdir", mkdir(path, mode));
}

ssize_t sys_readlink(const char *path, char *buf, size_t size)
{
	ssize_t n = WRAP_RETRY("readlink", readlink(path, buf, size));

	if (n < 0)
		return n;
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	return n;
}

/* ------------------------------------------------------------- attributes */

/* glibc's goes by newfstatat(fd, ""), which has a path to look at. */
int sys_fstat(int fd, struct stat *ret)
{
#if defined(SYS_fstat) && __WORDSIZE == 64
	return WRAP_RETRY("fstat", (int)syscall(SYS_fstat, fd, ret));
#else
	return WRAP_RETRY("fstat", fstat(fd, ret));
#endif
}

int sys_stat(const char *path, struct stat *ret)
{
	return WRAP_RETRY("stat", stat(path, ret));
}

int sys_statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *ret)
{
	return WRAP_RETRY("statx", statx(dir_fd, path, flags, mask, ret));
}

int sys_statfs(const char *path, struct statfs *ret)
{
	return WRAP_RETRY("statfs", statfs(path, ret));
}

int sys_fstatfs(int fd, struct statfs *ret)
{
	return WRAP_RETRY("fstatfs", fstatfs(fd, ret));
}

/* ---------------------------------------------------------------- content */

int sys_ftruncate(int fd, uint64_t len)
{
	return WRAP_RETRY("ftruncate", ftruncate(fd, (off_t)len));
}

int sys_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
	return WRAP_RETRY("fallocate", fallocate(fd, mode, (off_t)off, (off_t)len));
}

int sys_fsync(int fd)
{
	return WRAP_RETRY("fsync", fsync(fd));
}

int sys_fdatasync(int fd)
{
	return WRAP_RETRY("fdatasync", fdatasync(fd));
}

int64_t sys_lseek(int fd, int64_t off, int whence)
{
	return WRAP_RETRY("lseek", (int64_t)lseek(fd, (off_t)off, whence));
}

int sys_posix_fadvise(int fd, uint64_t off, uint64_t len, int advice)
{
	int r = sys_fault("posix_fadvise");

	/* Returns a positive errno and leaves errno alone. */
	return r < 0 ? r : -posix_fadvise(fd, (off_t)off, (off_t)len, advice);
}

int sys_ficlone(int to_fd, int from_fd)
{
	return WRAP_RETRY("ficlone", ioctl(to_fd, FICLONE, from_fd));
}

int sys_ficlonerange(int to_fd, int from_fd, uint64_t from_off, uint64_t len, uint64_t to_off)
{
	struct file_clone_range range = {
		.src_fd = from_fd,
		.src_offset = from_off,
		.src_length = len,
		.dest_offset = to_off,
	};

	return WRAP_RETRY("ficlonerange", ioctl(to_fd, FICLONERANGE, &range));
}

int sys_blkgetsize64(int fd, uint64_t *ret)
{
	return WRAP_RETRY("blkgetsize64", ioctl(fd, BLKGETSIZE64, ret));
}

int sys_memfd_create(const char *name, unsigned flags)
{
	return WRAP_RETRY("memfd_create", memfd_create(name, flags));
}
