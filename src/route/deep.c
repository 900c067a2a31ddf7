/* SPDX-License-Identifier: MIT */
/* The deep queue of O_DIRECT writes: order, accounts, beginning and end. */
#include <errno.h>
#include <stdlib.h>

#include "route/deep_slot.h"
#include "route/reopen.h"
#include "sys/sys.h"

bool deep_fits_sink(const struct query *q, struct fit *fit)
{
	if (caps_masked(q->caps, FACT_O_DIRECT))
		return route_refuse(fit, "O_DIRECT is masked");
	if (q->to->append)
		return route_refuse(fit, "the sink is open for appending: the order of its writes "
				    "would be lost");
	if (!q->to->cached_fs)
		return route_refuse(fit, "the sink's file system is memory: nothing to go past");
	if (!q->to->dio_align || q->to->dio_mem_align > 4096)
		return route_refuse(fit, "the sink's file system has no O_DIRECT");
	return true;
}

static uint64_t deep_limit(const struct job *j)
{
	uint64_t size = j->from.kind == DECANT_END_MEMORY ? j->from.size : end_size_now(&j->from);

	if (size == END_SIZE_UNKNOWN)
		return UINT64_MAX;
	return size > j->from.offset ? size - j->from.offset : 0;
}

static int deep_open(struct job *j, struct deep *d)
{
	d->block = j->to.dio_align > 4096 ? j->to.dio_align : 4096;
	d->to_fd = reopen_direct(j, &j->to);
	if (d->to_fd < 0)
		return d->to_fd;
	if (d->how == DEEP_RECEIVE) {
		d->limit = UINT64_MAX;
		d->carry = sys_malloc(d->block);
		return d->carry ? 0 : job_fail(j, -ENOMEM, "queue of pieces: out of memory");
	}
	d->limit = deep_limit(j);
	if (d->how != DEEP_READ)
		return 0;
	if (j->from.dio_align > d->block)
		d->block = j->from.dio_align;
	d->from_fd = reopen_direct(j, &j->from);
	if (d->from_fd < 0)
		return d->from_fd;
	holes_open(&d->holes, j);
	return 0;
}

int deep_start(struct job *j, enum deep_how how)
{
	struct deep *d = sys_calloc(1, sizeof(*d));
	int r;

	if (!d)
		return job_fail(j, -ENOMEM, "queue of pieces: out of memory");
	d->how = how;
	d->depth = how == DEEP_MEMORY ? DEEP_SLOTS : DEEP_SLOTS_BUFFERED;
	d->copies = how == DEEP_BOUNCE || how == DEEP_RECEIVE;
	d->from_fd = d->to_fd = d->holes.from_fd = -1;
	j->priv = d;
	r = deep_open(j, d);
	if (r < 0)
		deep_finish(j);
	return r;
}

void deep_finish(struct job *j)
{
	struct deep *d = j->priv;

	if (!d)
		return;
	for (unsigned i = 0; i < d->n; i++)
		slot_drop(j, deep_slot(d, i));
	(void)holes_settle(&d->holes);
	holes_close(&d->holes);
	if (d->from_fd >= 0)
		(void)sys_close(d->from_fd);
	if (d->to_fd >= 0)
		(void)sys_close(d->to_fd);
	free(d->carry);
	free(d);
	j->priv = NULL;
}

/* The slot's bytes are written: the account and the checksum. */
static void deep_account(struct job *j, const struct deep *d, const struct slot *s)
{
	uint32_t direct = s->done < s->plain_from ? s->done : s->plain_from;

	if (s->hole) {
		holes_hash(j, s->len);
		job_sent(j, s->len, 0);
		return;
	}
	if (s->done)
		job_hash(j, s->data, s->done);
	if (direct)
		job_sent(j, direct, d->copies);
	if (s->done > direct)
		job_sent(j, s->done - direct, d->copies + 1);
}

static int deep_failed(struct job *j, const struct deep *d, const struct slot *s)
{
	if (s->read_failed) {
		j->taken = s->pos + s->done;
		return job_fail_source(j, s->error);
	}
	if (!s->hole)
		deep_account(j, d, s);
	if (s->error == -EFAULT && d->how == DEEP_MEMORY)
		return job_fail_source(j, s->error);
	return job_fail_sink(j, s->error);
}

/* Retire from the head what is written. */
static int deep_retire(struct job *j, struct deep *d)
{
	while (d->n) {
		struct slot *s = deep_slot(d, 0);

		slot_advance(j, d, s, true, true);
		if (s->state == SLOT_FAILED)
			return deep_failed(j, d, s);
		if (s->state != SLOT_WRITTEN)
			break;
		deep_account(j, d, s);
		slot_drop(j, s);
		d->head = (d->head + 1) % DEEP_SLOTS;
		d->n--;
	}
	return 0;
}

/* Completions, and what can be started because of them. */
static int deep_collect(struct job *j, struct deep *d)
{
	bool in_order = true;

	for (unsigned i = 0; i < d->n; i++) {
		struct slot *s = deep_slot(d, i);

		slot_advance(j, d, s, in_order, i == 0);
		if (s->state == SLOT_FILLING || s->state == SLOT_READING)
			in_order = false;
		if (s->state == SLOT_FAILED) {
			d->stop = true;
			in_order = false;
		}
	}
	if (in_order && !d->snapshotted && d->how != DEEP_MEMORY && job_all_taken(j)) {
		d->snapshotted = true;
		job_snapshotted(j, 0);
	}
	return deep_retire(j, d);
}

/* Is there something that neither a completion nor a wait will bring about? */
static bool deep_has_work(struct job *j, struct deep *d)
{
	return d->n && deep_slot(d, 0)->state != SLOT_FILLING && job_requests(j) == 0;
}

int deep_step(struct job *j)
{
	struct deep *d = j->priv;
	int r = deep_collect(j, d), r2;

	if (r < 0)
		return r;
	if (d->n || !job_all_taken(j) || j->taken != j->sent) {
		r = deep_fill(j, d);
		if (r < 0)
			return r;
		r2 = deep_collect(j, d);
		if (r2 < 0)
			return r2;
		if (r == STEP_WAIT && deep_has_work(j, d))
			return STEP_MORE;
		if (r != STEP_DONE && (d->n || !job_all_taken(j) || j->taken != j->sent))
			return r;
	}
	r = holes_settle(&d->holes);
	return r < 0 ? job_fail_sink(j, r) : STEP_DONE;
}
