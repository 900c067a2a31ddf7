/* SPDX-License-Identifier: MIT */
/* What a route may ask of the engine: accounts, waits, requests, sentences. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "engine/engine.h"
#include "sys/fault.h"
#include "sys/sys.h"

#define JOB_PROGRESS_EVERY_NS 50000000ull
#define JOB_MORE_MAX_BYTES (256u << 10)
#define JOB_RATE_TICK_NS 20000000ull

struct caps *job_caps(struct job *j)
{
	return j->engine->caps;
}

bool job_has_uring(struct job *j)
{
	return engine_has_uring(j->engine);
}

/* ---------------------------------------------------------------- accounts */

/*
 * The rate is a straight line from the start of the transfer, with a burst of
 * one twentieth of a second above it; a wait lasts one tick, so that pieces do
 * not get smaller and smaller.
 */
static uint64_t job_rate_room(struct job *j)
{
	struct job_queue *q = j->q;
	uint64_t now = sys_clock_ns();
	unsigned __int128 line = (unsigned __int128)(now - q->start_ns) * j->rate_bytes;
	uint64_t allowed = (uint64_t)(line / 1000000000u) + j->rate_bytes / 20 + 1;
	uint64_t tick = j->rate_bytes / 50;

	if (allowed > j->taken && allowed - j->taken > tick)
		return allowed - j->taken;
	q->wait_until_ns = now + JOB_RATE_TICK_NS;
	if (tick == 0)
		q->wait_until_ns = now + 1000000000u / j->rate_bytes;
	return 0;
}

/* The engine's other threads say so too, with the lock. */
static void job_again(struct job_queue *q)
{
	__atomic_store_n(&q->wake, true, __ATOMIC_RELAXED);
}

uint64_t job_want(struct job *j, uint64_t max)
{
	struct job_queue *q = j->q;
	uint64_t want = max;

	if (j->len != DECANT_TO_END && want > j->len - j->taken)
		want = j->len - j->taken;
	if (want == 0)
		return 0;
	if (q->quantum_left == 0) {
		job_again(q); /* its next turn comes at once */
		return 0;
	}
	if (want > q->quantum_left)
		want = q->quantum_left;
	if (j->rate_bytes) {
		uint64_t room = job_rate_room(j);

		if (want > room)
			want = room;
	}
	return want;
}

bool job_all_taken(const struct job *j)
{
	return j->len != DECANT_TO_END && j->taken == j->len;
}

static void job_tell_progress(struct job *j, uint64_t now)
{
	struct job_queue *q = j->q;

	if (now - q->progress_event_ns < JOB_PROGRESS_EVERY_NS)
		return;
	q->progress_event_ns = now;
	event_emit_unlocked(j, DECANT_PROGRESS, 0, j->sent);
}

static void job_progressed(struct job *j)
{
	struct job_queue *q = j->q;
	uint64_t now;

	if (!j->stall_ms && !(j->flags & DECANT_PROGRESS_EVENTS))
		return;
	now = sys_clock_ns();
	q->progress_ns = now;
	if (j->flags & DECANT_PROGRESS_EVENTS)
		job_tell_progress(j, now);
}

uint64_t job_progress_due_ns(const struct job *j)
{
	const struct job_queue *q = j->q;

	if (!(j->flags & DECANT_PROGRESS_EVENTS) || q->phase != PHASE_MOVE ||
	    j->sent == q->events[DECANT_PROGRESS].bytes)
		return 0;
	return q->progress_event_ns + JOB_PROGRESS_EVERY_NS;
}

void job_progress_catch_up(struct job *j)
{
	if (job_progress_due_ns(j))
		job_tell_progress(j, sys_clock_ns());
}

void job_took(struct job *j, uint64_t bytes)
{
	struct job_queue *q = j->q;

	j->taken += bytes;
	q->quantum_left -= bytes < q->quantum_left ? bytes : q->quantum_left;
	if (bytes && j->stall_ms)
		q->progress_ns = sys_clock_ns();
}

void job_sent(struct job *j, uint64_t bytes, unsigned copies)
{
	if (bytes == 0)
		return;
	j->sent += bytes;
	j->cpu_copies += bytes * copies;
	if (copies)
		j->copied_bytes += bytes;
	job_progressed(j);
}

bool job_more(const struct job *j, uint64_t len_bytes)
{
	if (j->flags & DECANT_MORE)
		return true;
	return len_bytes < JOB_MORE_MAX_BYTES && !j->rate_bytes && j->len != DECANT_TO_END &&
	       j->sent + len_bytes < j->len;
}

