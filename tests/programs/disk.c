/* SPDX-License-Identifier: MIT */
/*
 * A file system with a disk that breaks, for whoever reads files: FUSE, in the
 * foreground.  Not a store: byte i of every file is disk_byte(i).
 *
 *	program-disk [FUSE OPTIONS] DIRECTORY
 *
 *	good        1 MiB, as it should be
 *	eio         cannot be read from byte 300000 on
 *	dead        cannot be read at all
 *	stall-N     any number of them; reads from byte 131072 on wait while $DISK_STALL is there
 *	short       reads that meet byte 200000 end there
 *	shrink      says that it has 1 MiB; has 400000 bytes
 *
 * DISK_DIRECT: past the page cache, so that each read comes here as it is.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES 1048576
#define DISK_STALLS 64

static const char *const disk_names[] = { "/good", "/eio", "/dead", "/short", "/shrink" };

static unsigned char disk_byte(off_t i)
{
	return (unsigned char)(i ^ i >> 8 ^ i >> 16);
}

static bool disk_is_stall(const char *path)
{
	return strncmp(path, "/stall-", 7) == 0 && atoi(path + 7) < DISK_STALLS;
}

static bool disk_has(const char *path)
{
	for (size_t i = 0; i < sizeof(disk_names) / sizeof(disk_names[0]); i++)
		if (strcmp(path, disk_names[i]) == 0)
			return true;
	return disk_is_stall(path);
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
	(void)info;
	memset(st, 0, sizeof(*st));
	st->st_nlink = 1;
	/* Quiet for long: what may be kept of such a file is. */
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = 1000000000;
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0755;
		return 0;
	}
	if (!disk_has(path))
		return -ENOENT;
	st->st_mode = S_IFREG | 0444;
	st->st_size = DISK_BYTES;
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *info)
{
	if (!disk_has(path))
		return -ENOENT;
	info->direct_io = getenv("DISK_DIRECT") != NULL;
	return 0;
}

static off_t disk_end(const char *path, off_t at)
{
	if (strcmp(path, "/shrink") == 0)
		return 400000;
	return strcmp(path, "/short") == 0 && at < 200000 ? 200000 : DISK_BYTES;
}

static int disk_read(const char *path, char *buf, size_t len, off_t at, struct fuse_file_info *info)
{
	off_t end = disk_end(path, at);

	(void)info;
	if (strcmp(path, "/dead") == 0 || (strcmp(path, "/eio") == 0 && at + (off_t)len > 300000))
		return -EIO;
	while (disk_is_stall(path) && at + (off_t)len > 131072 && getenv("DISK_STALL") &&
	       access(getenv("DISK_STALL"), F_OK) == 0 && !fuse_interrupted())
		(void)usleep(20000);
	if (at >= end)
		return 0;
	if (at + (off_t)len > end)
		len = (size_t)(end - at);
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)disk_byte(at + (off_t)i);
	return (int)len;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations disk = {
		.getattr = disk_getattr, .open = disk_open, .read = disk_read,
	};

	return fuse_main(argc, argv, &disk, NULL);
}
