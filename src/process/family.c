/* SPDX-License-Identifier: MIT */
#include "process/family.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "process/procfs.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define FAMILY_CHUNK 16384

struct family_one {
	pid_t pid, parent;
	bool in;
};

struct family {
	struct family_one *v;
	size_t n, size;
};

static int family_add(struct family *f, pid_t pid)
{
	char path[32];
	struct proc_stat stat;
	_cleanup_close_ int fd = -1;
	void *v;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0 || procfs_stat(fd, &stat) < 0)
		return 0; /* gone */
	/* A leader that ended before its threads is no zombie for us, but shows as one. */
	if (stat.state == 'X')
		return 0;
	if (f->n == f->size) {
		size_t more = f->size ? 2 * f->size : 256;

		v = sys_realloc(f->v, more * sizeof(*f->v));
		if (!v)
			return -ENOMEM;
		f->v = v;
		f->size = more;
	}
	f->v[f->n++] = (struct family_one){ pid, stat.ppid, false };
	return 0;
}

static int family_read(struct family *f)
{
	char chunk[FAMILY_CHUNK] __attribute__((aligned(8)));
	_cleanup_close_ int fd = sys_open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	ssize_t len = fd, at;
	int r = fd < 0 ? fd : 0;

	while (r >= 0 && (len = sys_getdents64(fd, chunk, sizeof(chunk))) > 0) {
		for (at = 0; at < len && r >= 0;) {
			struct dirent64 *d = (struct dirent64 *)(chunk + at);
			uint64_t pid = 0;
			struct err err;

			at += d->d_reclen;
			if (d->d_name[0] >= '1' && d->d_name[0] <= '9' &&
			    parse_u64(d->d_name, 1, INT32_MAX, &pid, &err) == 0)
				r = family_add(f, (pid_t)pid);
		}
	}
	return r < 0 ? r : len < 0 ? (int)len : 0;
}

static int family_put(pid_t **ret, size_t *size, size_t n, pid_t pid)
{
	size_t more = *size ? 2 * *size : 64;
	void *v;

	if (n >= *size) {
		v = sys_realloc(*ret, more * sizeof(**ret));
		if (!v)
			return -ENOMEM;
		*ret = v;
		*size = more;
	}
	(*ret)[n] = pid;
	return 0;
}

int family_list(pid_t root, pid_t **ret, size_t *size)
{
	struct family f = { .v = NULL };
	size_t n = 0;
	int r = family_read(&f);

	for (size_t i = 0; i < f.n && r >= 0; i++) {
		if (f.v[i].pid != root)
			continue;
		f.v[i].in = true;
		r = family_put(ret, size, n++, root);
	}
	/* One generation after the other. */
	for (size_t k = 0; k < n && r >= 0; k++) {
		for (size_t i = 0; i < f.n && r >= 0; i++) {
			if (f.v[i].in || f.v[i].parent != (*ret)[k])
				continue;
			f.v[i].in = true;
			r = family_put(ret, size, n++, f.v[i].pid);
		}
	}
	free(f.v);
	return r < 0 ? r : (int)n;
}
