/* SPDX-License-Identifier: MIT */
#include "lib/instant.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define INSTANT_MAX ((size_t)64 << 20)

static int64_t instant_read(pid_t pid, uint64_t addr, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/* Private memory that can be written, as it is in the stop, but for what was never there. */
static void instant_take(struct instant *c, const struct remote *r)
{
	const uint32_t must = VMA_READ | VMA_WRITE;

	c->v = calloc(r->maps.n, sizeof(*c->v));
	c->bytes = mmap(NULL, INSTANT_MAX, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; i < r->maps.n; i++) {
		const struct vma *v = &r->maps.v[i];
		size_t len = v->end - v->start;

		if ((v->flags & (must | VMA_SHARED | VMA_SPECIAL)) != must ||
		    c->len + len > INSTANT_MAX)
			continue;
		if (instant_read(r->k.target->live, v->start, c->bytes + c->len, len) !=
		    (int64_t)len)
			continue;
		c->v[c->n++] = (struct range){ v->start, v->end };
		c->len += len;
	}
}

void instant_free(struct instant *c)
{
	free(c->v);
	munmap(c->bytes, INSTANT_MAX);
}

static int instant_act(struct remote *r, struct call *c)
{
	struct instant *copy = r->arg;

	/* The frame is there already, below the stack pointer: put aside what it covers. */
	copy->reaps = call_can_reap(c);
	return shadow_make(&r->shadow, c, &r->err);
}

/* Before the call is opened: remote.c has no hook for that, the stopper has. */
static int (*instant_inner)(struct stopper *k, void *arg);

static int instant_look(struct stopper *k, void *arg)
{
	struct remote *r = arg;
	struct instant *c = r->arg;

	if (maps_read(k->target, MAPS_PLAIN, &r->maps, &r->err) == 0)
		instant_take(c, r);
	return instant_inner(k, arg);
}

void instant_on(struct remote *r, struct instant *c)
{
	r->k.look = instant_look;
	r->act = instant_act;
	r->arg = c;
}

void instant_off(struct remote *r, int (*act)(struct remote *, struct call *))
{
	r->k.look = instant_inner;
	r->act = act;
}

void instant_open(struct remote *r, pid_t pid)
{
	remote_open(r, pid, instant_act);
	instant_inner = r->k.look;
}
