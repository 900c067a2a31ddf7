/* SPDX-License-Identifier: MIT */
#include "process/freezer.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/parse.h"
#include "process/procfs.h"
#include "sys/guard.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define FREEZER_STACK_BYTES (64u << 10)
#define FREEZER_DEPTH 16
#define FREEZER_CHUNK 4096

struct freezer {
	int dir_fd, freeze_fd, events_fd;
	bool frozen;
	struct sys_guard guard;
	pthread_t thread;
	bool guarded;
	void *stack;
};

/* ------------------------------------------------------------ which cgroup */

/* The version 2 path of a process, "/..."; -ENOENT. */
static int freezer_path(pid_t pid, char *ret, size_t size)
{
	char name[40];
	_cleanup_close_ int fd = -1;
	struct buf b = BUF_INIT;
	const char *at;
	int r;

	(void)snprintf(name, sizeof(name), "/proc/%d", (int)pid);
	fd = sys_open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	r = fd < 0 ? fd : procfs_read(fd, "cgroup", &b);
	at = r < 0 ? NULL : buf_str(&b);
	if (at && strncmp(at, "0::", 3) != 0 && (at = strstr(at, "\n0::")))
		at++;
	if (r >= 0 && !at)
		r = -ENOENT;
	if (r >= 0) {
		size_t len = strcspn(at += 3, "\n");

		if (len >= size || at[0] != '/' || strncmp(at, "/..", 3) == 0)
			r = -ENOENT;
		else
			(void)snprintf(ret, size, "%.*s", (int)len, at);
	}
	buf_free(&b);
	return r;
}

/* Where version 2 is mounted whole. */
static int freezer_mount(char *ret, size_t size)
{
	_cleanup_close_ int fd = sys_open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	struct buf b = BUF_INIT;
	char *save = NULL, root[PATH_MAX], where[PATH_MAX];
	int r = fd < 0 ? fd : procfs_read(fd, "mountinfo", &b);

	if (r >= 0)
		(void)buf_str(&b);
	r = r < 0 ? r : -ENOENT;
	for (char *l = r == -ENOENT && b.data ? strtok_r((char *)b.data, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save)) {
		if (!strstr(l, " - cgroup2 ") ||
		    sscanf(l, "%*s %*s %*s %4095s %4095s", root, where) != 2 ||
		    strcmp(root, "/") != 0 || strlen(where) >= size)
			continue;
		(void)snprintf(ret, size, "%s", where);
		r = 0;
		break;
	}
	buf_free(&b);
	return r;
}

/* Of those, or one that was born since they were listed, and descends from the first. */
static bool freezer_among(const pid_t *pids, size_t n, pid_t pid)
{
	struct proc_stat stat;
	char name[40];

	for (unsigned depth = 0; depth < FREEZER_DEPTH && pid > 1; depth++) {
		_cleanup_close_ int fd = -1;

		for (size_t i = 0; i < n; i++)
			if (pids[i] == pid)
				return true;
		(void)snprintf(name, sizeof(name), "/proc/%d", (int)pid);
		fd = sys_open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		if (fd < 0 || procfs_stat(fd, &stat) < 0)
			return depth == 0; /* it has ended, or who bore it has */
		pid = stat.ppid;
	}
	return false;
}

