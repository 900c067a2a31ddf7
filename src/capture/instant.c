/* SPDX-License-Identifier: MIT */
/* What is done while the target stands still; in the tracer. */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "capture/capture.h"
#include "capture/look.h"
#include "capture/objects.h"
#include "sys/sys.h"

#define INSTANT_TRIES 50
#define INSTANT_RETRY_NS 2000000ull

/* --------------------------------------------------------------- the stop */

int capture_in_tracer(struct capture *c, int (*fn)(void *arg), void *arg)
{
	int r = -ETIMEDOUT;

	/* The tracer lets go of a thread that does not stop only when fn has returned. */
	for (unsigned i = 0; i < INSTANT_TRIES && r == -ETIMEDOUT; i++) {
		if (i) {
			(void)sys_sleep_ns(INSTANT_RETRY_NS);
			r = capture_tick(c, "waiting", 0);
			if (r < 0)
				return r;
		}
		r = stop_seize(&c->stop, c->t, &c->err);
		if (r < 0)
			return r;
		r = tracer_run(c->tracer, fn, arg);
	}
	return r == -ETIMEDOUT ? -ETIME : r;
}

int capture_stop(struct capture *c, bool details, int (*before_busy)(void *arg))
{
	struct stop_options o = {
		.timeout_ns = CAPTURE_STOP_TIMEOUT_NS,
		.details = details,
		.before_busy = before_busy,
		.arg = c,
	};
	int r = stop_begin(&c->stop, &o, &c->err);

	if (r < 0)
		return r;
	if (target_execed(c->t))
		r = err_set(&c->err, -ESRCH, "process %d: has executed another program",
			    (int)c->t->pid);
	if (r >= 0 && details)
		r = stop_details(&c->stop, &c->err);
	if (r < 0)
		capture_resume(c);
	return r;
}

void capture_resume(struct capture *c)
{
	uint64_t pause;

	call_close(c->call);
	c->call = NULL;
	stop_resume(&c->stop);
	/* Idle threads of very many are stopped before those at work, and let go after. */
	pause = c->stop.busy_end_ns - c->stop.busy_ns;
	c->report->whole_pause_ns = max_u64(c->report->whole_pause_ns,
					    c->stop.end_ns - c->stop.begin_ns);
	c->report->instant_ns = c->stop.busy_ns;
	c->report->stops++;
	c->report->pauses_ns += pause;
	c->report->pause_ns = max_u64(c->report->pause_ns, pause);
}

int capture_open_call(struct capture *c)
{
	bool unsafe = c->o->flags & DECANT_CAPTURE_UNSAFE;
	int r;

	if (c->frozen)
		return err_set(&c->err, -ENOTSUP, "process %d: %s", (int)c->t->pid, look_frozen);
	if (!c->has_gadgets)
		return err_set(&c->err, -ENOTSUP, "%s", c->gadgets_err.text);
	r = call_open(&c->call, &c->stop, &c->before, &c->gadgets, CALL_FRAME, &c->err);
	if (r == -ENOTSUP && unsafe)
		r = call_open(&c->call, &c->stop, &c->before, &c->gadgets, CALL_PLAIN, &c->err);
	return r;
}

struct instant_call {
	struct capture *c;
	int (*fn)(struct capture *c);
};

static int instant_call(void *arg)
{
	struct instant_call *call = arg;
	int r = capture_stop(call->c, false, NULL);

	if (r < 0)
		return r;
	r = capture_open_call(call->c);
	if (r >= 0)
		r = call->fn(call->c);
	capture_resume(call->c);
	return r;
}

int capture_call(struct capture *c, int (*fn)(struct capture *c))
{
	struct instant_call call = { c, fn };

	return capture_in_tracer(c, instant_call, &call);
}

/* -------------------------------------------------------------- its scope */

/*
 * A writable mapping of a file belongs in the core once one of its pages was
 * written; smaps said so for then, the pages say so for now.
 */
