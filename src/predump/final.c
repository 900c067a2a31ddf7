/* SPDX-License-Identifier: MIT */
/*
 * The image of one instant.  What was written since the last round is kept in
 * memory, first while the target runs, then what is left of it in the stop, and
 * goes to the disk when it runs again.  What is too much for that a shadow has,
 * or it is written while the target stands still.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "base/checked.h"
#include "predump/predump.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define FINAL_KEEP_PIECES 8192
#define FINAL_COPY_NS_MIB 300000ull  /* in the stop, when it was not measured */
#define FINAL_MEASURE_BYTES (1u << 20)

/* ------------------------------------------------------- before and in the stop */

static int final_early_keep(struct predump *p)
{
	struct capture *c = &p->c;
	uint64_t began_ns = sys_clock_ns();
	int r;

	ranges_clear(&p->bad);
	r = keep_gather(&c->keep, c->t, &p->early, &p->bad);
	p->early_n = c->keep.n;
	p->early_ns = sys_clock_ns() - began_ns;
	*p->room -= c->keep.bytes;
	c->copied_bytes += c->keep.bytes;
	if (r >= 0)
		r = ranges_subtract(&p->tmp, &p->early, &p->bad);
	if (r >= 0)
		ranges_swap(&p->early, &p->tmp);
	return r;
}

/*
 * What was written since the last round, while it runs; early: what of it is
 * kept.  Once more if there was no stop after it: then that is lost.
 */
static int final_early(struct predump *p)
{
	struct capture *c = &p->c;
	int r;

	if (p->early_done || !c->track || track_kind(c->track) != TRACK_WP ||
	    p->o->mode == DECANT_PREDUMP_VMSPLICE)
		return 0;
	r = ranges_union(&p->tmp, &p->lost, &p->early);
	if (r < 0)
		return r;
	ranges_swap(&p->lost, &p->tmp);
	r = predump_scan(p, true);
	if (r >= 0)
		r = predump_there(p, &p->written, &p->early);
	/* Too much: the stop looks at it. */
	if (ranges_bytes(&p->early) > min_u64(*p->room, PREDUMP_EARLY_BYTES))
		ranges_clear(&p->early);
	if (r >= 0)
		r = final_early_keep(p);
	if (r < 0)
		return r;
	/* Not known any more, nor to be asked for again but where it could not be read. */
	r = ranges_subtract(&p->tmp, &p->known, &p->written);
	if (r < 0)
		return r;
	ranges_swap(&p->known, &p->tmp);
	r = ranges_union(&p->tmp, &p->lost, &p->written);
	return r < 0 ? r : ranges_subtract(&p->lost, &p->tmp, &p->early);
}

/* What must be looked at in the stop, into written. */
static int final_written(struct predump *p)
{
	int r = 0;

	if (!p->c.track) {
		r = predump_all(p, false, &p->written);
		return r;
	}
	r = predump_scan(p, false);
	for (size_t i = 0; i < p->lost.n && r >= 0; i++)
		r = ranges_add(&p->written, p->lost.v[i].start, p->lost.v[i].end);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++) {
		const struct predump_part *part = &p->parts[i];

		if (part->fixed && !ranges_has(&p->known, part->start))
			r = ranges_add(&p->written, part->start, part->end);
	}
	return r;
}

/*
 * present: what there is to copy now.  parent: what was listed and not written.
 * early: what was kept before and not written since.
 */
static int final_sort(struct predump *p)
{
	int r = predump_all(p, false, &p->tmp);

	if (r >= 0)
		r = ranges_subtract(&p->tmp2, &p->tmp, &p->written);
	/* tmp2: all that is as it was when it was last looked at. */
	if (r >= 0)
		r = ranges_intersect(&p->parent, &p->known, &p->tmp2);
	if (r >= 0)
		r = ranges_intersect(&p->tmp, &p->early, &p->tmp2);
	if (r < 0)
		return r;
	ranges_swap(&p->early, &p->tmp);
	return predump_there(p, &p->written, &p->present);
}

