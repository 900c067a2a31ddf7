/* SPDX-License-Identifier: MIT */
#include "serve/names.h"

#include <errno.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#include "serve/path.h"
#include "sys/name.h"
#include "sys/sys.h"
#include "uapi/rwf.h"

#define NAMES_SLOTS 2048
#define NAMES_DIRS_MAX 128
/* A directory in which something happens all the time is not worth watching. */
#define NAMES_REST_NS 100000000ull
#define NAMES_SEEN_NS 10000000000ull
#define NAMES_EVENTS (IN_ATTRIB | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | \
		      IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct names_slot {
	struct name *name;   /* NULL: none */
	uint64_t seen_hash;  /* who was asked for and is not here */
	uint64_t seen_ns;
};

struct names {
	int dir_fd;          /* the server's */
	int inotify_fd, mounts_fd;
	int changes_fd;      /* an epoll of both: cheaper to ask than poll() */
	unsigned count, max;
	uint64_t rest_ns;    /* nothing is kept before */
	char *dirs[NAMES_DIRS_MAX]; /* that are watched; "": the served one */
	unsigned dirs_n;
	struct names_slot slots[NAMES_SLOTS];
};

/* ---------------------------------------------------------------- life */

static bool names_fs_tells(int dir_fd)
{
	struct statfs fs;

	return sys_fstatfs(dir_fd, &fs) == 0 &&
	       (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
		fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC);
}

static int names_watch_fd(const struct names *n, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events };

	return fd < 0 ? fd : sys_epoll_ctl(n->changes_fd, EPOLL_CTL_ADD, fd, &e);
}

int names_create(struct names **ret, int dir_fd, unsigned entries)
{
	struct names *n;

	*ret = NULL;
	if (entries == 0 || !names_fs_tells(dir_fd))
		return 0;
	n = sys_calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->dir_fd = dir_fd;
	n->max = entries < NAMES_SLOTS ? entries : NAMES_SLOTS;
	n->inotify_fd = sys_inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	n->mounts_fd = sys_open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0);
	n->changes_fd = sys_epoll_create1(EPOLL_CLOEXEC);
	if (names_watch_fd(n, n->inotify_fd, EPOLLIN) < 0 ||
	    names_watch_fd(n, n->mounts_fd, EPOLLPRI) < 0) {
		/* Then every file is opened each time. */
		names_destroy(n);
		return 0;
	}
	*ret = n;
	return 0;
}

void names_release(struct name *name)
{
	if (--name->users > 0)
		return;
	if (name->fd >= 0)
		(void)sys_close(name->fd);
	free(name);
}

static void names_forget(struct names *n, struct names_slot *slot)
{
	if (!slot->name)
		return;
	names_release(slot->name);
	slot->name = NULL;
	n->count--;
}

void names_drop(struct names *n)
{
	if (!n || n->count == 0)
		return;
	for (unsigned i = 0; i < NAMES_SLOTS; i++)
		names_forget(n, &n->slots[i]);
}

void names_destroy(struct names *n)
{
	if (!n)
		return;
	names_drop(n);
	for (unsigned i = 0; i < n->dirs_n; i++)
		free(n->dirs[i]);
	(void)sys_close(n->inotify_fd);
	(void)sys_close(n->mounts_fd);
	(void)sys_close(n->changes_fd);
	free(n);
}

unsigned names_count(const struct names *n)
{
	return n ? n->count : 0;
}

/* ------------------------------------------------------------- changes */

/* Everything begins anew, the watches too: they are of directories that may be elsewhere now. */
static void names_reset(struct names *n, uint64_t now_ns)
{
	int fd = sys_inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	names_drop(n);
	for (unsigned i = 0; i < n->dirs_n; i++)
		free(n->dirs[i]);
	n->dirs_n = 0;
	n->rest_ns = now_ns + NAMES_REST_NS;
	/* Which takes it out of changes_fd, too. */
	(void)sys_close(n->inotify_fd);
	n->inotify_fd = -1;
	if (names_watch_fd(n, fd, EPOLLIN) == 0)
		n->inotify_fd = fd;
	else
		(void)sys_close(fd);
}

void names_check(struct names *n, uint64_t now_ns)
{
	struct epoll_event e;

	/* Nothing is known that could be wrong. */
	if (!n || n->dirs_n == 0)
		return;
	if (sys_epoll_wait(n->changes_fd, &e, 1, 0) != 0)
		names_reset(n, now_ns);
}

