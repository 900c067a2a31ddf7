/* SPDX-License-Identifier: MIT */
/* The link to the directory that PARENT pages are in. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "dump/dir_private.h"
#include "sys/name.h"
#include "sys/proc.h"
#include "sys/sys.h"

static bool parent_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The path of an open directory, as the kernel has it. */
static int parent_path(int fd, char *ret, size_t size)
{
	char proc[32];
	ssize_t n;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = sys_readlink(proc, ret, size);
	if (n < 0)
		return (int)n;
	return ret[0] == '/' ? 0 : -ENOENT;
}

/* From directory `from` to directory `to`, both absolute: as many ../ as it takes. */
static int parent_relative(const char *from, const char *to, char *ret, size_t size)
{
	size_t same = 0, len = 0;

	for (size_t i = 0; from[i] == to[i]; i++) {
		if (from[i] == '/')
			same = i;
		if (!from[i])
			return -EINVAL;
	}
	/* One may be the other's beginning: /a and /a/b. */
	if (strncmp(from, to, strlen(from)) == 0 && to[strlen(from)] == '/')
		same = strlen(from);
	else if (strncmp(to, from, strlen(to)) == 0 && from[strlen(to)] == '/')
		same = strlen(to);
	for (const char *p = from + same; (p = strchr(p, '/')); p++) {
		if (len + 3 >= size)
			return -ENAMETOOLONG;
		memcpy(ret + len, "../", 3);
		len += 3;
	}
	to += same + (to[same] == '/');
	if (len + strlen(to) + 2 > size)
		return -ENAMETOOLONG;
	memcpy(ret + len, to, strlen(to) + 1);
	len += strlen(to);
	while (len > 1 && ret[len - 1] == '/')
		ret[--len] = '\0';
	return len ? 0 : -EINVAL;
}

static bool parent_leads_to(int dir_fd, const char *text, const struct stat *want)
{
	_cleanup_close_ int fd = sys_openat(dir_fd, text, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	struct stat st;

	return fd >= 0 && sys_fstat(fd, &st) == 0 && parent_same(&st, want);
}

static int parent_put(struct dir *d, const char *text, struct err *e)
{
	char there[DIR_PATH_MAX];
	int r = sys_symlinkat(text, d->fd, NAMES_PARENT);

	d->linked = r == 0;
	if (r == -EEXIST && d->flags & DIR_SHARED &&
	    sys_readlinkat(d->fd, NAMES_PARENT, there, sizeof(there)) >= 0 &&
	    strcmp(there, text) == 0)
		return 0;
	return r < 0 ? err_errno(e, r, "%s/%s", d->path, NAMES_PARENT) : 0;
}

int dir_link(struct dir *d, const char *parent, struct err *reterr)
{
	char here[DIR_PATH_MAX], there[DIR_PATH_MAX], text[DIR_PATH_MAX];
	_cleanup_close_ int fd = -1;
	struct stat own, other;
	int r;

	fd = sys_open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(reterr, fd, "parent: %s", parent);
	if (sys_fstat(fd, &other) < 0 || sys_fstat(d->fd, &own) < 0)
		return err_set(reterr, -EIO, "parent: %s: cannot be looked at", parent);
	if (parent_same(&own, &other))
		return err_set(reterr, -EINVAL, "parent: %s is %s itself", parent, d->path);
	r = parent_path(fd, there, sizeof(there));
	if (r == 0)
		r = parent_path(d->fd, here, sizeof(here));
	if (r < 0)
		return err_errno(reterr, r, "parent: %s", parent);
	if (parent_relative(here, there, text, sizeof(text)) == 0 &&
	    parent_leads_to(d->fd, text, &other))
		return parent_put(d, text, reterr);
	if (!parent_leads_to(d->fd, there, &other))
		return err_set(reterr, -ENOENT, "parent: %s: no path leads there", parent);
	return parent_put(d, there, reterr);
}