void job_hash(struct job *j, const void *data, uint64_t len_bytes)
{
	if (j->hash)
		hash_update(j->hash, data, len_bytes);
}

void job_snapshotted(struct job *j, uint32_t flags)
{
	struct engine *e = j->engine;

	if (j->q->snapshotted)
		return;
	pthread_mutex_lock(&e->lock);
	j->q->snapshotted = true;
	/* Of a clone all bytes are safe before the first one was taken. */
	event_emit(j, DECANT_SNAPSHOTTED, flags, j->len == DECANT_TO_END ? j->taken : j->len,
		   sys_clock_ns());
	pthread_mutex_unlock(&e->lock);
}

/* --------------------------------------------------------------- sentences */

int job_fail(struct job *j, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(&j->err, code, fmt, ap);
	va_end(ap);
	return code;
}

static uint64_t job_source_offset(const struct job *j)
{
	return (j->from.kind == DECANT_END_FILE ? j->from.offset : 0) + j->taken;
}

int job_source_ended(struct job *j)
{
	unsigned long long at = job_source_offset(j);

	if (j->len == DECANT_TO_END) {
		j->len = j->taken;
		return STEP_DONE;
	}
	if (j->taken == j->len)
		return STEP_DONE;
	if (!j->len_exact) {
		j->len = j->taken;
		return STEP_DONE;
	}
	return job_fail(j, -ENODATA, "source ended at offset %llu, %llu bytes short: the %s %s", at,
			(unsigned long long)(j->len - j->taken), end_noun(&j->from),
			j->from.kind == DECANT_END_FILE ? "shrank, or never was longer" :
							  "was closed early");
}

int job_fail_source(struct job *j, int code)
{
	unsigned long long at = job_source_offset(j);
	uint64_t size;

	if (code == -EFAULT && j->from.kind == DECANT_END_FILE) {
		unsigned char byte;

		size = end_size_now(&j->from);
		if (size != END_SIZE_UNKNOWN && size <= at)
			return job_fail(
				j, -ENODATA,
				"source ended at offset %llu, %llu bytes short: the file shrank",
				at,
				(unsigned long long)(j->len == DECANT_TO_END ? 0
									     : j->len - j->taken));
		/* Not shorter: let a plain read say what is wrong. */
		size = (uint64_t)sys_pread(j->from.fd, &byte, 1, at);
		if ((int64_t)size < 0)
			code = (int)(int64_t)size;
	}
	return err_errno(&j->err, code, "reading the %s at offset %llu", end_noun(&j->from), at);
}

int job_fail_sink(struct job *j, int code)
{
	unsigned long long at = (j->to.kind == DECANT_END_FILE ? j->to.offset : 0) + j->sent;

	if (code == -EPIPE && j->to.kind == DECANT_END_PIPE)
		return job_fail(j, code, "writing to the pipe after %llu bytes: its reader is gone",
				at);
	return err_errno(&j->err, code, "writing to the %s at offset %llu", end_noun(&j->to), at);
}

/* ------------------------------------------------------------------- waits */

static void job_wait_locked(struct job *j, int fd, short events)
{
	struct job_queue *q = j->q;
	struct poll_node *unused = NULL;

	for (int i = 0; i < JOB_POLLS; i++) {
		struct poll_node *n = &q->polls[i];

		if (n->fd == fd && n->events == events && (n->wanted || n->armed)) {
			n->wanted = true;
			return;
		}
		if (!n->wanted && (!unused || !n->armed))
			unused = n;
	}
	if (!unused) {
		job_again(q); /* cannot happen with three; then poll by stepping */
		return;
	}
	if (unused->armed)
		poller_disarm(j->engine->poller, unused);
	unused->fd = fd;
	unused->events = events;
	unused->wanted = true;
}

void job_wait_fd(struct job *j, int fd, short events)
{
	/* What is still armed from the last step may fire just now. */
	pthread_mutex_lock(&j->engine->lock);
	job_wait_locked(j, fd, events);
	pthread_mutex_unlock(&j->engine->lock);
}

void job_wait_source(struct job *j)
{
	j->q->waits_for_source = true;
	job_wait_fd(j, j->from.io_fd, POLLIN);
}

void job_wait_sink(struct job *j)
{
	j->q->waits_for_source = false;
	job_wait_fd(j, j->to.io_fd, POLLOUT);
}

