/* SPDX-License-Identifier: MIT */
/*
 * To fill page tables costs a third of what not reading saves, so a file is
 * mapped when it is asked for a second time within some seconds, and stays
 * mapped while it is asked for.
 */
#include "serve/keep.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/checked.h"
#include "base/list.h"
#include "sys/sys.h"

#define KEEP_WINDOW_BYTES (64ull << 20)
#define KEEP_ALIGN_BYTES (2ull << 20)
#define KEEP_MAX 1024
#define KEEP_MAX_BYTES (8ull << 30)   /* of addresses */
#define KEEP_NS 1000000000ull
#define KEEP_SEEN 4096
#define KEEP_SEEN_NS 10000000000ull
#define KEEP_BUCKETS 1024

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct kept {
	struct list used;        /* least recently used first */
	struct list bucket;
	unsigned char *mem;
	uint64_t dev, ino, offset, len;
	uint64_t used_ns;
};

/* A file system. */
struct kept_dev {
	uint64_t dev;
	bool known;
	bool good;               /* its inode numbers are unique */
	bool in_memory;
};

struct keep {
	struct list used;
	struct list buckets[KEEP_BUCKETS];
	unsigned n;
	uint64_t bytes;
	struct kept_dev dev[8];
	struct {
		uint64_t dev, ino, when_ns;
		bool again;      /* it had been asked for shortly before, too */
	} seen[KEEP_SEEN];
};

static uint64_t keep_hash(uint64_t dev, uint64_t ino, uint64_t window)
{
	uint64_t h = (ino ^ dev << 32 ^ window) * 0x9e3779b97f4a7c15ull;

	return h >> 40;
}

int keep_create(struct keep **ret)
{
	struct keep *k = sys_calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	list_init(&k->used);
	for (unsigned i = 0; i < KEEP_BUCKETS; i++)
		list_init(&k->buckets[i]);
	*ret = k;
	return 0;
}

static void kept_drop(struct keep *k, struct kept *m)
{
	list_remove(&m->used);
	list_remove(&m->bucket);
	k->n--;
	k->bytes -= m->len;
	(void)sys_munmap(m->mem, m->len);
	free(m);
}

void keep_destroy(struct keep *k)
{
	if (!k)
		return;
	while (!list_empty(&k->used))
		kept_drop(k, list_entry(k->used.next, struct kept, used));
	free(k);
}

/* What is known about that file system; NULL: nothing can be. */
static const struct kept_dev *keep_dev(struct keep *k, int fd, uint64_t dev)
{
	unsigned i = (unsigned)(dev * 0x9e3779b97f4a7c15ull >> 61);
	struct statfs fs;

	if (k->dev[i].known && k->dev[i].dev == dev)
		return &k->dev[i];
	if (sys_fstatfs(fd, &fs) < 0)
		return NULL;
	k->dev[i].known = true;
	k->dev[i].dev = dev;
	k->dev[i].good = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
			 fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC;
	k->dev[i].in_memory = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	return &k->dev[i];
}

/* Inode numbers of FUSE and network file systems are not sure to be unique. */
static bool keep_dev_is_good(struct keep *k, int fd, uint64_t dev)
{
	const struct kept_dev *known = keep_dev(k, fd, dev);

	return known && known->good;
}

bool keep_in_memory(struct keep *k, int fd, uint64_t dev)
{
	const struct kept_dev *known = keep_dev(k, fd, dev);

	return known && known->in_memory;
}

/* begins: it is asked for now. */
static bool keep_seen(struct keep *k, uint64_t dev, uint64_t ino, bool begins, uint64_t now_ns)
{
	uint64_t i = keep_hash(dev, ino, 0) % KEEP_SEEN;
	bool known = k->seen[i].dev == dev && k->seen[i].ino == ino;

	if (!begins)
		return known && k->seen[i].again;
	k->seen[i].again = known && now_ns - k->seen[i].when_ns < KEEP_SEEN_NS;
	k->seen[i].dev = dev;
	k->seen[i].ino = ino;
	k->seen[i].when_ns = now_ns;
	return k->seen[i].again;
}

static struct kept *kept_create(struct keep *k, int fd, uint64_t dev, uint64_t ino,
				uint64_t offset, uint64_t size)
{
	struct kept *m = sys_calloc(1, sizeof(*m));
	void *mem;

	if (!m)
		return NULL;
	m->dev = dev;
	m->ino = ino;
	m->offset = align_down(offset, KEEP_WINDOW_BYTES);
	m->len = min_u64(KEEP_WINDOW_BYTES,
			 align_down(size - m->offset + KEEP_ALIGN_BYTES - 1, KEEP_ALIGN_BYTES));
	if (sys_mmap(&mem, NULL, m->len, PROT_READ, MAP_SHARED, fd, m->offset) < 0) {
		free(m);
		return NULL;
	}
	m->mem = mem;
	list_init(&m->used);
	list_init(&m->bucket);
	list_push(&k->buckets[keep_hash(dev, ino, m->offset) % KEEP_BUCKETS], &m->bucket);
	k->n++;
	k->bytes += m->len;
	return m;
}

const void *keep_get(struct keep *k, int fd, uint64_t dev, uint64_t ino, uint64_t offset,
		     uint64_t size, uint64_t *len, bool begins, uint64_t now_ns)
{
	uint64_t window = align_down(offset, KEEP_WINDOW_BYTES);
	struct list *bucket = &k->buckets[keep_hash(dev, ino, window) % KEEP_BUCKETS];
	struct kept *m = NULL;

	if (offset >= size)
		return NULL;
	for (struct list *l = bucket->next; l != bucket && !m; l = l->next) {
		m = list_entry(l, struct kept, bucket);
		if (m->ino != ino || m->dev != dev || offset - m->offset >= m->len)
			m = NULL;
	}
	if (!m) {
		if (!keep_seen(k, dev, ino, begins, now_ns) || !keep_dev_is_good(k, fd, dev))
			return NULL;
		while (k->n >= KEEP_MAX || (k->n && k->bytes > KEEP_MAX_BYTES))
			kept_drop(k, list_entry(k->used.next, struct kept, used));
		m = kept_create(k, fd, dev, ino, offset, size);
		if (!m)
			return NULL;
	}
	m->used_ns = now_ns;
	list_remove(&m->used);
	list_push(&k->used, &m->used);
	*len = min_u64(*len, m->offset + m->len - offset);
	return m->mem + (offset - m->offset);
}

uint64_t keep_expire(struct keep *k, uint64_t now_ns)
{
	while (!list_empty(&k->used)) {
		struct kept *m = list_entry(k->used.next, struct kept, used);

		if (now_ns - m->used_ns < KEEP_NS)
			return m->used_ns + KEEP_NS;
		kept_drop(k, m);
	}
	return 0;
}
