/* SPDX-License-Identifier: MIT */
/* The engine's life, submission, and what callers wait for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "engine/engine.h"
#include "sys/sys.h"

/* ----------------------------------------------------------------- scratch */

static __thread void *scratch;

/*
 * A caller's thread that ends must not leave its scratch behind, so the key's
 * destructor does what engine_scratch_free() does for workers.
 */
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_key_create(void)
{
	(void)pthread_key_create(&scratch_key, free);
}

void *engine_scratch(void)
{
	if (!scratch) {
		(void)pthread_once(&scratch_once, scratch_key_create);
		scratch = sys_aligned_alloc(4096, ENGINE_SCRATCH_BYTES);
		if (scratch)
			(void)pthread_setspecific(scratch_key, scratch);
	}
	return scratch;
}

void engine_scratch_free(void)
{
	if (!scratch)
		return;
	(void)pthread_setspecific(scratch_key, NULL);
	free(scratch);
	scratch = NULL;
}

/* -------------------------------------------------------------------- life */

void engine_debug(struct engine *e, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!e->config.debug)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	e->config.debug(e->config.debug_arg, line);
}

bool engine_has_uring(const struct engine *e)
{
	return e->backend->ops->register_buffer != NULL;
}

static int engine_create_backend(struct engine *e, struct err *reterr)
{
	int r = -EOPNOTSUPP;

	if (e->config.backend != DECANT_BACKEND_THREADS) {
		if (caps_has(e->caps, FACT_IO_URING))
			r = backend_uring_create(&e->backend, e, reterr);
		else
			r = err_set(reterr, -EOPNOTSUPP, "io_uring: %s",
				    caps_why(e->caps, FACT_IO_URING));
		if (r < 0 && e->config.backend == DECANT_BACKEND_URING)
			return r;
	}
	if (r < 0) {
		r = backend_threads_create(&e->backend, e, reterr);
		if (r < 0)
			return r;
	}
	if (e->backend->fd < 0)
		return 0;
	r = poller_watch_backend(e->poller, e->backend->fd);
	return r < 0 ? err_errno(reterr, r, "watching the ring") : 0;
}

static int engine_create_parts(struct engine *e, struct err *reterr)
{
	int r;

	e->threads_max = e->config.workers + 1;
	e->threads = sys_calloc(e->threads_max, sizeof(*e->threads));
	if (!e->threads || timers_create(&e->timers) < 0 || buffers_create(&e->buffers, e) < 0 ||
	    pipes_create(&e->pipes, e) < 0 || maps_create(&e->maps, e) < 0)
		return err_set(reterr, -ENOMEM, "engine: no memory");
	r = poller_create(&e->poller, reterr);
	return r < 0 ? r : engine_create_backend(e, reterr);
}

