/* SPDX-License-Identifier: MIT */
/* May a fork of this process be made?  Not where somebody is told of it, and waited for. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process/shadow.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define MAY_CHUNK 8192
#define MAY_EVENT_FORK (1u << 1) /* UFFD_FEATURE_EVENT_FORK */

bool shadow_parse_uffd(const char *text)
{
	/* "API:	aa:80000002:...": the version, what is switched on, what there is */
	const char *line = strstr(text, "\nAPI:"), *at = line ? strchr(line + 5, ':') : NULL;

	return at && strtoul(at + 1, NULL, 16) & MAY_EVENT_FORK;
}

/* 1: it is a userfaultfd, 2: and wants to know of forks, 0: neither. */
static int may_descriptor(int fd_fd, int fdinfo_fd, const char *name)
{
	struct buf text = BUF_INIT;
	char link[64];
	int r = 1;

	if (sys_readlinkat(fd_fd, name, link, sizeof(link)) <= 0 ||
	    strcmp(link, "anon_inode:[userfaultfd]") != 0)
		return 0;
	if (procfs_read(fdinfo_fd, name, &text) == 0 && shadow_parse_uffd(buf_str(&text)))
		r = 2;
	buf_free(&text);
	return r;
}

/* The most that one of its descriptors says. */
static int may_descriptors(const struct target *t)
{
	_cleanup_close_ int fd_fd = target_file(t, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_close_ int fdinfo_fd = target_file(t, "fdinfo", O_RDONLY | O_DIRECTORY);
	char chunk[MAY_CHUNK] __attribute__((aligned(8)));
	int most = 0, r;
	ssize_t len, at;

	if (fd_fd < 0 || fdinfo_fd < 0)
		return fd_fd < 0 ? fd_fd : fdinfo_fd;
	while ((len = sys_getdents64(fd_fd, chunk, sizeof(chunk))) > 0)
		for (at = 0; at < len; at += ((struct dirent64 *)(chunk + at))->d_reclen) {
			r = may_descriptor(fd_fd, fdinfo_fd,
					   ((struct dirent64 *)(chunk + at))->d_name);
			most = r > most ? r : most;
		}
	return len < 0 ? (int)len : most;
}

int shadow_may(const struct target *t, const struct maps *m, struct err *reterr)
{
	size_t i;
	int r;

	for (i = 0; i < m->n && !(m->v[i].flags & VMA_UFFD); i++)
		;
	if (i == m->n)
		return 0;
	r = may_descriptors(t);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: its descriptors", t->pid);
	if (r == 1)
		return 0;
	return err_set(reterr, -ENOTSUP, r == 2 ?
		       "PID %d: its userfaultfd would be told of a fork, and the fork wait for it" :
		       "PID %d: memory is under a userfaultfd of another process, which might be "
		       "told of a fork", t->pid);
}
