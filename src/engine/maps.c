/* SPDX-License-Identifier: MIT */
/*
 * Mappings of source files, kept for a while: page-table population costs a
 * third of what sending from a mapping costs, so a file that is sent again is
 * not mapped again.
 *
 * Shared mappings are coherent: a kept one shows the file as it is now.  What
 * is kept holds the file's inode, so it is dropped after a second of disuse,
 * at once when the file is unlinked, and never kept on file systems whose
 * inode numbers are not sure to be unique (FUSE, network).
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "engine/engine.h"
#include "sys/sys.h"

#define MAP_WINDOW_BYTES (64ull << 20)
#define MAPS_KEPT_MAX_BYTES (2ull << 30)
#define MAPS_KEPT_MAX 256
#define MAPS_KEEP_NS 1000000000ull
#define MAPS_SEEN 4096
#define MAPS_SEEN_NS 10000000000ull

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct mapping {
	struct list link;
	unsigned char *mem;
	uint64_t dev, ino;
	uint64_t offset, len;
	uint64_t unused_ns;  /* since when */
	unsigned users;
	bool keep;
};

struct maps {
	struct engine *engine;
	pthread_mutex_t lock;
	struct list all;     /* least recently used first */
	uint64_t kept_bytes;
	unsigned kept_n;
	/* Files that were sent lately, by hash; the last one wins. */
	struct {
		uint64_t dev, ino, when_ns;
	} seen[MAPS_SEEN];
};

int maps_create(struct maps **ret, struct engine *e)
{
	struct maps *m = sys_calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->engine = e;
	pthread_mutex_init(&m->lock, NULL);
	list_init(&m->all);
	*ret = m;
	return 0;
}

static void mapping_destroy(struct maps *m, struct mapping *map)
{
	list_remove(&map->link);
	if (map->users == 0 && map->keep) {
		m->kept_bytes -= map->len;
		m->kept_n--;
	}
	(void)sys_munmap(map->mem, map->len);
	free(map);
}

