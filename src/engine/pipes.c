/* SPDX-License-Identifier: MIT */
/*
 * Pipes for splicing through: pooled, one descriptor each (reopened for
 * reading and writing through /proc/self/fd, as CRIU's users asked in 2014),
 * as large as the system allows.  A pipe with bytes in it is never reused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "engine/engine.h"
#include "sys/sys.h"

#define PIPES_KEEP_MAX 16
#define PIPES_MAX 256
#define PIPE_WANTED_BYTES (1 << 20)

struct pipes {
	struct engine *engine;
	pthread_mutex_t lock;
	struct list free;
	unsigned free_n, all_n;
	int wanted_bytes; /* falls when the system refuses */
};

int pipes_create(struct pipes **ret, struct engine *e)
{
	struct pipes *p = sys_calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->engine = e;
	p->wanted_bytes = PIPE_WANTED_BYTES;
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->free);
	*ret = p;
	return 0;
}

static void pipe_destroy(struct pipe *p)
{
	(void)sys_close(p->fd);
	free(p);
}

void pipes_destroy(struct pipes *p)
{
	struct list *l;

	if (!p)
		return;
	while ((l = list_pop(&p->free)))
		pipe_destroy(list_entry(l, struct pipe, link));
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int pipe_open(void)
{
	char path[40];
	int fds[2], fd, r;

	r = sys_pipe2(fds, O_CLOEXEC | O_NONBLOCK);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	fd = sys_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
	(void)sys_close(fds[0]);
	(void)sys_close(fds[1]);
	return fd;
}

static int pipe_create(struct pipes *ps, struct pipe **ret)
{
	struct pipe *p;
	int r;

	if (!caps_has(ps->engine->caps, FACT_PIPE_REOPEN))
		return -EOPNOTSUPP;
	p = sys_calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->fd = pipe_open();
	if (p->fd < 0) {
		r = p->fd;
		free(p);
		return r;
	}
	/* -EPERM: above the user's limit; what it has is good enough. */
	while (ps->wanted_bytes > 65536 && sys_setpipe_sz(p->fd, ps->wanted_bytes) < 0)
		ps->wanted_bytes /= 2;
	r = sys_getpipe_sz(p->fd);
	p->size_bytes = r > 0 ? (uint32_t)r : 65536;
	*ret = p;
	return 0;
}

int pipes_get(struct pipes *ps, struct pipe **ret)
{
	struct list *l;
	int r = 0;

	pthread_mutex_lock(&ps->lock);
	l = list_pop(&ps->free);
	if (l) {
		ps->free_n--;
		*ret = list_entry(l, struct pipe, link);
	} else if (ps->all_n >= PIPES_MAX) {
		r = -EMFILE;
	} else {
		r = pipe_create(ps, ret);
		ps->all_n += r == 0;
	}
	pthread_mutex_unlock(&ps->lock);
	if (r == 0)
		(*ret)->used_bytes = 0;
	return r;
}

void pipes_put(struct pipes *ps, struct pipe *p)
{
	int left = 0;
	bool clean = p->used_bytes == 0 && sys_fionread(p->fd, &left) == 0 && left == 0;

	pthread_mutex_lock(&ps->lock);
	if (clean && ps->free_n < PIPES_KEEP_MAX) {
		list_push(&ps->free, &p->link);
		ps->free_n++;
		p = NULL;
	} else {
		ps->all_n--;
	}
	pthread_mutex_unlock(&ps->lock);
	if (p)
		pipe_destroy(p);
}