/* ------------------------------------------------------------- opening */

static int names_open_strictly(const struct names *n, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return sys_openat2(n->dir_fd, *path ? path : ".", &how, sizeof(how));
}

static bool names_watch(struct names *n, const char *dir)
{
	char self[40], *copy;
	int fd, r;

	for (unsigned i = 0; i < n->dirs_n; i++)
		if (strcmp(n->dirs[i], dir) == 0)
			return true;
	if (n->dirs_n == NAMES_DIRS_MAX)
		return false;
	fd = names_open_strictly(n, dir, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return false;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = sys_inotify_add_watch(n->inotify_fd, self, NAMES_EVENTS);
	(void)sys_close(fd);
	copy = r < 0 ? NULL : sys_strdup(dir);
	if (!copy)
		return false;
	n->dirs[n->dirs_n++] = copy;
	return true;
}

/* From the top down: a directory is looked for when it could not go away unseen. */
static bool names_watch_way(struct names *n, const char *path)
{
	char dir[PATH_BYTES_MAX];
	const char *slash = path;

	if (!names_watch(n, ""))
		return false;
	while ((slash = strchr(slash, '/')) != NULL) {
		size_t len = (size_t)(slash - path);

		memcpy(dir, path, len);
		dir[len] = '\0';
		if (!names_watch(n, dir))
			return false;
		slash++;
	}
	return true;
}

static struct name *names_open(struct names *n, struct names_slot *slot, const char *path,
			       struct stat *ret_st)
{
	size_t len = strlen(path);
	struct name *name;
	int fd;

	if (n->inotify_fd < 0 || (!slot->name && n->count >= n->max) || !names_watch_way(n, path))
		return NULL;
	fd = names_open_strictly(n, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && fd != -ENOENT)
		return NULL;
	name = sys_malloc(sizeof(*name) + len + 1);
	if (!name || (fd >= 0 && (sys_fstat(fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode)))) {
		free(name);
		if (fd >= 0)
			(void)sys_close(fd);
		return NULL;
	}
	names_forget(n, slot);
	*name = (struct name){ .fd = fd < 0 ? -1 : fd, .users = 2 };
	if (fd >= 0) {
		name->ctime = ret_st->st_ctim;
		name->small = ret_st->st_size <= NAMES_READ_BYTES;
	}
	memcpy(name->path, path, len + 1);
	slot->name = name;
	n->count++;
	return name;
}

static uint64_t names_hash(const char *path)
{
	uint64_t h = 1469598103934665603ull;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 1099511628211ull;
	return h ^ h >> 32;
}

/* It is what it was: then *ret_read bytes are all of it, too. */
static bool names_look(const struct name *name, struct stat *ret_st, void *buf,
		       uint32_t *ret_read)
{
	struct iovec v = { .iov_base = buf, .iov_len = NAMES_READ_BYTES };
	ssize_t n = 0;

	if (name->fd < 0)
		return true;
	if (name->small && buf)
		n = sys_preadv2(name->fd, &v, 1, 0, RWF_NOWAIT);
	if (sys_fstat(name->fd, ret_st) < 0)
		return false;
	if (n > 0 && n == ret_st->st_size)
		*ret_read = (uint32_t)n;
	/* Rights may have been changed by another name of it: another time of change. */
	return memcmp(&ret_st->st_ctim, &name->ctime, sizeof(name->ctime)) == 0;
}

struct name *names_get(struct names *n, const char *path, struct stat *ret_st, uint64_t now_ns,
		       void *buf, uint32_t *ret_read)
{
	struct names_slot *slot;
	uint64_t hash;
	bool again;

	*ret_read = 0;
	if (!n)
		return NULL;
	hash = names_hash(path);
	slot = &n->slots[hash % NAMES_SLOTS];
	if (slot->name && strcmp(slot->name->path, path) == 0) {
		if (names_look(slot->name, ret_st, buf, ret_read)) {
			slot->name->users++;
			return slot->name;
		}
		*ret_read = 0;
		names_forget(n, slot);
	}
	if (now_ns < n->rest_ns)
		return NULL;
	again = slot->seen_hash == hash && now_ns - slot->seen_ns < NAMES_SEEN_NS;
	slot->seen_hash = hash;
	slot->seen_ns = now_ns;
	return again ? names_open(n, slot, path, ret_st) : NULL;
}
