/* SPDX-License-Identifier: MIT */
/* The deep queue: pieces that are received from a stream. */
#include <errno.h>
#include <string.h>

#include "route/deep_slot.h"
#include "sys/sys.h"

#define DEEP_PATIENCE_NS 50000000u

/* Let the last slot be written as far as it was filled. */
static void deep_close_slot(struct job *j, struct deep *d, struct slot *s)
{
	s->len = s->plain_from = s->done;
	s->state = SLOT_READ;
	if (s->len)
		return;
	slot_drop(j, s);
	d->n--;
}

/* A slot to receive into, with what was carried over; NULL: no memory. */
static struct slot *deep_filling(struct job *j, struct deep *d)
{
	struct slot *s = d->n ? deep_slot(d, d->n - 1) : NULL;

	if (s && s->state == SLOT_FILLING)
		return s;
	s = deep_new_buffered(j, d);
	if (!s)
		return NULL;
	s->len = s->room;
	s->pos -= d->carry_len;
	s->done = d->carry_len;
	if (s->done)
		memcpy(s->data, d->carry, s->done);
	d->carry_len = 0;
	return s;
}

/* Its whole blocks can be written; the rest is put aside. */
static void deep_park(struct job *j, struct deep *d, struct slot *s)
{
	uint32_t rest = s->done & (uint32_t)(d->block - 1);

	memcpy(d->carry, s->data + s->done - rest, rest);
	d->carry_len = rest;
	s->done -= rest;
	deep_close_slot(j, d, s);
}

/*
 * The peer is silent.  Who waits for one keeps no memory that he can do
 * without, after a moment.
 */
static int deep_idle(struct job *j, struct deep *d, struct slot *s)
{
	uint64_t now = s->done ? sys_clock_ns() : 0;

	job_wait_source(j);
	if (s->done && !d->idle_ns)
		d->idle_ns = now;
	if (s->done && now - d->idle_ns < DEEP_PATIENCE_NS) {
		job_wait_ns(j, DEEP_PATIENCE_NS - (now - d->idle_ns));
		return STEP_WAIT;
	}
	deep_park(j, d, s);
	return STEP_WAIT;
}

/*
 * Receive into the last slot, a new one if that is full.  STEP_MORE: there
 * were bytes, or the end.  DEEP_NO_MEMORY.
 */
static int deep_receive(struct job *j, struct deep *d, uint64_t want)
{
	struct slot *s = deep_filling(j, d);
	int64_t n;

	if (!s)
		return DEEP_NO_MEMORY;
	n = end_read(&j->from, s->pos + s->done, s->data + s->done,
		     deep_min(want, s->len - s->done));
	if (n == -EAGAIN)
		return deep_idle(j, d, s);
	d->idle_ns = 0;
	if (n <= 0) {
		/* A socket tells of an error only once: keep it until all is written. */
		d->ended = true;
		d->ended_error = (int)n;
		n = 0;
	}
	job_took(j, (uint64_t)n);
	s->done += (uint32_t)n;
	if (d->ended || s->done == s->len || job_all_taken(j))
		deep_close_slot(j, d, s);
	return STEP_MORE;
}

static int deep_fill_slots(struct job *j, struct deep *d)
{
	bool progress = false;

	while (!d->ended) {
		uint64_t want;
		int r;

		if (d->n == d->depth && deep_slot(d, d->n - 1)->state != SLOT_FILLING)
			break;
		want = job_want(j, DEEP_PIECE_BYTES);
		if (!want)
			break;
		r = deep_receive(j, d, want);
		if (r != STEP_MORE)
			return r;
		progress = true;
	}
	return progress ? STEP_MORE : STEP_WAIT;
}

int deep_fill_stream(struct job *j, struct deep *d)
{
	int r = deep_fill_slots(j, d);
	struct slot *last = d->n ? deep_slot(d, d->n - 1) : NULL;

	if (last && last->scratch && last->state == SLOT_FILLING)
		deep_park(j, d, last);
	return r;
}
