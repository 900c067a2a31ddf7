/* SPDX-License-Identifier: MIT */
#include "process/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "sys/proc.h"
#include "sys/sys.h"

#define PROCFS_CHUNK 8192  /* seq files give a page at a time anyway */

int procfs_read(int dir_fd, const char *name, struct buf *ret)
{
	_cleanup_close_ int fd = sys_openat(dir_fd, name, O_RDONLY | O_CLOEXEC, 0);
	char chunk[PROCFS_CHUNK];
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = sys_read(fd, chunk, sizeof(chunk));
		if (n < 0)
			return (int)n;
		buf_append(ret, chunk, (size_t)n);
	} while (n > 0 && !ret->error);
	return ret->error;
}

/* ----------------------------------------------------------------- threads */

static int procfs_keep_tid(pid_t **tids, size_t *size, size_t n, pid_t tid)
{
	pid_t *p;

	if (n == *size) {
		p = sys_realloc(*tids, (*size ? 2 * *size : 64) * sizeof(*p));
		if (!p)
			return -ENOMEM;
		*tids = p;
		*size = *size ? 2 * *size : 64;
	}
	(*tids)[n] = tid;
	return 0;
}

/* Shell sort: in place, and fast on what is nearly sorted already. */
static void procfs_sort(pid_t *v, size_t n)
{
	size_t gap, i, j;

	for (gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) {
		for (i = gap; i < n; i++) {
			pid_t x = v[i];

			for (j = i; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static pid_t procfs_tid(const char *name)
{
	pid_t tid = 0;

	for (; *name >= '0' && *name <= '9' && tid < (1 << 26); name++)
		tid = tid * 10 + (*name - '0');
	return *name ? 0 : tid;
}

int procfs_tasks(int dir_fd, pid_t **ret, size_t *size)
{
	_cleanup_close_ int fd = sys_openat(dir_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	char chunk[PROCFS_CHUNK] __attribute__((aligned(8)));
	ssize_t len, at;
	size_t n = 0;
	int r = 0;

	if (fd < 0)
		return fd;
	while ((len = sys_getdents64(fd, chunk, sizeof(chunk))) > 0) {
		for (at = 0; at < len;) {
			struct dirent64 *d = (struct dirent64 *)(chunk + at);
			pid_t tid = procfs_tid(d->d_name);

			at += d->d_reclen;
			if (tid <= 0)
				continue;
			r = procfs_keep_tid(ret, size, n, tid);
			if (r < 0)
				return r;
			n++;
		}
	}
	if (len < 0)
		return (int)len;
	procfs_sort(*ret, n);
	return (int)n;
}

/* ---------------------------------------------------------- status, stat */

static int procfs_parse_file(int dir_fd, const char *name,
			     int (*parse)(const char *text, void *ret), void *ret)
{
	struct buf text = BUF_INIT;
	int r = procfs_read(dir_fd, name, &text);

	/* An empty one is that of a task that is just going. */
	if (r == 0)
		r = text.len ? parse(buf_str(&text), ret) : -ESRCH;
	buf_free(&text);
	return r;
}

static int procfs_to_status(const char *text, void *ret)
{
	return procfs_parse_status(text, ret);
}

static int procfs_to_stat(const char *text, void *ret)
{
	return procfs_parse_stat(text, ret);
}

int procfs_status(int dir_fd, struct proc_status *ret)
{
	return procfs_parse_file(dir_fd, "status", procfs_to_status, ret);
}

int procfs_stat(int dir_fd, struct proc_stat *ret)
{
	return procfs_parse_file(dir_fd, "stat", procfs_to_stat, ret);
}
