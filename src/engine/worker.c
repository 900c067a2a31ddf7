/* SPDX-License-Identifier: MIT */
/*
 * The threads that step jobs.
 *
 * At most `workers` threads are in a step at a time; one more waits for the
 * kernel (the leader), so that a thread that is stuck in a slow disk never
 * keeps the others' completions and time-outs from being seen.  Whoever is
 * idle may lead, callers of decant_move() included.
 */
#include <assert.h>

#include "engine/engine.h"
#include "sys/sys.h"

/* How soon a submission is tried again that the kernel refused for the moment. */
#define ENGINE_RETRY_NS 1000000u

static void *worker_main(void *arg);

void engine_kick(struct engine *e)
{
	poller_kick(e->poller);
}

/* One more thread, if there may be one; the jobs wait if there cannot. */
static void worker_spawn(struct engine *e)
{
	if (e->stopping || e->threads_n >= e->threads_max)
		return;
	if (sys_thread_create(&e->threads[e->threads_n], "decant", worker_main, e) == 0)
		e->threads_n++;
	else
		engine_debug(e, "worker: no thread; %u there are", e->threads_n);
}

void engine_notify(struct engine *e)
{
	if (e->dispatching)
		return;
	if (e->idle > 0) {
		pthread_cond_signal(&e->work);
	} else if (e->leading) {
		engine_kick(e);
		/* The leader will run it; then another must lead. */
	} else {
		worker_spawn(e);
	}
}

void engine_need_thread(struct engine *e)
{
	if (e->threads_n == 0)
		worker_spawn(e);
	else if (!e->leading)
		engine_notify(e);
}

void engine_push_ready(struct engine *e, struct job *j)
{
	j->q->state = STATE_READY;
	if (j->q->inline_run) {
		pthread_cond_broadcast(&e->changed);
		if (e->leading && !e->dispatching)
			engine_kick(e); /* the leader may be that very caller */
		return;
	}
	list_push(&e->ready, &j->q->link);
	e->ready_n++;
	if (e->running < e->config.workers)
		engine_notify(e);
}

void engine_wake(struct engine *e, struct job *j)
{
	switch (j->q->state) {
	case STATE_RUNNING:
		__atomic_store_n(&j->q->wake, true, __ATOMIC_RELAXED);
		break;
	case STATE_QUEUED:
		if (!j->q->cancelled && !stream_turn(j))
			break;
		engine_push_ready(e, j);
		break;
	case STATE_WAITING:
		timers_clear(e->timers, j);
		if (j->q->waits_for_buffer) {
			j->q->waits_for_buffer = false;
			list_remove(&j->q->buffer_link);
		}
		engine_push_ready(e, j);
		break;
	case STATE_READY:
	case STATE_OVER:
		break;
	}
}

void engine_expect(struct engine *e, uint64_t deadline_ns)
{
	if (e->leading && deadline_ns < e->leader_until_ns)
		engine_kick(e);
}

static void engine_fire_timers(struct engine *e)
{
	uint64_t now = sys_clock_ns();
	struct job *j;

	while ((j = timers_expired(e->timers, now)))
		engine_wake(e, j);
	e->maps_due_ns = maps_expire(e->maps, now);
}

void engine_lead(struct engine *e, uint64_t until_ns)
{
	uint64_t now = sys_clock_ns(), next = timers_next(e->timers);
	int64_t timeout = -1;

	assert(!e->leading);
	if (e->maps_due_ns && (next == 0 || e->maps_due_ns < next))
		next = e->maps_due_ns;
	if (next == 0 || next > until_ns)
		next = until_ns;
	if (e->backend->retry && next > now + ENGINE_RETRY_NS)
		next = now + ENGINE_RETRY_NS;
	if (next != UINT64_MAX)
		timeout = next > now ? (int64_t)(next - now) : 0;
	e->leading = true;
	e->leader_until_ns = next;
	pthread_mutex_unlock(&e->lock);
	poller_wait(e->poller, timeout);
	pthread_mutex_lock(&e->lock);
	e->dispatching = true;
	poller_dispatch(e, e->poller);
	engine_fire_timers(e);
	e->dispatching = false;
	e->leading = false;
}

void engine_stop_leading(struct engine *e)
{
	if (!e->leading && (e->unended > 0 || e->zombies > 0 || e->maps_due_ns))
		engine_need_thread(e);
}

/* With this thread going into a step: is somebody left who leads or helps? */
static void worker_hand_over(struct engine *e)
{
	bool more = !list_empty(&e->ready) && e->running < e->config.workers;

	if (e->leading && !more)
		return;
	if (e->idle > 0)
		pthread_cond_signal(&e->work);
	else if (e->leading)
		engine_kick(e);
	else
		worker_spawn(e);
}

static void worker_run_one(struct engine *e)
{
	struct job *j = list_entry(list_pop(&e->ready), struct job_queue, link)->job;

	e->ready_n--;
	e->running++;
	j->q->state = STATE_RUNNING;
	j->q->wake = false;
	worker_hand_over(e);
	pthread_mutex_unlock(&e->lock);
	job_slice(j, ENGINE_QUANTUM_BYTES); /* takes the lock */
	e->running--;
}

void engine_run_ready(struct engine *e)
{
	worker_run_one(e);
}

static void *worker_main(void *arg)
{
	struct engine *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->stopping) {
		if (!list_empty(&e->ready) && e->running < e->config.workers) {
			worker_run_one(e);
		} else if (!e->leading) {
			engine_lead(e, UINT64_MAX);
		} else {
			e->idle++;
			pthread_cond_wait(&e->work, &e->lock);
			e->idle--;
		}
	}
	pthread_mutex_unlock(&e->lock);
	engine_scratch_free();
	return NULL;
}

void engine_stop_workers(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->stopping = true;
	pthread_cond_broadcast(&e->work);
	if (e->leading)
		engine_kick(e);
	pthread_mutex_unlock(&e->lock);
	for (unsigned i = 0; i < e->threads_n; i++)
		(void)sys_thread_join(e->threads[i]);
}
