/* SPDX-License-Identifier: MIT */
/*
 * One slice of one job: its phases, from start to ENDED.
 *
 * A job fails at any point into PHASE_DRAIN, where its requests are cancelled
 * and waited for; only notifications of zero-copy sends may outlive it (the
 * peer decides when they come), and then the job stays behind as a zombie that
 * keeps the memory in place.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "sys/sys.h"

static unsigned run_requests_pending(struct job *j)
{
	struct engine *e = j->engine;
	unsigned n = 0;

	pthread_mutex_lock(&e->lock);
	for (struct request *r = j->q->requests; r; r = r->next)
		n += !r->done;
	pthread_mutex_unlock(&e->lock);
	return n;
}

/* Cancelled, or nothing moved for too long? */
static int run_interrupted(struct job *j)
{
	struct job_queue *q = j->q;

	if (q->phase == PHASE_DRAIN)
		return 0;
	/* Stored by other threads; soon is soon enough. */
	if (atomic_load_explicit(&q->cancelled_behind, memory_order_relaxed))
		return job_fail(j, -ECANCELED,
				"cancelled: an earlier transfer on the same stream failed");
	if (atomic_load_explicit(&q->cancelled, memory_order_relaxed))
		return job_fail(j, -ECANCELED, "cancelled at offset %llu",
				(unsigned long long)(j->from.offset + j->sent));
	if (j->stall_ms && q->phase != PHASE_START &&
	    sys_clock_ns() - q->progress_ns >= j->stall_ms * 1000000ull)
		return job_fail(j, -ETIMEDOUT,
				"%s: no byte moved for %u ms, at offset %llu: the %s stalls",
				j->q->phase == PHASE_DELIVER ? "delivery" : "transfer",
				j->stall_ms, (unsigned long long)(j->from.offset + j->sent),
				q->waits_for_source ? end_noun(&j->from) : end_noun(&j->to));
	return 0;
}

static int run_start(struct job *j)
{
	struct job_queue *q = j->q;
	int r;

	if (!q->opened) {
		q->opened = true;
		q->start_ns = q->progress_ns = j->rate_bytes || j->stall_ms ? sys_clock_ns() : 0;
		r = end_open(&j->from, j->engine->caps, &j->err);
		if (r == 0)
			r = end_open(&j->to, j->engine->caps, &j->err);
		if (r == 0 && j->checksum)
			r = hash_create(&j->hash, j->checksum);
		if (r < 0)
			return r;
	}
	for (;;) {
		r = j->ops->start(j);
		if (r != -EOPNOTSUPP || q->forced || !j->engine->config.replan)
			break;
		engine_debug(j->engine, "%s: does not work here: %s", j->ops->name, j->err.text);
		r = j->engine->config.replan(j->engine->config.replan_arg, j);
		if (r < 0)
			break;
	}
	if (r == 0) {
		q->started = true;
		j->err.text[0] = 0;
	}
	return r;
}

static void run_finish(struct job *j)
{
	if (j->q->finished)
		return;
	j->q->finished = true;
	if (j->q->started && j->ops->finish)
		j->ops->finish(j);
}

/* The source may change, and no buffer is in use any more.  Lock held. */
static void run_let_go(struct job *j, uint32_t flags, uint64_t now)
{
	struct job_queue *q = j->q;

	if (!q->snapshotted) {
		q->snapshotted = true;
		event_emit(j, DECANT_SNAPSHOTTED, flags, j->sent, now);
	}
	if (!q->released) {
		q->released = true;
		if (j->kernel_copied)
			flags |= DECANT_COPIED;
		event_emit(j, DECANT_RELEASED, flags, j->sent, now);
	}
}

/* Every byte is with the sink's kernel. */
static void run_sent(struct job *j)
{
	struct engine *e = j->engine;

	run_finish(j);
	pthread_mutex_lock(&e->lock);
	/* LIVE: nobody can know; it is said at the very end, as "not certain". */
	if (j->guarantee != DECANT_LIVE)
		run_let_go(j, 0, sys_clock_ns());
	stream_leave(e, j, false);
	pthread_mutex_unlock(&e->lock);
}

