/* SPDX-License-Identifier: MIT */
#include "lib/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/pattern.h"

#define FS_BIG_MB 1024 /* sparse: costs what is written */
#define FS_XFS_MIN_MB 300 /* mkfs.xfs refuses less */
#define FS_LOOP_TRIES 50

const char *const fs_names[FS_KINDS] = { "tmpfs", "ext4", "xfs", "btrfs" };

static char fs_base[64];
static pid_t fs_owner;
static char *fs_dirs[FS_KINDS];

static void fs_stop(void)
{
	if (getpid() != fs_owner)
		return;
	umount2(fs_base, MNT_DETACH);
	rmdir(fs_base);
}

void fs_start(void)
{
	const char *tmp = getenv("TMPDIR");

	if (fs_base[0])
		return;
	if (geteuid() != 0)
		kit_die("needs root: it mounts file systems in a namespace of its own");
	snprintf(fs_base, sizeof(fs_base), "%.40s/decant-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(fs_base))
		kit_die("mkdtemp %s: %m", fs_base);
	fs_owner = getpid();
	atexit(fs_stop);
	kit_must(unshare(CLONE_NEWNS));
	kit_must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	kit_must(mount("decant", fs_base, "tmpfs", 0, "size=2g,mode=755"));
}

/* Attached to the first free device; others may race for it. */
static int fs_loop(int image, char *ret_path, size_t size)
{
	struct loop_config config = { .fd = (uint32_t)image };
	int control = kit_must(open("/dev/loop-control", O_RDWR | O_CLOEXEC));

	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	for (int i = 0; i < FS_LOOP_TRIES; i++) {
		int n = kit_must(ioctl(control, LOOP_CTL_GET_FREE)), fd;

		snprintf(ret_path, size, "/dev/loop%d", n);
		fd = kit_must(open(ret_path, O_RDWR | O_CLOEXEC));
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			close(control);
			return fd;
		}
		if (errno != EBUSY)
			kit_die("%s: %m", ret_path);
		close(fd);
		kit_sleep_ms(10);
	}
	kit_die("no free loop device in %d tries", FS_LOOP_TRIES);
}

static void fs_mount_image(enum fs_kind kind, uint64_t size_mb, const char *dir)
{
	static const char *const mkfs[FS_KINDS] = { NULL, "mkfs.ext4 -q -F", "mkfs.xfs -q -f",
						    "mkfs.btrfs -q -f" };
	const char *tmp = getenv("TMPDIR");
	int image = kit_must(open(tmp ? tmp : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	char dev[32];
	int loop;

	kit_must(ftruncate(image, (off_t)(size_mb << 20)));
	kit_sh("%s /proc/%d/fd/%d", mkfs[kind], (int)getpid(), image);
	loop = fs_loop(image, dev, sizeof(dev));
	kit_must(mount(dev, dir, fs_names[kind], 0, NULL));
	close(loop);
	close(image);
}

char *fs_small(enum fs_kind kind, uint64_t size_mb)
{
	static unsigned count;
	char *dir = NULL, options[48];

	fs_start();
	kit_must(asprintf(&dir, "%s/%s-%d-%u", fs_base, fs_names[kind], (int)getpid(),
			  count++));
	kit_must(mkdir(dir, 0755));
	if (kind == FS_XFS && size_mb < FS_XFS_MIN_MB)
		size_mb = FS_XFS_MIN_MB;
	if (kind == FS_TMPFS) {
		snprintf(options, sizeof(options), "size=%llum", (unsigned long long)size_mb);
		kit_must(mount("decant", dir, "tmpfs", 0, options));
	} else {
		fs_mount_image(kind, size_mb, dir);
	}
	return dir;
}

void fs_drop(char *dir)
{
	kit_must(umount2(dir, MNT_DETACH));
	rmdir(dir);
	free(dir);
}

const char *fs_dir(enum fs_kind kind)
{
	if (!fs_dirs[kind])
		fs_dirs[kind] = fs_small(kind, FS_BIG_MB);
	return fs_dirs[kind];
}

int fs_file(enum fs_kind kind, char **ret_path)
{
	static unsigned count;
	char *path = NULL;
	int fd;

	kit_must(asprintf(&path, "%s/file-%d-%u", fs_dir(kind), (int)getpid(),
			  __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED)));
	fd = kit_must(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
	if (ret_path) {
		*ret_path = path;
		return fd;
	}
	kit_must(unlink(path));
	free(path);
	return fd;
}

int fs_pattern_file(enum fs_kind kind, uint64_t len, char **ret_path)
{
	int fd = fs_file(kind, ret_path);

	pattern_write(fd, 0, len, PATTERN_OLD);
	return fd;
}

void fs_cold(int fd)
{
	kit_must(fdatasync(fd));
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