static void engine_init_sync(struct engine *e)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int engine_create(struct engine **ret, const struct engine_config *config, struct err *reterr)
{
	struct engine *e = sys_calloc(1, sizeof(*e));
	int r;

	if (!e)
		return err_set(reterr, -ENOMEM, "engine: no memory");
	e->config = *config;
	e->caps = config->caps;
	e->event_fd = -1;
	e->next_id = 1;
	list_init(&e->ready);
	list_init(&e->events);
	list_init(&e->buffer_waiters);
	list_init(&e->spares);
	for (int i = 0; i < ENGINE_STREAM_BUCKETS; i++)
		list_init(&e->streams[i]);
	for (int i = 0; i < ENGINE_JOB_BUCKETS; i++)
		list_init(&e->jobs[i]);
	engine_init_sync(e);
	r = engine_create_parts(e, reterr);
	if (r < 0) {
		engine_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}

static void engine_cancel_all(struct engine *e)
{
	for (int i = 0; i < ENGINE_JOB_BUCKETS; i++) {
		struct list *head = &e->jobs[i];

		for (struct list *l = head->next; l != head; l = l->next) {
			struct job *j = list_entry(l, struct job_queue, hash_link)->job;

			atomic_store_explicit(&j->q->cancelled, true, memory_order_relaxed);
			engine_wake(e, j);
		}
	}
}

/* Zombies keep their memory until the ring, whose notifications they await,
 * is gone; the kernel holds its own references to the pages. */
static void engine_bury(struct engine *e)
{
	for (int i = 0; i < ENGINE_JOB_BUCKETS; i++) {
		struct list *l;

		while ((l = list_pop(&e->jobs[i]))) {
			struct job *j = list_entry(l, struct job_queue, hash_link)->job;

			stream_mend(e, j);
			if (!j->q->finished && j->q->started && j->ops->finish)
				j->ops->finish(j);
			engine_job_free(e, j);
		}
	}
}

void engine_destroy(struct engine *e)
{
	struct list *spare;

	if (!e)
		return;
	if (e->poller && e->backend) {
		pthread_mutex_lock(&e->lock);
		engine_cancel_all(e);
		while (e->unended > 0) {
			e->callers++;
			if (e->threads_n == 0 && !e->leading && list_empty(&e->ready))
				engine_lead(e, UINT64_MAX);
			else if (e->threads_n == 0 && !list_empty(&e->ready))
				engine_run_ready(e);
			else
				pthread_cond_wait(&e->changed, &e->lock);
			e->callers--;
		}
		pthread_mutex_unlock(&e->lock);
		engine_stop_workers(e);
	}
	if (e->backend)
		e->backend->ops->destroy(e->backend);
	e->closing = true;
	engine_bury(e);
	maps_destroy(e->maps);
	pipes_destroy(e->pipes);
	buffers_destroy(e->buffers);
	poller_destroy(e->poller);
	timers_destroy(e->timers);
	if (e->event_fd >= 0)
		(void)sys_close(e->event_fd);
	stream_destroy_spare(e);
	while ((spare = list_pop(&e->spares)))
		free(list_entry(spare, struct job_full, queue.link));
	free(e->threads);
	pthread_cond_destroy(&e->changed);
	pthread_cond_destroy(&e->work);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* -------------------------------------------------------------------- jobs */

struct job *engine_job_create(struct engine *e)
{
	struct job_full *full;
	struct list *spare;
	struct job *j;

	pthread_mutex_lock(&e->lock);
	spare = list_pop(&e->spares);
	e->spares_n -= spare != NULL;
	pthread_mutex_unlock(&e->lock);
	full = spare ? list_entry(spare, struct job_full, queue.link) : NULL;
	if (full)
		memset(full, 0, sizeof(*full));
	else
		full = sys_calloc(1, sizeof(*full));
	if (!full)
		return NULL;
	j = &full->job;
	j->engine = e;
	j->q = &full->queue;
	j->q->job = j;
	list_init(&j->q->link);
	list_init(&j->q->hash_link);
	list_init(&j->q->buffer_link);
	for (int i = 0; i < JOB_POLLS; i++) {
		j->q->polls[i].job = j;
		j->q->polls[i].fd = -1;
		list_init(&j->q->polls[i].link);
	}
	for (int i = 0; i <= DECANT_ENDED; i++) {
		j->q->events[i].job = j;
		list_init(&j->q->events[i].link);
	}
	return j;
}

/* Lock held, or before submission (then nobody else knows the job). */
void engine_job_free(struct engine *e, struct job *j)
{
	struct job_full *full = (struct job_full *)j;

	free(j->q->leftover);
	hash_destroy(j->hash);
	if (e->spares_n == ENGINE_SPARES_MAX) {
		free(full);
		return;
	}
	e->spares_n++;
	list_init(&full->queue.link);
	list_push(e->spares.next, &full->queue.link); /* in front: it is in the cache */
}

/* Give it an id and its place in its streams. */
static int64_t engine_enter(struct engine *e, struct job *j, struct err *reterr)
{
	if (e->live >= e->config.transfers_max)
		return err_set(reterr, -EBUSY,
			       "submit: %u transfers are in flight, the most that was allowed",
			       e->live);
	if (timers_reserve(e->timers, e->live + e->zombies + 1) < 0 || stream_enter(e, j) < 0)
		return err_set(reterr, -ENOMEM, "submit: no memory");
	j->id = e->next_id++;
	list_push(&e->jobs[j->id % ENGINE_JOB_BUCKETS], &j->q->hash_link);
	e->live++;
	e->unended++;
	j->q->state = stream_turn(j) || j->q->cancelled ? STATE_RUNNING : STATE_QUEUED;
	return (int64_t)j->id;
}

int64_t engine_submit(struct engine *e, struct job *j, bool try_inline, struct err *reterr)
{
	int64_t id;

	pthread_mutex_lock(&e->lock);
	id = engine_enter(e, j, reterr);
	if (id < 0 || j->q->state == STATE_QUEUED) {
		pthread_mutex_unlock(&e->lock);
		return id;
	}
	if (!try_inline) {
		engine_push_ready(e, j);
		pthread_mutex_unlock(&e->lock);
		return id;
	}
	pthread_mutex_unlock(&e->lock);
	j->q->nowait = true;
	job_slice(j, ENGINE_INLINE_MAX_BYTES); /* takes the lock; the job may be gone */
	if (!list_empty(&e->ready) && e->running < e->config.workers)
		engine_notify(e);
	else if (e->unended > 0)
		engine_need_thread(e);
	pthread_mutex_unlock(&e->lock);
	return id;
}

/* Its own caller waits: polls by itself, or leads, or is told. */
static void engine_move_wait(struct engine *e, struct job *j)
{
	struct job_queue *q = j->q;
	struct pollfd fds[JOB_POLLS];
	unsigned n = 0;
	uint64_t now, timeout = UINT64_MAX;

	if (q->state != STATE_WAITING || !q->direct) {
		if (!e->leading) {
			engine_lead(e, UINT64_MAX);
			if (!list_empty(&e->ready))
				engine_notify(e);
		} else {
			e->callers++;
			pthread_cond_wait(&e->changed, &e->lock);
			e->callers--;
		}
		return;
	}
	for (int i = 0; i < JOB_POLLS; i++)
		if (q->polls[i].wanted) {
			fds[n].fd = q->polls[i].fd;
			fds[n++].events = q->polls[i].events;
		}
	pthread_mutex_unlock(&e->lock);
	if (q->deadline_ns) {
		now = sys_clock_ns();
		timeout = q->deadline_ns > now ? q->deadline_ns - now : 0;
	}
	(void)sys_poll_ns(fds, n, timeout); /* interrupted: the step asks again */
	pthread_mutex_lock(&e->lock);
	q->state = STATE_READY;
}

static void engine_drop_events(struct engine *e, struct job *j)
{
	for (int i = 0; i <= DECANT_ENDED; i++)
		if (j->q->events[i].queued) {
			j->q->events[i].queued = false;
			list_remove(&j->q->events[i].link);
		}
	(void)event_take(e, NULL, 0); /* the descriptor may be quiet again */
}

int64_t engine_move(struct engine *e, struct job *j, struct decant_event *ret_end,
		    bool *ret_entered, struct err *reterr)
{
	struct decant_event end;
	struct job_queue *q = j->q;
	int64_t r;

	q->inline_run = true;
	pthread_mutex_lock(&e->lock);
	r = engine_enter(e, j, reterr);
	if (r < 0) {
		pthread_mutex_unlock(&e->lock);
		*ret_entered = false;
		return r;
	}
	*ret_entered = true;
	q->keep = true;
	while (q->state != STATE_OVER) {
		if (q->state == STATE_WAITING || q->state == STATE_QUEUED) {
			engine_move_wait(e, j);
			continue;
		}
		q->state = STATE_RUNNING;
		q->wake = false;
		pthread_mutex_unlock(&e->lock);
		job_slice(j, ENGINE_INLINE_QUANTUM_BYTES);
	}
	event_fill(j, &q->events[DECANT_ENDED], &end);
	engine_drop_events(e, j);
	r = end.error ? end.error : (int64_t)end.bytes;
	if (end.error)
		(void)err_set(reterr, end.error, "%s", end.message);
	if (ret_end)
		*ret_end = end;
	q->keep = false;
	q->end_taken = true;
	stream_mend(e, j);
	e->live--;
	job_release(e, j);
	engine_stop_leading(e);
	pthread_mutex_unlock(&e->lock);
	return r;
}

int engine_cancel(struct engine *e, uint64_t id)
{
	struct list *head = &e->jobs[id % ENGINE_JOB_BUCKETS];
	int r = -ENOENT;

	pthread_mutex_lock(&e->lock);
	for (struct list *l = head->next; l != head; l = l->next) {
		struct job *j = list_entry(l, struct job_queue, hash_link)->job;

		if (j->id != id || j->q->ended)
			continue;
		atomic_store_explicit(&j->q->cancelled, true, memory_order_relaxed);
		engine_wake(e, j);
		r = 0;
		break;
	}
	pthread_mutex_unlock(&e->lock);
	return r;
}

/* ------------------------------------------------------------------ events */

static bool engine_wait_until(struct engine *e, uint64_t until_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u),
	};
	int r;

	e->callers++;
	if (until_ns == UINT64_MAX)
		r = pthread_cond_wait(&e->changed, &e->lock);
	else
		r = pthread_cond_timedwait(&e->changed, &e->lock, &ts);
	e->callers--;
	return r == 0;
}

