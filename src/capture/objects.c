/* SPDX-License-Identifier: MIT */
#include "capture/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "sys/sys.h"

#define OBJECTS_PAGE 4096
#define OBJECTS_MAX 256   /* descriptors kept; more are opened when they are asked for */

struct object {
	uint64_t dev, ino;
	int fd;           /* negative errno: could not be opened */
	struct stat first;
};

struct objects {
	const struct target *target;
	struct object v[OBJECTS_MAX];
	unsigned n;
};

int objects_open(struct objects **ret, const struct target *t, struct err *reterr)
{
	struct objects *o = sys_calloc(1, sizeof(*o));

	if (!o)
		return err_set(reterr, -ENOMEM, "capture: out of memory");
	o->target = t;
	*ret = o;
	return 0;
}

static void objects_drop(struct objects *o, unsigned i)
{
	if (o->v[i].fd >= 0)
		(void)sys_close(o->v[i].fd);
}

void objects_close(struct objects *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < o->n; i++)
		objects_drop(o, i);
	free(o);
}

/* The inode must be the mapping's: a range may be another by now. */
static int objects_same(int fd, const struct vma *v)
{
	struct stat st;
	int r = sys_fstat(fd, &st);

	if (r < 0)
		return r;
	/* Some file systems (btrfs, overlayfs) say another device in maps. */
	return st.st_ino == v->ino && S_ISREG(st.st_mode) ? 0 : -ESTALE;
}

static int objects_new(const struct objects *o, const struct maps *m, const struct vma *v)
{
	char name[4200];
	int fd, r;

	(void)snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, v->start, v->end);
	fd = sys_openat(o->target->proc_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0 && !(v->flags & VMA_DELETED)) {
		/* Needs no capability; the name is one in the target's own root. */
		(void)snprintf(name, sizeof(name), "root/%s", maps_name(m, v));
		fd = sys_openat(o->target->proc_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	}
	if (fd < 0)
		return fd;
	r = objects_same(fd, v);
	if (r < 0) {
		(void)sys_close(fd);
		return r;
	}
	return fd;
}

int objects_fd(struct objects *o, const struct maps *m, const struct vma *v)
{
	unsigned i;

	for (i = 0; i < o->n; i++)
		if (o->v[i].dev == v->dev && o->v[i].ino == v->ino && o->v[i].fd >= 0)
			return o->v[i].fd;
	i = o->n;
	if (o->n == OBJECTS_MAX) {
		i = (unsigned)(v->ino % OBJECTS_MAX);
		objects_drop(o, i);
	} else {
		o->n++;
	}
	o->v[i] = (struct object){ .dev = v->dev, .ino = v->ino, .fd = objects_new(o, m, v) };
	if (o->v[i].fd >= 0)
		(void)sys_fstat(o->v[i].fd, &o->v[i].first);
	return o->v[i].fd;
}

static bool objects_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool objects_changed(struct objects *o, const struct maps *m, const struct vma *v)
{
	int fd = objects_fd(o, m, v);
	struct stat st;

	if (fd < 0 || sys_fstat(fd, &st) < 0)
		return true;
	for (unsigned i = 0; i < o->n; i++)
		if (o->v[i].fd == fd)
			return st.st_size != o->v[i].first.st_size ||
			       !objects_same_time(&st.st_mtim, &o->v[i].first.st_mtim) ||
			       !objects_same_time(&st.st_ctim, &o->v[i].first.st_ctim);
	return true;
}

int objects_data(struct objects *o, const struct maps *m, const struct vma *v, uint64_t start,
		 uint64_t end, struct ranges *ret)
{
	int fd = objects_fd(o, m, v), r = 0;
	uint64_t off = v->file_offset + (start - v->start), limit = off + (end - start);

	if (fd < 0)
		return fd;
	while (off < limit && r >= 0) {
		int64_t data = sys_lseek(fd, (int64_t)off, SEEK_DATA), hole;

		if (data == -ENXIO)
			return 0;
		if (data < 0)
			return (int)data;
		hole = sys_lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return (int)hole;
		data = (int64_t)align_down((uint64_t)data, OBJECTS_PAGE);
		hole = (hole + OBJECTS_PAGE - 1) & ~(int64_t)(OBJECTS_PAGE - 1);
		if ((uint64_t)data < off)
			data = (int64_t)off;
		if ((uint64_t)hole > limit)
			hole = (int64_t)limit;
		if ((uint64_t)data >= limit)
			return 0;
		r = ranges_add(ret, v->start + ((uint64_t)data - v->file_offset),
			       v->start + ((uint64_t)hole - v->file_offset));
		off = (uint64_t)hole;
	}
	return r;
}

int64_t objects_read(struct objects *o, const struct maps *m, const struct vma *v,
		     uint64_t addr, void *buf, uint64_t len)
{
	int fd = objects_fd(o, m, v);
	uint64_t off = v->file_offset + (addr - v->start), done = 0;

	if (fd < 0)
		return fd;
	while (done < len) {
		ssize_t n = sys_pread(fd, (char *)buf + done, len - done, off + done);

		if (n < 0)
			return done ? (int64_t)done : n;
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}
