/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/cost.h"
#include "sys/sys.h"

/* An absolute path from the environment, or NULL. */
static const char *cost_environment(const char *name)
{
	const char *dir = secure_getenv(name);

	return dir && dir[0] == '/' ? dir : NULL;
}

int cost_path(char ret[COST_PATH_MAX], struct err *reterr)
{
	const char *cache = cost_environment("XDG_CACHE_HOME");
	const char *home = cost_environment("HOME");
	int n;

	if (!cache && !home)
		return err_set(reterr, -ENOENT,
			       "cost file: neither XDG_CACHE_HOME nor HOME is a directory's path");
	n = snprintf(ret, COST_PATH_MAX, "%s%s/decant/cost", cache ? cache : home,
		     cache ? "" : "/.cache");
	if (n >= COST_PATH_MAX)
		return err_set(reterr, -ENAMETOOLONG, "cost file: its path is too long");
	return 0;
}

/* Everything, but no more than is allowed and one byte, which then is refused. */
static int64_t cost_read_all(int fd, char *buf, size_t size)
{
	size_t got = 0;
	ssize_t n = 1;

	while (n > 0 && got < size) {
		n = sys_read(fd, buf + got, size - got);
		if (n < 0)
			return n;
		got += (size_t)n;
	}
	return (int64_t)got;
}

int cost_load(struct cost_table *t, const char *path, struct err *ret_note, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int64_t n;

	/* Not to be held up by what somebody put there instead of a file. */
	fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return err_errno(reterr, fd, "cost file %s", path);
	n = sys_fstat(fd, &st);
	if (n < 0)
		return err_errno(reterr, (int)n, "cost file %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "cost file %s: not a regular file", path);
	text = sys_malloc(COST_FILE_MAX_BYTES + 1);
	if (!text)
		return err_set(reterr, -ENOMEM, "cost file: no memory");
	n = cost_read_all(fd, text, COST_FILE_MAX_BYTES + 1);
	if (n < 0)
		return err_errno(reterr, (int)n, "cost file %s", path);
	return cost_parse(t, text, (size_t)n, ret_note, reterr);
}

/* The directories of path, which is changed and put back; all may exist. */
static int cost_make_dirs(char *path)
{
	char *slash;
	int r;

	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = sys_mkdir(path, 0700);
		*slash = '/';
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}

static int cost_write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n) {
		n = sys_write(fd, text, len);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
	}
	return sys_fsync(fd);
}

int cost_save(const struct cost_table *t, const char *path, struct err *reterr)
{
	char real[COST_PATH_MAX], temp[COST_PATH_MAX + 32];
	struct buf text = BUF_INIT;
	int fd, r;

	if (strlen(path) >= sizeof(real))
		return err_set(reterr, -ENAMETOOLONG, "cost file: its path is too long");
	memcpy(real, path, strlen(path) + 1);
	r = cost_make_dirs(real);
	if (r < 0)
		return err_errno(reterr, r, "cost file %s: its directory", path);
	snprintf(temp, sizeof(temp), "%s.new-%d", path, (int)getpid());
	(void)sys_unlink(temp);
	fd = sys_open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(reterr, fd, "cost file %s", temp);
	cost_format(t, &text);
	r = text.error ? text.error : cost_write_all(fd, buf_str(&text), text.len);
	buf_free(&text);
	(void)sys_close(fd);
	if (r == 0)
		r = sys_rename(temp, path);
	if (r < 0) {
		(void)sys_unlink(temp);
		return err_errno(reterr, r, "cost file %s", path);
	}
	return 0;
}