static void run_fail(struct job *j, int r)
{
	struct engine *e = j->engine;
	struct job_queue *q = j->q;
	bool midway = j->taken > 0 || j->sent > 0 || q->leftover_len > 0 || q->cancelled_behind;

	if (!j->err.text[0])
		(void)err_errno(&j->err, r, "%s", j->ops->name);
	j->error = r;
	q->phase_failed = q->phase;
	q->phase = PHASE_DRAIN;
	pthread_mutex_lock(&e->lock);
	stream_leave(e, j, midway);
	for (struct request *rq = q->requests, *next; rq; rq = next) {
		next = rq->next;
		if (!rq->done)
			e->backend->ops->cancel(e->backend, rq);
	}
	pthread_mutex_unlock(&e->lock);
}

/* What was on its way when the job failed may have got there. */
static void run_drained(struct job *j)
{
	struct job_queue *q = j->q;
	struct err said = j->err; /* the first failure is the one that counts */

	if (q->drained)
		return;
	q->drained = true;
	if (q->started && !q->finished && j->ops->drain)
		j->ops->drain(j);
	j->err = said;
}

/* Of what was sent, how much is known to have got there? */
static uint64_t run_arrived(struct job *j)
{
	uint64_t left = 0;

	if (j->q->delivered)
		return j->sent;
	if (j->error && j->q->phase_failed == PHASE_DELIVER)
		left = j->q->deliver_left;
	if (j->error && j->q->phase_failed != PHASE_START && deliver_left(j) > left)
		left = deliver_left(j);
	if (!j->error)
		left = deliver_is_certain(j) ? 0 : j->sent;
	return left < j->sent ? j->sent - left : 0;
}

static void run_end(struct job *j)
{
	struct engine *e = j->engine;
	struct job_queue *q = j->q;
	uint32_t flags = 0;
	uint64_t now;

	if (j->hash)
		hash_digest(j->hash, j->digest);
	q->zombie = q->requested && job_requests(j) > 0;
	if (q->zombie)
		flags |= DECANT_NOT_CERTAIN;
	else
		run_finish(j);
	if (j->pages_held)
		flags |= DECANT_NOT_CERTAIN;
	j->arrived = run_arrived(j);
	if (q->opened) {
		/* What cannot be read again is gone from the source, even if it
		 * did not reach the sink. */
		end_close(&j->from, j->from.seekable ? j->sent : j->taken);
		end_close(&j->to, j->sent);
	}
	pthread_mutex_lock(&e->lock);
	for (int i = 0; i < JOB_POLLS; i++)
		poller_disarm(e->poller, &q->polls[i]);
	now = sys_clock_ns();
	timers_clear(e->timers, j);
	q->phase = PHASE_ENDED;
	q->ended = true;
	e->unended--;
	if (q->zombie && q->requests_n == 0)
		q->zombie = false; /* they came just now; job_release() finishes */
	e->zombies += q->zombie;
	if (!j->error)
		run_let_go(j, j->guarantee == DECANT_LIVE ? DECANT_NOT_CERTAIN : 0, now);
	event_emit(j, DECANT_ENDED, flags | (j->kernel_copied ? DECANT_COPIED : 0),
		   j->sent, now);
	pthread_mutex_unlock(&e->lock);
}

static int run_phase(struct job *j)
{
	struct job_queue *q = j->q;

	for (;;) {
		int r = run_interrupted(j);

		if (r == 0) {
			switch (q->phase) {
			case PHASE_START:
				r = run_start(j);
				if (r < 0)
					break;
				q->phase = PHASE_MOVE;
				continue;
			case PHASE_MOVE:
				r = j->ops->step(j);
				if (r != STEP_DONE)
					break;
				if (q->requested && job_requests(j) > 0)
					return STEP_WAIT;
				run_sent(j);
				q->phase = PHASE_DELIVER;
				continue;
			case PHASE_DELIVER:
				r = deliver_step(j);
				break;
			case PHASE_DRAIN:
				if (run_requests_pending(j))
					return STEP_WAIT;
				run_drained(j);
				r = STEP_DONE;
				break;
			case PHASE_ENDED:
				return STEP_DONE;
			}
		}
		if (r == STEP_DONE) {
			run_end(j);
			return STEP_DONE;
		}
		if (r >= 0)
			return r;
		run_fail(j, r);
	}
}