void job_wait_ns(struct job *j, uint64_t ns)
{
	uint64_t until = sys_clock_ns() + ns;

	if (j->q->wait_until_ns == 0 || until < j->q->wait_until_ns)
		j->q->wait_until_ns = until;
}

void job_wait_buffer(struct job *j)
{
	j->q->waits_for_buffer = true;
}

/* ---------------------------------------------------------------- requests */

static void request_unlink(struct request *r)
{
	struct job_queue *q = r->job->q;
	struct request **p = &q->requests;

	while (*p && *p != r)
		p = &(*p)->next;
	if (*p) {
		*p = r->next;
		q->requests_n--;
	}
	r->next = NULL;
	r->in_flight = false;
}

int job_request(struct job *j, struct request *r)
{
	struct engine *e = j->engine;
	int ret;

	j->q->requested = true;
	r->injected = r->op == REQUEST_SEND_ZC ? sys_fault_result("uring_send_zc", 0) : 0;
	r->job = j;
	r->result = 0;
	r->done = r->released = r->copied = false;
	pthread_mutex_lock(&e->lock);
	r->in_flight = true;
	r->next = j->q->requests;
	j->q->requests = r;
	j->q->requests_n++;
	pthread_mutex_unlock(&e->lock);
	ret = e->backend->ops->submit(e->backend, r);
	if (ret < 0) {
		pthread_mutex_lock(&e->lock);
		request_unlink(r);
		pthread_mutex_unlock(&e->lock);
	}
	return ret;
}

unsigned job_requests(const struct job *j)
{
	unsigned n;

	pthread_mutex_lock(&j->engine->lock);
	n = j->q->requests_n;
	pthread_mutex_unlock(&j->engine->lock);
	return n;
}

/*
 * The request is the route's again with the stores, which may use it at once
 * for the next: nothing of it is looked at afterwards.
 */
static void request_over(struct request *r)
{
	struct job *j = r->job;

	request_unlink(r);
	__atomic_store_n(&r->released, true, __ATOMIC_RELEASE);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	/* Only what is over for good may be the last that is seen of the job. */
	if (j->q->state == STATE_OVER)
		job_release(j->engine, j);
	else
		engine_wake(j->engine, j);
}

void request_complete(struct request *r, int64_t result, bool over)
{
	struct job *j = r->job;

	r->result = result;
	if (over) {
		request_over(r);
		return;
	}
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	if (j->q->state != STATE_OVER)
		engine_wake(j->engine, j);
}

void request_released(struct request *r, bool copied)
{
	r->copied = copied;
	request_over(r);
}

/* --------------------------------------------------------------- resources */

void *job_scratch(struct job *j, uint64_t *ret_size)
{
	(void)j;
	*ret_size = ENGINE_SCRATCH_BYTES;
	return engine_scratch();
}

struct buffer *job_buffer_get(struct job *j)
{
	return buffers_get(j->engine->buffers);
}

void job_buffer_put(struct job *j, struct buffer *b)
{
	struct engine *e = j->engine;
	struct list *l;

	if (!b)
		return;
	buffers_put(e->buffers, b);
	pthread_mutex_lock(&e->lock);
	l = e->buffer_waiters.next;
	if (l != &e->buffer_waiters)
		engine_wake(e, list_entry(l, struct job_queue, buffer_link)->job);
	pthread_mutex_unlock(&e->lock);
}

bool job_pin(struct job *j, uint64_t bytes)
{
	struct engine *e = j->engine;
	bool ok;

	pthread_mutex_lock(&e->lock);
	ok = bytes <= e->config.pinned_max_bytes &&
	     e->pinned <= e->config.pinned_max_bytes - bytes;
	if (ok)
		e->pinned += bytes;
	pthread_mutex_unlock(&e->lock);
	return ok;
}

void job_unpin(struct job *j, uint64_t bytes)
{
	pthread_mutex_lock(&j->engine->lock);
	j->engine->pinned -= bytes;
	pthread_mutex_unlock(&j->engine->lock);
}

int job_pipe_get(struct job *j, struct pipe **ret)
{
	return pipes_get(j->engine->pipes, ret);
}

void job_pipe_put(struct job *j, struct pipe *p)
{
	if (p)
		pipes_put(j->engine->pipes, p);
}

const void *job_map(struct job *j, uint64_t pos, uint64_t *len_bytes, struct mapping **ret,
		    int *reterr)
{
	return maps_get(j->engine->maps, &j->from, j->from.offset + pos, len_bytes, ret, reterr);
}

void job_unmap(struct job *j, struct mapping *m)
{
	if (m)
		maps_put(j->engine->maps, m);
}
