/* SPDX-License-Identifier: MIT */
/*
 * The backend for where io_uring is refused (containers): a few threads that
 * carry out requests with ordinary system calls.  No zero-copy sends.
 */
#include <errno.h>

#include "engine/engine.h"
#include "sys/fault.h"
#include "sys/sys.h"

#define THREADS_MAX 8

struct backend_threads {
	struct backend backend;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue;
	unsigned queue_n, idle, threads_n;
	bool stopping;
	pthread_t threads[THREADS_MAX];
};

static struct backend_threads *threads_of(struct backend *b)
{
	return (struct backend_threads *)b;
}

static int64_t threads_do(struct request *r)
{
	switch (r->op) {
	case REQUEST_READ:
		return sys_pread(r->fd, r->addr, r->len_bytes, r->offset);
	case REQUEST_WRITE:
		return sys_pwrite(r->fd, r->addr, r->len_bytes, r->offset);
	case REQUEST_FSYNC:
		return sys_fdatasync(r->fd);
	default:
		return -EOPNOTSUPP;
	}
}

static void *threads_main(void *arg)
{
	struct backend_threads *t = arg;
	struct engine *e = t->backend.engine;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		struct list *l = list_pop(&t->queue);
		struct request *r;
		int64_t result;

		if (!l) {
			if (t->stopping)
				break;
			t->idle++;
			pthread_cond_wait(&t->work, &t->lock);
			t->idle--;
			continue;
		}
		t->queue_n--;
		r = list_entry(l, struct request, link);
		pthread_mutex_unlock(&t->lock);
		result = threads_do(r);
		pthread_mutex_lock(&e->lock);
		request_complete(r, result, true);
		pthread_mutex_unlock(&e->lock);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static int threads_submit(struct backend *b, struct request *r)
{
	struct backend_threads *t = threads_of(b);
	int ret = 0;

	if (r->op == REQUEST_SEND_ZC || r->op == REQUEST_POLL)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&t->lock);
	if (t->idle <= t->queue_n && t->threads_n < THREADS_MAX) {
		ret = sys_thread_create(&t->threads[t->threads_n], "decant-io", threads_main, t);
		if (ret == 0)
			t->threads_n++;
	}
	if (t->threads_n > 0) {
		ret = 0; /* fewer threads than wished are enough */
		list_init(&r->link);
		list_push(&t->queue, &r->link);
		t->queue_n++;
		pthread_cond_signal(&t->work);
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

/* What was not begun ends now; what was begun ends by itself.  Engine locked. */
static void threads_cancel(struct backend *b, struct request *r)
{
	struct backend_threads *t = threads_of(b);
	bool found = false;

	pthread_mutex_lock(&t->lock);
	for (struct list *l = t->queue.next; l != &t->queue; l = l->next)
		if (l == &r->link) {
			found = true;
			break;
		}
	if (found) {
		list_remove(&r->link);
		t->queue_n--;
	}
	pthread_mutex_unlock(&t->lock);
	if (found)
		request_complete(r, -ECANCELED, true);
}

static void threads_destroy(struct backend *b)
{
	struct backend_threads *t = threads_of(b);

	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->threads_n; i++)
		(void)sys_thread_join(t->threads[i]);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct backend_ops threads_ops = {
	.name = "threads",
	.submit = threads_submit,
	.cancel = threads_cancel,
	.destroy = threads_destroy,
};

int backend_threads_create(struct backend **ret, struct engine *e, struct err *reterr)
{
	struct backend_threads *t = sys_calloc(1, sizeof(*t));

	if (!t)
		return err_set(reterr, -ENOMEM, "engine: no memory");
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	list_init(&t->queue);
	t->backend.ops = &threads_ops;
	t->backend.engine = e;
	t->backend.fd = -1;
	*ret = &t->backend;
	return 0;
}