/* Arm what the step said it waits for.  False: it is ready again already. */
static bool run_arm(struct engine *e, struct job *j)
{
	struct job_queue *q = j->q;
	uint64_t deadline = q->wait_until_ns, progress;
	bool direct = q->inline_run && q->requests_n == 0 && !q->waits_for_buffer;

	if (q->wake)
		return false;
	for (int i = 0; i < JOB_POLLS; i++) {
		struct poll_node *n = &q->polls[i];

		if (!n->wanted || direct) {
			poller_disarm(e->poller, n);
			continue;
		}
		/* -EPERM: always ready; no memory: look again at once. */
		if (!n->armed && poller_arm(e->poller, n) < 0)
			return false;
	}
	if (j->stall_ms && q->phase != PHASE_DRAIN) {
		uint64_t stall = q->progress_ns + j->stall_ms * 1000000ull;

		if (deadline == 0 || stall < deadline)
			deadline = stall;
	}
	progress = job_progress_due_ns(j);
	if (progress && (deadline == 0 || progress < deadline))
		deadline = progress;
	q->direct = direct;
	q->deadline_ns = deadline;
	if (deadline && !direct) {
		timers_set(e->timers, j, deadline);
		engine_expect(e, deadline);
	}
	if (q->waits_for_buffer) {
		list_push(&e->buffer_waiters, &q->buffer_link);
		/* One may have come back since the step asked. */
		if (buffers_available(e->buffers)) {
			list_remove(&q->buffer_link);
			q->waits_for_buffer = false;
			timers_clear(e->timers, j);
			return false;
		}
	}
	return true;
}

void job_slice(struct job *j, uint64_t quantum)
{
	struct engine *e = j->engine;
	struct job_queue *q = j->q;
	int r;

	q->quantum_left = quantum;
	q->wait_until_ns = 0;
	q->waits_for_buffer = false;
	for (int i = 0; i < JOB_POLLS; i++)
		q->polls[i].wanted = false;
	job_progress_catch_up(j);
	r = run_phase(j);
	q->nowait = false;
	pthread_mutex_lock(&e->lock);
	if (r == STEP_DONE) {
		/* Not before: who takes ENDED would free the job under our feet. */
		q->state = STATE_OVER;
		job_release(e, j);
		return;
	}
	if (!q->stream_left && j->len != DECANT_TO_END && j->sent == j->len &&
	    q->phase == PHASE_MOVE && !j->error)
		stream_leave(e, j, false); /* only notifications are missing */
	if (r == STEP_WAIT && run_arm(e, j)) {
		q->state = STATE_WAITING;
		return;
	}
	q->wake = false;
	q->state = STATE_READY;
	if (!q->inline_run) {
		list_push(&e->ready, &q->link);
		e->ready_n++;
	}
}

void job_release(struct engine *e, struct job *j)
{
	struct job_queue *q = j->q;

	if (q->state != STATE_OVER || q->requests_n > 0 || q->finishing || q->keep)
		return;
	if (!q->finished) {
		/* Routes give back buffers, which takes the lock. */
		q->finishing = true;
		pthread_mutex_unlock(&e->lock);
		run_finish(j);
		pthread_mutex_lock(&e->lock);
		q->finishing = false;
	}
	if (q->zombie) {
		q->zombie = false;
		e->zombies--;
		pthread_cond_broadcast(&e->changed);
	}
	if (!q->end_taken)
		return;
	list_remove(&q->hash_link);
	engine_job_free(e, j);
}