/* Has it, and have those below it, nobody else?  1; 0. */
static int freezer_only(int dir_fd, const pid_t *pids, size_t n, unsigned depth)
{
	char chunk[FREEZER_CHUNK] __attribute__((aligned(8)));
	_cleanup_close_ int list = sys_openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	struct buf b = BUF_INIT;
	char *save = NULL;
	int r = procfs_read(dir_fd, "cgroup.procs", &b), only = 1;
	ssize_t len;

	if (r >= 0)
		(void)buf_str(&b);
	for (char *w = r >= 0 && b.data ? strtok_r((char *)b.data, "\n", &save) : NULL; w && only;
	     w = strtok_r(NULL, "\n", &save))
		only = freezer_among(pids, n, (pid_t)strtoul(w, NULL, 10));
	buf_free(&b);
	if (r < 0 || list < 0 || depth == 0)
		return 0;
	while (only > 0 && (len = sys_getdents64(list, chunk, sizeof(chunk))) > 0) {
		for (ssize_t at = 0; at < len && only > 0;) {
			struct dirent64 *d = (struct dirent64 *)(chunk + at);
			_cleanup_close_ int fd = -1;

			at += d->d_reclen;
			if (d->d_type != DT_DIR || d->d_name[0] == '.')
				continue;
			fd = sys_openat(dir_fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
			only = fd >= 0 && freezer_only(fd, pids, n, depth - 1);
		}
	}
	return only;
}

static int freezer_find(struct freezer *f, const pid_t *pids, size_t n, struct err *e)
{
	char mount[PATH_MAX], path[PATH_MAX], other[PATH_MAX], all[2 * PATH_MAX];
	size_t len;
	int r = freezer_mount(mount, sizeof(mount));

	if (r >= 0)
		r = freezer_path(pids[0], path, sizeof(path));
	if (r < 0)
		return err_set(e, -ENOENT, "no cgroups of version 2");
	len = strlen(path);
	if (len <= 1)
		return err_set(e, -ENOENT, "not in a cgroup of its own");
	for (size_t i = 1; i < n; i++)
		if (freezer_path(pids[i], other, sizeof(other)) >= 0 &&
		    (strncmp(other, path, len) != 0 || (other[len] && other[len] != '/')))
			return err_set(e, -ENOENT, "process %d is in another cgroup", (int)pids[i]);
	(void)snprintf(all, sizeof(all), "%s%s", mount, path);
	f->dir_fd = sys_open(all, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (f->dir_fd < 0)
		return err_errno(e, f->dir_fd, "%s", path);
	return freezer_only(f->dir_fd, pids, n, FREEZER_DEPTH) ? 0 :
	       err_set(e, -ENOENT, "its cgroup has other processes, too");
}

/* -------------------------------------------------------------- the guard */

static void *freezer_guard(void *arg)
{
	struct freezer *f = arg;
	const uint64_t one = 1;
	int status;

	if (sys_vm_process(sys_guard, (char *)f->stack + FREEZER_STACK_BYTES, &f->guard,
			   &status) < 0)
		(void)sys_write(f->guard.ready_fd, &one, sizeof(one));
	return NULL;
}

/* Before anything is frozen: it waits for our end. */
static int freezer_watch(struct freezer *f)
{
	struct sys_guard *g = &f->guard;
	uint64_t n;
	int r;

	g->fd = f->freeze_fd;
	g->text = "0";
	g->len = 1;
	g->owner_fd = r = sys_pidfd_open(sys_getpid(), 0);
	if (r >= 0)
		g->ready_fd = r = sys_eventfd(0, EFD_CLOEXEC);
	if (r >= 0)
		g->done_fd = r = sys_eventfd(0, EFD_CLOEXEC);
	if (r >= 0)
		r = sys_mmap(&f->stack, NULL, FREEZER_STACK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (r >= 0)
		r = sys_thread_create(&f->thread, "decant-guard", freezer_guard, f);
	if (r < 0)
		return r;
	f->guarded = true;
	return sys_read(g->ready_fd, &n, sizeof(n)) == sizeof(n) ? 0 : -EIO;
}

static void freezer_unwatch(struct freezer *f)
{
	const uint64_t one = 1;

	if (f->guarded) {
		(void)sys_write(f->guard.done_fd, &one, sizeof(one));
		(void)sys_thread_join(f->thread);
	}
	f->guarded = false;
}

/* ------------------------------------------------------------ open, close */

int freezer_open(struct freezer **ret, const pid_t *pids, size_t n, struct err *reterr)
{
	struct freezer *f = sys_calloc(1, sizeof(*f));
	char now = '0';
	int r;

	if (!f)
		return err_set(reterr, -ENOMEM, "out of memory");
	f->dir_fd = f->freeze_fd = f->events_fd = -1;
	f->guard = (struct sys_guard){ .owner_fd = -1, .ready_fd = -1, .done_fd = -1, .fd = -1 };
	r = freezer_find(f, pids, n, reterr);
	if (r >= 0) {
		f->freeze_fd = sys_openat(f->dir_fd, "cgroup.freeze", O_RDWR | O_CLOEXEC, 0);
		f->events_fd = sys_openat(f->dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC, 0);
		r = f->freeze_fd < 0 ? f->freeze_fd : f->events_fd;
		if (r < 0)
			(void)err_errno(reterr, r, "its cgroup cannot be frozen");
	}
	if (r >= 0 && sys_pread(f->freeze_fd, &now, 1, 0) == 1 && now == '1')
		r = err_set(reterr, -EALREADY, "its cgroup is frozen already");
	if (r >= 0) {
		r = freezer_watch(f);
		if (r < 0)
			(void)err_errno(reterr, r, "nobody would thaw its cgroup");
	}
	if (r < 0) {
		freezer_close(f);
		return r;
	}
	*ret = f;
	return 0;
}

void freezer_close(struct freezer *f)
{
	if (!f)
		return;
	freezer_thaw(f);
	freezer_unwatch(f);
	const int fds[] = { f->dir_fd, f->freeze_fd, f->events_fd, f->guard.owner_fd,
			    f->guard.ready_fd, f->guard.done_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			(void)sys_close(fds[i]);
	if (f->stack)
		(void)sys_munmap(f->stack, FREEZER_STACK_BYTES);
	free(f);
}

/* ------------------------------------------------------------------ freeze */

static bool freezer_stands(const struct freezer *f)
{
	char text[256];
	ssize_t n = sys_pread(f->events_fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return strstr(text, "frozen 1");
}

int freezer_freeze(struct freezer *f, uint64_t timeout_ns, struct err *reterr)
{
	uint64_t until_ns = sys_clock_ns() + timeout_ns, now;
	ssize_t n;

	f->frozen = true;
	n = sys_pwrite(f->freeze_fd, "1", 1, 0);
	if (n < 0) {
		freezer_thaw(f);
		return err_errno(reterr, (int)n, "its cgroup cannot be frozen");
	}
	while (!freezer_stands(f)) {
		struct pollfd p = { .fd = f->events_fd, .events = POLLPRI };

		now = sys_clock_ns();
		if (now >= until_ns) {
			freezer_thaw(f);
			return err_set(reterr, -ETIMEDOUT, "its cgroup does not freeze in time");
		}
		(void)sys_poll_ns(&p, 1, until_ns - now);
	}
	return 0;
}

void freezer_thaw(struct freezer *f)
{
	if (!f->frozen)
		return;
	/* Again: a write that a signal broke off, or a fault. */
	for (unsigned i = 0; i < 10 && sys_pwrite(f->freeze_fd, "0", 1, 0) != 1; i++)
		;
	f->frozen = false;
}
