/* SPDX-License-Identifier: MIT */
/*
 * A round, and what comes before the first: a look at the target, and the way
 * in which its writes are tracked.
 */
#include <errno.h>
#include <stdio.h>

#include "capture/look.h"
#include "predump/predump.h"
#include "sys/sys.h"

#define ROUND_ENOUGH_BYTES (128ull << 10)
#define ROUND_SHRINK_NUM 7           /* less than 7/10 of the round before */
#define ROUND_SHRINK_DEN 10

/* ---------------------------------------------------------------- tracking */

/* TRACK_NONE: nobody will ask what was written. */
static int round_kind(struct predump *p, enum track_kind *ret)
{
	bool once = p->o->rounds == 1 && !(p->o->flags & DECANT_PREDUMP_FINAL);
	uint32_t wanted = p->o->track;

	/* Who comes after us looks at soft-dirty bits, or at nothing. */
	if (once && wanted == DECANT_TRACK_AUTO && caps_has(p->c.caps, FACT_SOFT_DIRTY))
		wanted = DECANT_TRACK_SOFT_DIRTY;
	*ret = TRACK_NONE;
	if (wanted != DECANT_TRACK_SOFT_DIRTY && (once || !p->o->rounds))
		return 0;
	return capture_track_kind(&p->c, wanted, "predump", ret);
}

static int round_track(struct predump *p)
{
	enum track_kind kind;
	int r = round_kind(p, &kind);

	if (r >= 0 && kind != TRACK_NONE)
		r = capture_track(&p->c, kind);
	if (r >= 0)
		(void)snprintf(p->report->tracking, sizeof(p->report->tracking), "%s",
			       track_name(kind));
	return r;
}

/* ----------------------------------------------------------------- a round */

static int round_gather(void *arg, const struct range *v, size_t n, void *data,
			struct ranges *bad)
{
	struct predump *p = arg;
	int r = pages_gather(p->c.t, PAGES_LIVE, v, n, data, bad);

	for (size_t i = 0; i < n; i++)
		p->c.copied_bytes += v[i].end - v[i].start;
	return r;
}

/* What is there, as PRESENT or PARENT. */
static int round_sort(struct predump *p)
{
	bool told = p->c.track && track_kind(p->c.track) == TRACK_WP;
	int r = predump_all(p, false, &p->tmp);

	/* Of what is known and not told write protection knows that it is there. */
	if (r >= 0 && !told) {
		r = predump_there(p, &p->tmp, &p->tmp2);
		ranges_swap(&p->tmp, &p->tmp2);
	}
	if (r >= 0)
		r = ranges_subtract(&p->tmp2, &p->known, &p->written);
	if (r >= 0)
		r = ranges_intersect(&p->parent, &p->tmp, &p->tmp2);
	if (r >= 0)
		r = ranges_subtract(&p->tmp2, &p->tmp, &p->parent);
	return r < 0 ? r : predump_there(p, &p->tmp2, &p->present);
}

/* Listed is what the next round may leave out, if nobody writes to it. */
int predump_account(struct predump *p)
{
	int r = ranges_union(&p->known, &p->present, &p->parent);

	/* Told as written only once: what was not read then is to be looked at again. */
	if (r >= 0)
		r = ranges_union(&p->tmp, &p->lost, &p->written);
	if (r >= 0)
		r = ranges_subtract(&p->lost, &p->tmp, &p->known);
	return r < 0 ? predump_fail(p, r, "account of the pages") : 0;
}

static int round_timed_sort(struct predump *p)
{
	uint64_t began_ns = sys_clock_ns();
	int r = round_sort(p);

	p->scan_ns += sys_clock_ns() - began_ns;
	return r;
}

static int round_timed_scan(struct predump *p)
{
	uint64_t began_ns = sys_clock_ns();
	int r = predump_scan(p, true);

	p->scan_ns += sys_clock_ns() - began_ns;
	return r;
}

static int round_image(struct predump *p, struct dir *d, bool shadow)
{
	struct predump_from from = {
		.gather = shadow ? predump_shadow_gather : round_gather, .arg = p,
		.phase = "rounds", .own = shadow ? &p->own : NULL,
		/* What goes by pipes nobody compares. */
		.shadow = shadow && !p->base,
	};
	uint64_t before = p->report->last_pages;
	int r = round_timed_sort(p);

	if (r < 0)
		return p->c.err.text[0] ? r : predump_fail(p, r, "what is there");
	r = predump_write(p, d, DIR_PROCESS, p->id, &p->present, &p->parent, &from);
	/* A page of another program under the same number is worse than none. */
	if (r >= 0 && (target_gone(p->c.t) || target_execed(p->c.t)))
		r = err_set(&p->c.err, -ESRCH, "process %d: has ended, or executed another program",
			    (int)p->c.t->pid);
	p->last_bytes = (p->report->last_pages - before) * CRIU_PAGE;
	return r;
}

int predump_round_in(struct predump *p, struct dir *d)
{
	bool first = p->images == 0;
	int r = predump_parent_open(p), shadow = 0, ended;

	p->scan_ns = 0;
	if (r >= 0)
		r = predump_scope(p, true);
	/* Later, what is new comes whole once more, which is right whatever it was. */
	if (r >= 0 && first && p->c.track)
		r = predump_arm(p);
	if (r >= 0)
		r = shadow = predump_shadow_wanted(p);
	if (r > 0)
		r = predump_shadow_round(p);
	else if (r == 0 && p->c.track)
		r = round_timed_scan(p);
	if (r >= 0 && !first && p->c.track)
		r = predump_arm(p);
	if (r >= 0)
		r = round_image(p, d, shadow > 0);
	ended = predump_shadow_end(p);
	predump_parent_close(p);
	return r >= 0 && ended < 0 ? ended : r;
}

int predump_round(struct predump *p)
{
	uint64_t begin_ns = sys_clock_ns();
	struct dir *d = NULL;
	int r = predump_begin(p, &d);

	p->report->last_pages = p->report->parent_pages = 0;
	if (r >= 0)
		r = predump_round_in(p, d);
	if (r >= 0)
		r = predump_commit(p, d, begin_ns, false);
	if (r >= 0)
		r = predump_account(p);
	dir_close(d);
	return r;
}

bool predump_more(const struct predump *p, uint64_t last)
{
	if (p->o->rounds != DECANT_PREDUMP_AUTO)
		return p->images < p->o->rounds;
	if (p->images < 2)
		return true;
	return p->images < PREDUMP_AUTO_MAX && p->last_bytes > ROUND_ENOUGH_BYTES &&
	       p->last_bytes < last / ROUND_SHRINK_DEN * ROUND_SHRINK_NUM;
}

int predump_look(struct predump *p)
{
	return look_target(&p->c);
}

int predump_prepare(struct predump *p)
{
	int r = predump_look(p);

	if (r >= 0 && !p->c.tracer)
		r = tracer_start(&p->c.tracer, &p->c.err);
	return r < 0 ? r : round_track(p);
}