int predump_final_look(struct predump *p)
{
	struct capture *c = &p->c;
	int r = predump_scope(p, false);

	if (r >= 0)
		r = final_written(p);
	if (r >= 0)
		r = final_sort(p);
	if (r >= 0)
		r = predump_shared_look(p);
	if (r < 0)
		return c->err.text[0] ? r : predump_fail(p, r, "looking in the stop");
	p->report->residue_bytes += ranges_bytes(&p->present);
	p->report->threads += (uint32_t)c->stop.n;
	return 0;
}

/* ------------------------------------------------------- which way, and copying */

static uint64_t final_copy_ns(const struct predump *p, uint64_t bytes)
{
	uint64_t early = ranges_bytes(&p->early);

	if (early >= FINAL_MEASURE_BYTES && p->early_ns)
		return (uint64_t)((double)bytes / (double)early * (double)p->early_ns);
	return (uint64_t)((double)bytes / (1 << 20) * (double)FINAL_COPY_NS_MIB);
}

/* Shorter than a fork, and there is room: a copy.  Else a shadow, if there can be one. */
static enum predump_how final_how(struct predump *p, uint64_t bytes)
{
	uint64_t copy_ns = final_copy_ns(p, bytes), fork_ns = predump_shadow_cost_ns(p);
	const char *not = predump_shadow_not(p);
	bool room = bytes <= *p->room;
	double mib = (double)bytes / (1 << 20);

	if (p->o->mode == DECANT_PREDUMP_VMSPLICE) {
		predump_reason(p, "vmsplice", "as told");
		return PREDUMP_SHADOW;
	}
	if (p->o->mode == DECANT_PREDUMP_READ) {
		predump_reason(p, "read", room ? "as told" :
			       "as told; %.0f MiB are more than is kept in memory", mib);
		return room ? PREDUMP_KEEP : PREDUMP_HOLD;
	}
	if (room && (not || copy_ns <= fork_ns)) {
		predump_reason(p, "read", "%.1f MiB to copy in the stop take %.1f ms, a shadow "
			       "%.1f ms", mib, (double)copy_ns / 1e6, (double)fork_ns / 1e6);
		return PREDUMP_KEEP;
	}
	if (not) {
		predump_reason(p, "read", "%.0f MiB are more than is kept in memory, and no "
			       "shadow: %s", mib, not);
		return PREDUMP_HOLD;
	}
	predump_reason(p, "vmsplice", "%.0f MiB to copy in the stop %s, a shadow takes %.1f ms",
		       mib, room ? "take longer" : "are more than is kept in memory",
		       (double)fork_ns / 1e6);
	return PREDUMP_SHADOW;
}

/* What a shadow has not, into own and the keep. */
static int final_own(struct predump *p)
{
	struct capture *c = &p->c;
	int r = predump_all(p, true, &p->tmp);

	if (r >= 0)
		r = ranges_intersect(&p->own, &p->tmp, &p->present);
	if (r < 0)
		return r;
	if (ranges_bytes(&p->own) > *p->room) {
		predump_reason(p, "read", "what a shadow has not is more than is kept in memory");
		p->how = PREDUMP_HOLD;
		return 0;
	}
	r = keep_gather(&c->keep, c->t, &p->own, &c->unreadable);
	*p->room -= min_u64(*p->room, ranges_bytes(&p->own));
	return r < 0 ? r : predump_shadow_make(p);
}

int predump_final_take(struct predump *p)
{
	struct capture *c = &p->c;
	uint64_t bytes = ranges_bytes(&p->present);
	int r = 0;

	p->how = final_how(p, bytes);
	if (p->how == PREDUMP_KEEP) {
		r = keep_gather(&c->keep, c->t, &p->present, &c->unreadable);
		*p->room -= bytes;
		c->copied_bytes += bytes;
	} else if (p->how == PREDUMP_SHADOW) {
		r = final_own(p);
		/* It can still be done, if not as fast. */
		if (r < 0 && p->o->mode == DECANT_PREDUMP_MODE_AUTO && r != -ESRCH) {
			c->err.text[0] = '\0';
			p->how = PREDUMP_HOLD;
			r = 0;
		}
	}
	p->late_n = c->keep.n;
	return r < 0 && !c->err.text[0] ? predump_fail(p, r, "copying in the stop") : r;
}

int predump_final_early(struct predump *p)
{
	int r = final_early(p);

	return r < 0 && !p->c.err.text[0] ? predump_fail(p, r, "the last round") : r;
}

