/* SPDX-License-Identifier: MIT */
/* fork and stop: one instant, read at leisure from a shadow, or while all stand still. */
#include <errno.h>

#include "capture/capture.h"
#include "capture/objects.h"
#include "capture/stream.h"
#include "sys/sys.h"

/* ------------------------------------------------------------- the instant */

static int fork_stopped(struct capture *c)
{
	int r = capture_scope_now(c, SCOPE_COVER_FORK);

	if (r >= 0)
		r = capture_open_call(c);
	if (r >= 0)
		r = shadow_make(&c->shadow, c->call, &c->err);
	/* Nothing moves until all go on: what a shadow has not may be copied after it. */
	if (r >= 0)
		r = capture_stopped_parts(c);
	return r;
}

static int fork_instant(void *arg)
{
	struct capture *c = arg;
	int r = capture_stop(c, true, NULL);

	if (r < 0)
		return r;
	r = fork_stopped(c);
	capture_resume(c);
	return r;
}

static int fork_kill(void *arg)
{
	struct capture *c = arg;

	shadow_kill(&c->shadow);
	return 0;
}

/*
 * A target that is the init of its pid namespace, or a subreaper, was given
 * the dead shadow as a child; one more stop takes it away.
 */
static int fork_reap(struct capture *c)
{
	return shadow_reap(&c->shadow, c->call, &c->err);
}

int capture_shadow_end(struct capture *c)
{
	(void)tracer_run(c->tracer, fork_kill, c);
	return c->shadow.ns_pid ? capture_call(c, fork_reap) : 0;
}

static int whole_instant(void *arg)
{
	struct capture *c = arg;
	int r = capture_stop(c, true, NULL);

	if (r < 0)
		return r;
	r = capture_scope_now(c, SCOPE_COVER_STOP);
	if (r < 0)
		capture_resume(c);
	return r;
}

static int whole_resume(void *arg)
{
	struct capture *c = arg;

	capture_resume(c);
	return 0;
}

/* --------------------------------------------------------------- its pages */

/* Every page of every part that is in memory, to its place in the file. */
static int fork_copy_parts(struct capture *c, enum capture_from from, const char *phase)
{
	const struct target *of = from == CAPTURE_FROM_SHADOW ? &c->shadow.target : c->t;
	uint64_t expected = c->t->status.vm_rss_kib << 10;
	struct pages_found found = { .there = &c->residue };
	int r = 0;

	c->sparse = true;
	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];
		bool mine = p->how == SCOPE_PRIVATE ||
			    (p->how == SCOPE_STOPPED && from == CAPTURE_FROM_TARGET);

		if (!mine || (c->maps.v[p->vma].flags & VMA_SHARED))
			continue;
		ranges_clear(&c->residue);
		r = pages_scan(of, p->start, p->end, &found, &c->err);
		if (r >= 0)
			capture_allocate(c, &c->residue);
		if (r >= 0)
			r = capture_copy(c, from, &c->residue, phase, expected);
		for (size_t k = 0; k < c->residue.n && r >= 0; k++)
			r = ranges_add(&c->in_file, c->residue.v[k].start, c->residue.v[k].end);
	}
	c->swapped_bytes += found.swapped_bytes;
	c->sparse = false;
	return r;
}

/* Shared memory while all stand still, without keeping it in memory. */
static int whole_copy_shared(struct capture *c)
{
	int r = 0;

	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];
		const struct vma *v = &c->maps.v[p->vma];

		if (p->how != SCOPE_STOPPED || !(v->flags & VMA_SHARED))
			continue;
		ranges_clear(&c->tmp);
		r = capture_shared(c, p, &c->tmp);
		for (size_t k = 0; k < c->tmp.n && r >= 0; k++)
			r = capture_copy_file(c, p, c->tmp.v[k].start, c->tmp.v[k].end);
		c->copied_bytes += ranges_bytes(&c->tmp);
	}
	return r;
}

/* ----------------------------------------------------------- the strategies */

static int fork_read(struct capture *c)
{
	int r;

	if (c->stream)
		return stream_write(c, CAPTURE_FROM_SHADOW);
	r = capture_place(c);
	return r < 0 ? r : fork_copy_parts(c, CAPTURE_FROM_SHADOW, "reading");
}

int capture_fork(struct capture *c)
{
	int r, ended;

	if (c->fork_err.text[0])
		return err_set(&c->err, -ENOTSUP, "%s", c->fork_err.text);
	r = capture_in_tracer(c, fork_instant, c);
	if (r < 0 && !c->err.text[0])
		(void)capture_fail(c, r, "making a shadow");
	if (r >= 0)
		r = shadow_open(&c->shadow, c->t, &c->err);
	if (r >= 0)
		r = fork_read(c);
	/* What it had is then not "unreadable", it was never read. */
	if (r >= 0 && target_gone(&c->shadow.target))
		r = err_set(&c->err, -ESRCH, "the shadow of process %d was killed (out of memory?)",
			    (int)c->t->pid);
	/* A target that has exited takes its zombie along. */
	ended = capture_shadow_end(c);
	return r >= 0 && ended < 0 && !target_gone(c->t) ? ended : r;
}

static int whole_read(struct capture *c)
{
	int r;

	c->report->stopped_bytes = 0;
	if (c->stream)
		return stream_write(c, CAPTURE_FROM_TARGET);
	r = capture_place(c);
	if (r >= 0)
		r = fork_copy_parts(c, CAPTURE_FROM_TARGET, "stopped");
	if (r >= 0)
		r = whole_copy_shared(c);
	for (size_t k = 0; k < c->again.n && r >= 0; k++)
		r = ranges_add(&c->unreadable, c->again.v[k].start, c->again.v[k].end);
	c->report->stopped_bytes = c->copied_bytes;
	return r;
}

int capture_whole(struct capture *c)
{
	int r = capture_in_tracer(c, whole_instant, c);

	if (r < 0)
		return c->err.text[0] ? r : capture_fail(c, r, "the stop");
	r = whole_read(c);
	if (r >= 0 && target_gone(c->t))
		r = err_set(&c->err, -ESRCH, "process %d: was killed while it was captured",
			    (int)c->t->pid);
	(void)tracer_run(c->tracer, whole_resume, c);
	return r;
}