int engine_wait(struct engine *e, struct decant_event *events, unsigned n, int timeout_ms)
{
	uint64_t until = UINT64_MAX;
	unsigned got;

	pthread_mutex_lock(&e->lock);
	got = event_take(e, events, n);
	if (got == 0 && timeout_ms > 0)
		until = sys_clock_ns() + (uint64_t)timeout_ms * 1000000u;
	while (got == 0 && n > 0 && timeout_ms != 0 && e->live > 0) {
		bool in_time = true;

		/* No thread could be had: then this one does it all. */
		if (e->threads_n == 0 && !list_empty(&e->ready))
			engine_run_ready(e);
		else if (e->threads_n == 0 && !e->leading)
			engine_lead(e, until);
		else
			in_time = engine_wait_until(e, until);
		if (until != UINT64_MAX && sys_clock_ns() >= until)
			in_time = false;
		got = event_take(e, events, n);
		if (!in_time)
			break;
	}
	pthread_mutex_unlock(&e->lock);
	return (int)got;
}

int engine_event_fd(struct engine *e)
{
	int fd;

	pthread_mutex_lock(&e->lock);
	if (e->event_fd < 0) {
		fd = sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd >= 0 && !list_empty(&e->events)) {
			e->event_fd_set = true;
			eventfd_raise(fd);
		}
		if (fd >= 0)
			e->event_fd = fd;
	} else {
		fd = e->event_fd;
	}
	pthread_mutex_unlock(&e->lock);
	return fd;
}
