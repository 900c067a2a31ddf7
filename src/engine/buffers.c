/* SPDX-License-Identifier: MIT */
/*
 * Buffer memory: pieces of 1 MiB that outlive a step, from slabs of 2 MiB that
 * may be huge pages, registered with the ring where memlock allows it.
 * Mapped, not malloc'ed: when an engine closes while the kernel still holds
 * pages of an unacknowledged send, nobody else may get them.
 */
#include <errno.h>
#include <sys/mman.h>

#include "engine/engine.h"
#include "sys/sys.h"

#define SLAB_BYTES (2u << 20)
#define SLAB_BUFFERS (SLAB_BYTES / ENGINE_BUFFER_BYTES)

struct slab {
	void *mem;
	struct buffer buffers[SLAB_BUFFERS];
	struct list link;
};

struct buffers {
	struct engine *engine;
	pthread_mutex_t lock;
	struct list free;
	struct list slabs;
	uint64_t bytes;
	uint64_t registered_bytes;
};

int buffers_create(struct buffers **ret, struct engine *e)
{
	struct buffers *b = sys_calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->engine = e;
	pthread_mutex_init(&b->lock, NULL);
	list_init(&b->free);
	list_init(&b->slabs);
	*ret = b;
	return 0;
}

void buffers_destroy(struct buffers *b)
{
	struct list *l;

	if (!b)
		return;
	while ((l = list_pop(&b->slabs))) {
		struct slab *s = list_entry(l, struct slab, link);

		(void)sys_munmap(s->mem, SLAB_BYTES);
		free(s);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* SLAB_BYTES aligned to themselves: map twice as much and cut. */
static int slab_map(void **ret)
{
	unsigned char *p, *at;
	void *mem;
	int r = sys_mmap(&mem, NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (r < 0)
		return r;
	p = mem;
	at = (unsigned char *)(((uintptr_t)p + SLAB_BYTES - 1) & ~(uintptr_t)(SLAB_BYTES - 1));
	if (at > p)
		(void)sys_munmap(p, (size_t)(at - p));
	if (at < p + SLAB_BYTES)
		(void)sys_munmap(at + SLAB_BYTES, (size_t)(p + SLAB_BYTES - at));
	(void)sys_madvise(at, SLAB_BYTES, MADV_HUGEPAGE);
	(void)sys_madvise(at, SLAB_BYTES, MADV_DONTFORK);
	*ret = at;
	return 0;
}

static void buffers_register(struct buffers *b, struct buffer *buf)
{
	struct backend *be = b->engine->backend;
	int r;

	/* Registered memory counts against memlock like what is in flight: it
	 * gets half of the budget. */
	if (!be->ops->register_buffer ||
	    b->registered_bytes + buf->size_bytes > b->engine->config.pinned_max_bytes / 2)
		return;
	r = be->ops->register_buffer(be, buf->data, buf->size_bytes);
	if (r < 0)
		return;
	buf->index = r;
	b->registered_bytes += buf->size_bytes;
}

static bool buffers_grow(struct buffers *b)
{
	struct slab *s;

	if (b->bytes + SLAB_BYTES > b->engine->config.memory_max_bytes)
		return false;
	s = sys_calloc(1, sizeof(*s));
	if (!s)
		return false;
	if (slab_map(&s->mem) < 0) {
		free(s);
		return false;
	}
	for (unsigned i = 0; i < SLAB_BUFFERS; i++) {
		struct buffer *buf = &s->buffers[i];

		buf->data = (unsigned char *)s->mem + i * ENGINE_BUFFER_BYTES;
		buf->size_bytes = ENGINE_BUFFER_BYTES;
		buf->index = -1;
		buffers_register(b, buf);
		list_push(&b->free, &buf->link);
	}
	list_push(&b->slabs, &s->link);
	b->bytes += SLAB_BYTES;
	return true;
}

struct buffer *buffers_get(struct buffers *b)
{
	uint64_t registered;
	struct list *l;

	pthread_mutex_lock(&b->lock);
	registered = b->registered_bytes;
	l = list_pop(&b->free);
	if (!l && buffers_grow(b))
		l = list_pop(&b->free);
	registered = b->registered_bytes - registered;
	pthread_mutex_unlock(&b->lock);
	/* Not above: the engine's lock is taken before this one, never after. */
	if (registered) {
		pthread_mutex_lock(&b->engine->lock);
		b->engine->pinned += registered;
		pthread_mutex_unlock(&b->engine->lock);
	}
	return l ? list_entry(l, struct buffer, link) : NULL;
}

void buffers_put(struct buffers *b, struct buffer *buf)
{
	pthread_mutex_lock(&b->lock);
	/* In front: the warm one is used next. */
	buf->link.next = b->free.next;
	buf->link.prev = &b->free;
	b->free.next->prev = &buf->link;
	b->free.next = &buf->link;
	pthread_mutex_unlock(&b->lock);
}

bool buffers_available(struct buffers *b)
{
	bool any;

	pthread_mutex_lock(&b->lock);
	any = !list_empty(&b->free);
	pthread_mutex_unlock(&b->lock);
	return any;
}