static int final_before_busy(void *arg)
{
	struct capture *c = arg;
	struct predump *p = (struct predump *)((char *)c - offsetof(struct predump, c));

	return predump_final_early(p);
}

int predump_final_stop(struct predump *p)
{
	return capture_stop(&p->c, true, final_before_busy);
}

int predump_final_go(struct predump *p)
{
	int r = 0;

	/* It stops again before a thread of it makes a step. */
	if (p->o->flags & DECANT_PREDUMP_STOPPED)
		r = sys_pidfd_send_signal(p->c.t->pidfd, SIGSTOP, NULL, 0);
	capture_resume(&p->c);
	p->held = false;
	return r;
}

static int final_in_stop(struct predump *p)
{
	struct predump_shared *s = p->shared;
	int r = predump_final_look(p);

	if (r >= 0)
		r = predump_final_take(p);
	if (r < 0)
		return r;
	p->held = p->how == PREDUMP_HOLD || s->bytes > *p->room;
	return p->held ? 0 : predump_shared_keep(s);
}

static int final_instant(void *arg)
{
	struct predump *p = arg;
	struct capture *c = &p->c;
	int r;

	/* It may be the second try. */
	keep_clear(&c->keep);
	predump_shared_free(p->shared);
	*p->room = PREDUMP_KEEP_BYTES;
	p->report->residue_bytes = p->report->threads = 0;
	r = predump_final_stop(p);
	if (r < 0)
		return r;
	r = final_in_stop(p);
	if (r < 0)
		capture_resume(c);
	else if (!p->held)
		r = predump_final_go(p);
	return r;
}

static int final_go(void *arg)
{
	return predump_final_go(arg);
}

static int final_let_go(void *arg)
{
	struct predump *p = arg;

	capture_resume(&p->c);
	p->held = false;
	return 0;
}

/* --------------------------------------------------------------- the image */

static int final_image(struct predump *p, struct dir *d, uint64_t begin_ns)
{
	int r;

	p->report->last_pages = p->report->parent_pages = 0;
	r = predump_final_write(p, d);
	if (r >= 0)
		r = predump_shared_write(p, d);
	return r < 0 ? r : predump_commit(p, d, begin_ns, true);
}

/* A page server that keeps no images before needs all of it: the stop looks at all, then. */
static int final_whole(struct predump *p)
{
	int r;

	if (!p->o->to || !p->images || p->to_parent)
		return 0;
	ranges_clear(&p->known);
	r = predump_all(p, false, &p->tmp);
	ranges_swap(&p->lost, &p->tmp);
	return r < 0 ? predump_fail(p, r, "account of the pages") : 0;
}

int predump_final_begin(struct predump *p, uint64_t keep_bytes)
{
	int r = predump_parent_open(p);

	p->scan_ns = 0;
	if (r >= 0)
		r = predump_scope(p, true);
	if (r >= 0)
		r = final_whole(p);
	if (r < 0)
		return r;
	r = keep_reserve(&p->c.keep, keep_bytes, FINAL_KEEP_PIECES);
	return r < 0 ? predump_fail(p, r, "room for the stop") : 0;
}

int predump_final(struct predump *p)
{
	struct capture *c = &p->c;
	uint64_t begin_ns = sys_clock_ns();
	struct dir *d = NULL;
	int r = predump_begin(p, &d), went;

	if (r >= 0)
		r = predump_final_begin(p, PREDUMP_KEEP_BYTES);
	if (r >= 0) {
		r = capture_in_tracer(c, final_instant, p);
		if (r < 0 && !c->err.text[0])
			r = predump_fail(p, r, "the stop");
		if (r >= 0)
			r = final_image(p, d, begin_ns);
		/* Stopped it stays only for the sake of an image. */
		if (p->held) {
			went = tracer_run(c->tracer, r < 0 ? final_let_go : final_go, p);
			r = r < 0 ? r : went;
		} else if (r < 0 && p->o->flags & DECANT_PREDUMP_STOPPED) {
			(void)sys_pidfd_send_signal(c->t->pidfd, SIGCONT, NULL, 0);
		}
	}
	(void)predump_shadow_end(p);
	predump_parent_close(p);
	dir_close(d);
	return r;
}
