/* SPDX-License-Identifier: MIT */
#include "serve/engines.h"

#include <errno.h>
#include <sys/epoll.h>

#include "decant.h"
#include "sys/sys.h"

#define ENGINES_MAX 4
/* So many reads of one disk at once; threads are made when they are needed. */
#define ENGINES_THREADS 16
#define ENGINES_TRANSFERS_MAX 65536

struct engines_one {
	struct decant *engine;   /* NULL: none yet */
	bool taken;
	uint64_t dev;
};

struct engines {
	int epoll_fd;
	const char *mask;
	struct engines_one v[ENGINES_MAX];
};

static int engines_open(struct engines *e, struct engines_one *one)
{
	struct decant_options o = DECANT_OPTIONS_INIT;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = one };
	struct decant *engine;
	int r;

	o.mask = e->mask;
	o.workers = ENGINES_THREADS;
	o.transfers_max = ENGINES_TRANSFERS_MAX;
	r = decant_open(&engine, &o);
	if (r < 0)
		return r;
	r = decant_event_fd(engine);
	if (r >= 0)
		r = sys_epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, r, &event);
	if (r < 0) {
		decant_close(engine);
		return r;
	}
	one->engine = engine;
	return 0;
}

int engines_create(struct engines **ret, int epoll_fd, const char *mask, struct err *reterr)
{
	struct engines *e = sys_calloc(1, sizeof(*e));
	int r = e ? 0 : -ENOMEM;

	if (r == 0) {
		e->epoll_fd = epoll_fd;
		e->mask = mask;
		/* Whether there can be any is said now. */
		r = engines_open(e, &e->v[0]);
	}
	if (r < 0) {
		free(e);
		return err_errno(reterr, r, "serve: engine");
	}
	*ret = e;
	return 0;
}

void engines_destroy(struct engines *e)
{
	if (!e)
		return;
	for (unsigned i = 0; i < ENGINES_MAX; i++)
		decant_close(e->v[i].engine);
	free(e);
}

struct decant *engines_of(struct engines *e, uint64_t dev)
{
	for (unsigned i = 0; i < ENGINES_MAX; i++) {
		struct engines_one *one = &e->v[i];

		if (one->taken && one->dev == dev)
			return one->engine;
		if (one->taken)
			continue;
		if (!one->engine && engines_open(e, one) < 0)
			break;
		one->taken = true;
		one->dev = dev;
		return one->engine;
	}
	dev = (dev * 0x9e3779b97f4a7c15ull >> 32) % ENGINES_MAX;
	return e->v[dev].engine ? e->v[dev].engine : e->v[0].engine;
}

struct decant *engines_told(const struct engines *e, const void *ptr)
{
	for (unsigned i = 0; i < ENGINES_MAX; i++)
		if (ptr == &e->v[i])
			return e->v[i].engine;
	return NULL;
}