void maps_destroy(struct maps *m)
{
	if (!m)
		return;
	while (!list_empty(&m->all))
		mapping_destroy(m, list_entry(m->all.next, struct mapping, link));
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static bool mapping_may_be_kept(int fd, uint64_t *ret_size)
{
	struct statfs fs;
	struct stat st;

	if (sys_fstat(fd, &st) < 0)
		return false;
	*ret_size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || st.st_nlink == 0 || sys_fstatfs(fd, &fs) < 0)
		return false;
	switch (fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

static int mapping_create(struct maps *m, const struct end *e, uint64_t offset,
			  struct mapping **ret)
{
	struct mapping *map = sys_calloc(1, sizeof(*map));
	uint64_t size = END_SIZE_UNKNOWN;
	void *mem;
	int r;

	if (!map)
		return -ENOMEM;
	map->keep = e->dev && mapping_may_be_kept(e->fd, &size);
	map->dev = e->dev;
	map->ino = e->ino;
	map->offset = offset & ~(MAP_WINDOW_BYTES - 1);
	map->len = MAP_WINDOW_BYTES;
	/* Room for the file to grow a little; beyond its end the kernel says
	 * EFAULT to whoever reads. */
	if (size != END_SIZE_UNKNOWN && size > map->offset &&
	    size - map->offset < MAP_WINDOW_BYTES)
		map->len = (size - map->offset + (2u << 20) - 1) & ~((2ull << 20) - 1);
	if (offset >= map->offset + map->len)
		map->len = MAP_WINDOW_BYTES;
	r = sys_mmap(&mem, NULL, map->len, PROT_READ, MAP_SHARED, e->fd, map->offset);
	if (r < 0) {
		free(map);
		return r;
	}
	map->mem = mem;
	list_init(&map->link);
	list_push(&m->all, &map->link);
	*ret = map;
	return 0;
}

static struct mapping *maps_find(struct maps *m, const struct end *e, uint64_t offset)
{
	if (!e->dev)
		return NULL;
	/* From the most recent one: a sequential reader hits at once. */
	for (struct list *l = m->all.prev; l != &m->all; l = l->prev) {
		struct mapping *map = list_entry(l, struct mapping, link);

		if (map->keep && map->ino == e->ino && map->dev == e->dev &&
		    offset >= map->offset && offset - map->offset < map->len)
			return map;
	}
	return NULL;
}

const void *maps_get(struct maps *m, const struct end *e, uint64_t offset, uint64_t *len,
		     struct mapping **ret, int *reterr)
{
	struct mapping *map;
	uint64_t left;
	int r;

	pthread_mutex_lock(&m->lock);
	map = maps_find(m, e, offset);
	if (map) {
		if (map->users == 0) {
			m->kept_bytes -= map->len;
			m->kept_n--;
		}
		list_remove(&map->link);
		list_push(&m->all, &map->link);
	} else {
		r = mapping_create(m, e, offset, &map);
		if (r < 0) {
			pthread_mutex_unlock(&m->lock);
			*reterr = r;
			return NULL;
		}
	}
	map->users++;
	pthread_mutex_unlock(&m->lock);
	left = map->offset + map->len - offset;
	if (*len > left)
		*len = left;
	*ret = map;
	return map->mem + (offset - map->offset);
}

bool maps_seen(struct maps *m, uint64_t dev, uint64_t ino, bool note)
{
	unsigned i = (unsigned)(((ino + dev) * 0x9e3779b97f4a7c15ull) >> 32) % MAPS_SEEN;
	uint64_t now = sys_clock_ns();
	bool seen;

	pthread_mutex_lock(&m->lock);
	seen = m->seen[i].ino == ino && m->seen[i].dev == dev &&
	       now - m->seen[i].when_ns < MAPS_SEEN_NS;
	if (note) {
		m->seen[i].dev = dev;
		m->seen[i].ino = ino;
		m->seen[i].when_ns = now;
	}
	pthread_mutex_unlock(&m->lock);
	return seen;
}

static void maps_trim(struct maps *m)
{
	struct list *l = m->all.next;

	while (l != &m->all &&
	       (m->kept_bytes > MAPS_KEPT_MAX_BYTES || m->kept_n > MAPS_KEPT_MAX)) {
		struct mapping *map = list_entry(l, struct mapping, link);

		l = l->next;
		if (map->users == 0)
			mapping_destroy(m, map);
	}
}

void maps_put(struct maps *m, struct mapping *map)
{
	struct engine *e = m->engine;
	bool kept = false;

	pthread_mutex_lock(&m->lock);
	if (--map->users == 0) {
		if (map->keep) {
			map->unused_ns = sys_clock_ns();
			m->kept_bytes += map->len;
			m->kept_n++;
			kept = true;
			maps_trim(m);
		} else {
			mapping_destroy(m, map);
		}
	}
	pthread_mutex_unlock(&m->lock);
	if (!kept || e->maps_due_ns)
		return;
	/* Somebody must come and drop it. */
	pthread_mutex_lock(&e->lock);
	if (!e->maps_due_ns) {
		e->maps_due_ns = sys_clock_ns() + MAPS_KEEP_NS;
		engine_expect(e, e->maps_due_ns);
	}
	pthread_mutex_unlock(&e->lock);
}

uint64_t maps_expire(struct maps *m, uint64_t now_ns)
{
	uint64_t next = 0;
	struct list *l;

	if (m->engine->maps_due_ns == 0 || m->engine->maps_due_ns > now_ns)
		return m->engine->maps_due_ns;
	pthread_mutex_lock(&m->lock);
	l = m->all.next;
	while (l != &m->all) {
		struct mapping *map = list_entry(l, struct mapping, link);

		l = l->next;
		if (map->users > 0)
			continue;
		if (now_ns - map->unused_ns >= MAPS_KEEP_NS)
			mapping_destroy(m, map);
		else if (next == 0 || map->unused_ns + MAPS_KEEP_NS < next)
			next = map->unused_ns + MAPS_KEEP_NS;
	}
	pthread_mutex_unlock(&m->lock);
	return next;
}