static int instant_find_written(struct capture *c, struct vma *v)
{
	struct pages_found found = { .there = &c->tmp, .file = &c->tmp2 };
	int r;

	ranges_clear(&c->tmp);
	ranges_clear(&c->tmp2);
	r = pages_scan(c->t, v->start, v->end, &found, &c->err);
	if (r < 0)
		return r;
	if (ranges_bytes(&c->tmp) > ranges_bytes(&c->tmp2))
		v->flags |= VMA_ANON;
	return 0;
}

int capture_scope_now(struct capture *c, enum scope_cover cover)
{
	struct scope_rules rules = {
		.filter = c->filter,
		.all = c->o->flags & DECANT_CAPTURE_ALL,
		.cover = cover,
	};
	int r = maps_read(c->t, MAPS_PLAIN, &c->maps, &c->err);

	if (r < 0)
		return r;
	maps_adopt(&c->maps, &c->before);
	for (size_t i = 0; i < c->maps.n && r >= 0; i++) {
		struct vma *v = &c->maps.v[i];

		if ((v->flags & (VMA_FILE | VMA_SHARED | VMA_ANON)) == VMA_FILE &&
		    (v->flags & VMA_WRITE))
			r = instant_find_written(c, v);
	}
	if (r < 0)
		return r;
	c->report->mappings = (uint32_t)c->maps.n;
	c->report->threads = (uint32_t)c->stop.n;
	r = scope_make(&c->scope, &c->maps, &rules);
	return r < 0 ? capture_fail(c, r, "listing the mappings") : 0;
}

/* -------------------------------------- what only a stop gives consistently */

static int instant_object(struct capture *c, const struct scope_part *p)
{
	const struct vma *v = &c->maps.v[p->vma];
	int r;

	ranges_clear(&c->tmp);
	r = objects_data(c->objects, &c->maps, v, p->start, p->end, &c->tmp);
	for (size_t i = 0; i < c->tmp.n && r >= 0; i++) {
		const struct range *x = &c->tmp.v[i];
		unsigned char *data;
		int64_t n;

		r = keep_piece(&c->keep, x->start, x->end, &data);
		if (r < 0)
			return r;
		n = objects_read(c->objects, &c->maps, v, x->start, data, x->end - x->start);
		if (n < 0)
			return (int)n;
		memset(data + n, 0, x->end - x->start - (uint64_t)n);
	}
	return r;
}

static int instant_part(struct capture *c, const struct scope_part *p)
{
	const struct vma *v = &c->maps.v[p->vma];
	struct pages_found found = { .there = &c->tmp };
	uint64_t before = c->keep.bytes;
	int r = -EACCES;

	if (v->flags & VMA_SHARED)
		r = instant_object(c, p);
	if (r < 0 && c->keep.bytes == before) {
		ranges_clear(&c->tmp);
		if (v->flags & VMA_SHARED)
			r = ranges_add(&c->tmp, p->start, p->end);
		else
			r = pages_scan(c->t, p->start, p->end, &found, &c->err);
		/* hugetlb pages that are not there are no zero pages either. */
		if (r >= 0)
			r = keep_gather(&c->keep, c->t, &c->tmp, &c->unreadable);
		c->swapped_bytes += found.swapped_bytes;
	}
	c->report->stopped_bytes += c->keep.bytes - before;
	return r;
}

int capture_stopped_parts(struct capture *c)
{
	struct ranges *own = &c->tmp2; /* the residue is still wanted */
	int r = 0;

	for (size_t i = 0; i < c->scope.n && r >= 0; i++)
		if (c->scope.v[i].how == SCOPE_STOPPED)
			r = instant_part(c, &c->scope.v[i]);
	/* A shadow has the pinned pages as they were: only tracking misses them. */
	if (r >= 0 && c->track && c->pinned.n) {
		ranges_clear(own);
		r = capture_there(c, c->t, &c->pinned, own);
		if (r >= 0)
			r = keep_gather(&c->keep, c->t, own, &c->unreadable);
		c->report->stopped_bytes += ranges_bytes(own);
	}
	return r < 0 ? capture_fail(c, r, "copying in the stop") : 0;
}
