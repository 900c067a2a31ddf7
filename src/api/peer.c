/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>

#include "base/checked.h"
#include "api/peer.h"
#include "sys/sys.h"

#define PEER_BUFFER_BYTES (256u << 10)
/* Nothing that is measured here waits as long. */
#define PEER_STALL_MS 5000

struct peer {
	int fd;
	enum peer_way way;
	unsigned char *buf;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t want;   /* asked for and not done; guarded by lock, as is the rest */
	int result;
	bool stop;
};

static int peer_piece(struct peer *p, uint64_t len, uint64_t *ret_moved)
{
	struct pollfd pfd = { .fd = p->fd, .events = p->way == PEER_GIVES ? POLLOUT : POLLIN };
	ssize_t n;
	int r;

	r = sys_poll(&pfd, 1, PEER_STALL_MS);
	if (r <= 0)
		return r == -EINTR ? 0 : r < 0 ? r : -ETIMEDOUT;
	if (p->way == PEER_GIVES)
		n = sys_write(p->fd, p->buf, len);
	else if (p->way == PEER_TAKES)
		n = sys_read(p->fd, p->buf, len);
	else
		n = sys_recv(p->fd, p->buf, len, MSG_TRUNC);
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	*ret_moved += (uint64_t)n;
	return 0;
}

static int peer_move(struct peer *p, uint64_t bytes)
{
	uint64_t moved = 0;
	int r = 0;

	while (r == 0 && moved < bytes)
		r = peer_piece(p, min_u64(bytes - moved, PEER_BUFFER_BYTES), &moved);
	return r;
}

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	uint64_t want;
	int r;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		want = p->want;
		if (!want) {
			(void)pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&p->lock);
		r = peer_move(p, want);
		(void)pthread_mutex_lock(&p->lock);
		p->want = 0;
		p->result = r;
		(void)pthread_cond_broadcast(&p->changed);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

int peer_create(struct peer **ret, int fd, enum peer_way way)
{
	struct peer *p = sys_calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (p)
		p->buf = sys_calloc(1, PEER_BUFFER_BYTES);
	if (!p || !p->buf)
		goto fail;
	p->fd = fd;
	p->way = way;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->changed, NULL);
	r = sys_thread_create(&p->thread, "decant-peer", peer_run, p);
	if (r < 0)
		goto fail;
	*ret = p;
	return 0;
fail:
	if (p)
		free(p->buf);
	free(p);
	(void)sys_close(fd);
	return r;
}

void peer_destroy(struct peer *p)
{
	if (!p)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stop = true;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
	(void)sys_thread_join(p->thread);
	(void)pthread_cond_destroy(&p->changed);
	(void)pthread_mutex_destroy(&p->lock);
	(void)sys_close(p->fd);
	free(p->buf);
	free(p);
}

void peer_ask(struct peer *p, uint64_t bytes)
{
	(void)pthread_mutex_lock(&p->lock);
	p->want = bytes;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

int peer_wait(struct peer *p)
{
	int r;

	(void)pthread_mutex_lock(&p->lock);
	while (p->want)
		(void)pthread_cond_wait(&p->changed, &p->lock);
	r = p->result;
	(void)pthread_mutex_unlock(&p->lock);
	return r;
}

uint64_t peer_cpu_ns(const struct peer *p)
{
	return sys_thread_cpu_of_ns(p->thread);
}
