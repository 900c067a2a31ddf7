/* SPDX-License-Identifier: MIT */
#include "out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define OUT_FILE_TRIES 16

mode_t out_file_umask(void)
{
	mode_t mask = umask(077);

	(void)umask(mask);
	return mask;
}

/* ".NAME.decant-0123456789abcdef"; NAME is cut where the whole would be too long. */
static char *out_file_temp_name(const char *name)
{
	uint64_t random;
	char *temp;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return NULL;
	if (asprintf(&temp, ".%.200s.decant-%016llx", name, (unsigned long long)random) < 0)
		return NULL;
	return temp;
}

/* Nameless where the file system can, else under a temporary name. */
static int out_file_create(struct out_file *f, const char *dir, bool nameless_only,
			   struct err *reterr)
{
	f->fd = openat(f->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd >= 0) {
		/* It is linked through /proc; without that it could never get a name. */
		if (access("/proc/self/fd", X_OK) == 0)
			return 0;
		(void)close(take_fd(&f->fd));
		errno = EOPNOTSUPP;
	}
	if (nameless_only)
		return err_errno(reterr, -EOPNOTSUPP, "%s: no nameless file in %s", f->path, dir);
	for (int i = 0; i < OUT_FILE_TRIES; i++) {
		_cleanup_free_ char *temp = out_file_temp_name(f->name);

		if (!temp)
			return err_set(reterr, -ENOMEM, "%s: out of memory", f->path);
		f->fd = openat(f->dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			       0600);
		if (f->fd >= 0) {
			f->temp = take_ptr(temp);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return err_errno(reterr, -errno, "%s: no file can be created in %s", f->path, dir);
}

static int out_file_check(struct out_file *f, struct err *reterr)
{
	struct stat st;

	if (fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_errno(reterr, -errno, "%s", f->path);
	}
	if (!f->replace)
		return err_set(reterr, -EEXIST, "%s: the file exists", f->path);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EEXIST, "%s: it is no regular file any more", f->path);
	return 0;
}

int out_file_open(struct out_file *f, const char *path, bool replace, bool nameless_only,
		  struct err *reterr)
{
	_cleanup_free_ char *real = NULL, *dir = NULL;
	char *slash;
	int r;

	*f = (struct out_file)OUT_FILE_INIT;
	f->replace = replace;
	/* A link to a file: the file is replaced, the link stays. */
	if (replace)
		real = realpath(path, NULL);
	dir = strdup(real ? real : path);
	f->path = strdup(path);
	if (!dir || !f->path) {
		r = err_set(reterr, -ENOMEM, "%s: out of memory", path);
		goto fail;
	}
	slash = strrchr(dir, '/');
	f->name = strdup(slash ? slash + 1 : dir);
	if (!f->name) {
		r = err_set(reterr, -ENOMEM, "%s: out of memory", path);
		goto fail;
	}
	if (f->name[0] == '\0') {
		r = err_set(reterr, -EISDIR, "%s: a name must follow the last '/'", path);
		goto fail;
	}
	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	else
		(void)strcpy(dir, ".");
	f->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0) {
		r = err_errno(reterr, -errno, "%s: directory %s", path, dir);
		goto fail;
	}
	r = out_file_check(f, reterr);
	if (r < 0)
		goto fail;
	r = out_file_create(f, dir, nameless_only, reterr);
	if (r < 0)
		goto fail;
	return 0;
fail:
	out_file_deinit(f);
	return r;
}

/* Give the nameless file a name in the directory. */
static int out_file_link(struct out_file *f, const char *name)
{
	char proc[64];

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, proc, f->dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* rename() that replaces nothing, also where the file system cannot promise that. */
static int out_file_rename_new(struct out_file *f)
{
	if (renameat2(f->dir_fd, f->temp, f->dir_fd, f->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* link() fails where the name exists: as good, in two steps. */
	if (linkat(f->dir_fd, f->temp, f->dir_fd, f->name, 0) < 0)
		return -errno;
	(void)unlinkat(f->dir_fd, f->temp, 0);
	return 0;
}

static int out_file_name(struct out_file *f, const char *name, bool replace)
{
	int r;

	if (!f->temp && !replace)
		return out_file_link(f, name);
	if (!f->temp) {
		/* A link cannot replace; go by a temporary name for a moment. */
		f->temp = out_file_temp_name(name);
		if (!f->temp)
			return -ENOMEM;
		r = out_file_link(f, f->temp);
		if (r < 0) {
			free(f->temp);
			f->temp = NULL;
			return r;
		}
	}
	if (!replace)
		r = out_file_rename_new(f);
	else
		r = renameat(f->dir_fd, f->temp, f->dir_fd, name) < 0 ? -errno : 0;
	if (r == 0) {
		free(f->temp);
		f->temp = NULL;
	}
	return r;
}

/*
 * The file that is replaced hands its owner and bits on, as if it were written
 * in place.  Where its group may not be given, that group's rights are not
 * given to another one either.
 */
static void out_file_inherit(struct out_file *f, bool inherit, mode_t *mode)
{
	struct stat st;

	if (fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	if (inherit)
		*mode = st.st_mode & 0777;
	if (fchown(f->fd, st.st_uid, st.st_gid) < 0 && fchown(f->fd, (uid_t)-1, st.st_gid) < 0 &&
	    inherit)
		*mode &= ~(mode_t)070;
}

int out_file_commit(struct out_file *f, mode_t mode, bool inherit, bool sync,
		    struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (f->replace && !f->fresh)
		out_file_inherit(f, inherit, &mode);
	if (fchmod(f->fd, mode) < 0)
		return err_errno(reterr, -errno, "%s: its permissions", f->path);
	if (sync && fsync(f->fd) < 0)
		return err_errno(reterr, -errno, "%s: sync", f->path);
	r = out_file_name(f, f->name, f->replace);
	if (r < 0)
		return err_errno(reterr, r, "%s: naming the finished file", f->path);
	if (sync) {
		fd = openat(f->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			return err_errno(reterr, -errno, "%s: sync of its directory", f->path);
	}
	(void)close(take_fd(&f->fd));
	return 0;
}

int out_file_keep(struct out_file *f, mode_t mode, char **ret, struct err *reterr)
{
	_cleanup_free_ char *name = NULL, *path = NULL;
	int r;

	if (asprintf(&name, "%.240s.partial", f->name) < 0) {
		name = NULL;
		return err_set(reterr, -ENOMEM, "%s: out of memory", f->path);
	}
	if (asprintf(&path, "%s.partial", f->path) < 0) {
		path = NULL;
		return err_set(reterr, -ENOMEM, "%s: out of memory", f->path);
	}
	(void)fchmod(f->fd, mode);
	r = out_file_name(f, name, true);
	if (r < 0)
		return err_errno(reterr, r, "%s: keeping what arrived", path);
	(void)close(take_fd(&f->fd));
	*ret = take_ptr(path);
	return 0;
}

void out_file_deinit(struct out_file *f)
{
	if (f->temp)
		(void)unlinkat(f->dir_fd, f->temp, 0);
	if (f->fd >= 0)
		(void)close(f->fd);
	if (f->dir_fd >= 0)
		(void)close(f->dir_fd);
	free(f->name);
	free(f->temp);
	free(f->path);
	*f = (struct out_file)OUT_FILE_INIT;
}
