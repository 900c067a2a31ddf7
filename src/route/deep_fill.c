/* SPDX-License-Identifier: MIT */
/* The deep queue: where new pieces come from. */
#include <errno.h>
#include <string.h>

#include "route/deep_slot.h"

/* Bytes that the source is known to have left, at most what was promised. */
static uint64_t deep_left(const struct job *j, const struct deep *d)
{
	uint64_t end = deep_min(j->len, d->limit);

	return end > j->taken ? end - j->taken : 0;
}

/*
 * How many bytes the next piece may have: whole blocks, but for the last one.
 * At least a block where any are allowed: less cannot be written.
 */
static uint64_t deep_want(struct job *j, const struct deep *d, uint64_t max)
{
	uint64_t left = deep_left(j, d);
	uint64_t want = job_want(j, max);

	/* Writing the caller's memory costs this thread no copy: no share of a turn, either. */
	if (want && d->how == DEEP_MEMORY && !j->rate_bytes)
		return deep_min(left, max);
	if (want >= left)
		return deep_min(left, max);
	if (want && want < d->block)
		return deep_min(left, d->block);
	return deep_down(d, want);
}

static struct slot *deep_new(struct deep *d, uint64_t pos)
{
	struct slot *s = deep_slot(d, d->n++);

	*s = (struct slot){ .pos = pos, .req = REQUEST_INIT };
	return s;
}

struct slot *deep_new_buffered(struct job *j, struct deep *d)
{
	struct buffer *b = job_buffer_get(j);
	uint64_t room = b ? b->size_bytes : 0;
	void *data = b ? b->data : NULL;
	struct slot *s;

	if (!b && d->n == 0)
		data = job_scratch(j, &room);
	if (!data)
		return NULL;
	s = deep_new(d, j->taken);
	s->buffer = b;
	s->data = data;
	s->room = (uint32_t)deep_min(deep_down(d, room), DEEP_PIECE_BYTES);
	s->scratch = !b;
	return s;
}

/* The run of data or hole in whole blocks, unless the source ends there. */
static uint64_t deep_run(struct job *j, struct deep *d, uint64_t want, bool *ret_hole)
{
	uint64_t run = holes_run(&d->holes, j->from.offset + j->taken, want, ret_hole);

	if (run == want)
		return want;
	if (*ret_hole && run >= d->block)
		return deep_down(d, run);
	*ret_hole = false;
	return deep_min(want, deep_down(d, run + d->block - 1));
}

/* One piece of a file.  False: no memory for it now. */
static bool deep_fill_read(struct job *j, struct deep *d, uint64_t want)
{
	bool hole;
	uint64_t len = deep_run(j, d, want, &hole);
	struct slot *s = hole ? deep_new(d, j->taken) : deep_new_buffered(j, d);

	if (!s)
		return false;
	s->hole = hole;
	if (!hole)
		len = deep_min(len, s->room);
	s->len = s->plain_from = (uint32_t)len;
	s->state = SLOT_READ;
	job_took(j, len);
	if (!hole)
		slot_read(j, d, s);
	return true;
}

/* One piece of the caller's memory. */
static bool deep_fill_memory(struct job *j, struct deep *d, uint64_t want)
{
	unsigned char *from = j->from.addr + j->taken;
	struct slot *s;

	if (d->how == DEEP_MEMORY) {
		s = deep_new(d, j->taken);
		s->data = from;
	} else {
		int64_t n;

		s = deep_new_buffered(j, d);
		if (!s)
			return false;
		want = deep_min(want, s->room);
		n = end_read(&j->from, s->pos, s->data, want);
		if (n != (int64_t)want) {
			/* What is wrong with it, the plain step will say. */
			d->plain = true;
			slot_drop(j, s);
			d->n--;
			return true;
		}
	}
	s->len = s->plain_from = (uint32_t)want;
	s->state = SLOT_READ;
	job_took(j, want);
	return true;
}

static int deep_fill_pieces(struct job *j, struct deep *d)
{
	uint64_t max = d->how == DEEP_MEMORY ? DEEP_PIECE_MEMORY_BYTES : DEEP_PIECE_BYTES;
	bool progress = false;

	while (!d->plain && d->n < d->depth && deep_left(j, d)) {
		uint64_t want = deep_want(j, d, max);

		if (!want)
			break;
		if (!(d->how == DEEP_READ ? deep_fill_read(j, d, want) :
					    deep_fill_memory(j, d, want)))
			return DEEP_NO_MEMORY;
		progress = true;
	}
	return progress ? STEP_MORE : STEP_WAIT;
}

/* Nothing is in flight: does the next piece go through the page cache? */
static bool deep_wants_plain(const struct job *j, const struct deep *d)
{
	if (j->taken - d->carry_len != j->sent || d->plain)
		return true;
	if (d->carry_len)
		return false;
	if ((j->to.offset + j->sent) & (d->block - 1))
		return true;
	return d->how != DEEP_RECEIVE && deep_left(j, d) == 0;
}

int deep_fill(struct job *j, struct deep *d)
{
	int r;

	if (d->stop)
		return STEP_WAIT;
	if (d->n == 0 && d->ended)
		return d->ended_error ? job_fail_source(j, d->ended_error) : job_source_ended(j);
	if (d->n == 0 && deep_wants_plain(j, d)) {
		uint64_t head = (j->to.offset + j->sent) & (d->block - 1);

		return job_plain_step(j, head && !d->plain ? d->block - head : DEEP_PIECE_BYTES);
	}
	r = d->how == DEEP_RECEIVE ? deep_fill_stream(j, d) : deep_fill_pieces(j, d);
	if (r != DEEP_NO_MEMORY)
		return r;
	if (d->n == 0)
		return job_fail(j, -ENOMEM, "%s: no memory for a piece", j->ops->name);
	/* What is in flight will give some back. */
	return deep_slot(d, 0)->scratch ? STEP_MORE : STEP_WAIT;
}
