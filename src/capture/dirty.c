/* SPDX-License-Identifier: MIT */
/* decant_dirty_*(): begin, looks, intervals, the end. */
#include "capture/dirty.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "capture/look.h"
#include "sys/sys.h"

#define DIRTY_PAGE 4096u
#define DIRTY_GONE_LOOKS 50
#define DIRTY_GONE_NS 1000000ull

int dirty_fail(struct decant_dirty *d, int code, const char *what)
{
	return err_errno(&d->c.err, code, "%s", what);
}

/* a += b. */
static int dirty_union(struct decant_dirty *d, struct ranges *a, const struct ranges *b)
{
	int r = ranges_union(&d->tmp, a, b);

	if (r < 0)
		return dirty_fail(d, r, "account of the pages");
	ranges_swap(a, &d->tmp);
	return 0;
}

/* -------------------------------------------------------------------- begin */

static int dirty_track(struct decant_dirty *d)
{
	struct capture *c = &d->c;
	int r = capture_track_kind(c, d->o.track, "dirty", &d->kind);

	if (r < 0)
		return r;
	if (d->kind == TRACK_WP && c->frozen)
		return err_set(&c->err, -ENOTSUP, "process %d: %s", (int)c->t->pid, look_frozen);
	if (d->kind == TRACK_WP)
		r = tracer_start(&c->tracer, &c->err);
	if (r >= 0)
		r = capture_track(c, d->kind);
	/* There is no stop but that one. */
	tracer_stop(c->tracer);
	c->tracer = NULL;
	return r;
}

static int dirty_prepare(struct decant_dirty *d)
{
	struct capture *c = &d->c;
	int r = look_target(c);

	if (r >= 0)
		r = look_forecast(c, 0, &d->before);
	if (r >= 0)
		r = dirty_track(d);
	d->begin_ns = d->interval_ns = d->look_ns = sys_clock_ns();
	/* The first look is not of what was written, but of what is there. */
	return r < 0 ? r : dirty_scan(d);
}

static int dirty_check(struct decant *d, const struct decant_target *t,
		       const struct decant_dirty_options *o,
		       const struct decant_dirty_report *report)
{
	if (o->size < sizeof(*o))
		return err_set(&d->err, -EINVAL,
			       "options: size is not set (use DECANT_DIRTY_OPTIONS_INIT)");
	if (report && report->size < sizeof(*report))
		return err_set(&d->err, -EINVAL,
			       "report: size is not set (use DECANT_DIRTY_REPORT_INIT)");
	if (o->flags & ~(uint32_t)DECANT_DIRTY_UNSAFE || o->track > DECANT_TRACK_SOFT_DIRTY ||
	    o->reserved)
		return err_set(&d->err, -EINVAL, "options: unknown tracking or flag");
	if (t->d != d)
		return err_set(&d->err, -EINVAL, "target: was opened by another engine");
	return 0;
}

static void dirty_init(struct decant_dirty *c, struct decant *d, struct decant_target *t,
		       const struct decant_dirty_options *o)
{
	c->o = *o;
	c->before = (struct decant_capture_plan)DECANT_CAPTURE_PLAN_INIT;
	c->capture_options = (struct decant_capture_options)DECANT_CAPTURE_OPTIONS_INIT;
	if (o->flags & DECANT_DIRTY_UNSAFE)
		c->capture_options.flags = DECANT_CAPTURE_UNSAFE;
	c->capture_report = (struct decant_capture_report)DECANT_CAPTURE_REPORT_INIT;
	c->c = (struct capture){
		.d = d, .caps = d->caps, .t = t->target,
		.o = &c->capture_options, .report = &c->capture_report,
		.pause_max_ns = o->pause_max_ns ? o->pause_max_ns : CAPTURE_PAUSE_DEFAULT_NS,
		.begin_ns = sys_clock_ns(),
	};
}

static void dirty_report(const struct decant_dirty *c, struct decant_dirty_report *ret)
{
	ret->stops = c->capture_report.stops;
	ret->pause_ns = c->capture_report.pause_ns;
	ret->whole_pause_ns = c->capture_report.whole_pause_ns;
	(void)snprintf(ret->tracking, sizeof(ret->tracking), "%s",
		       track_name(c->kind));
}

int decant_dirty_begin(struct decant *d, struct decant_dirty **ret, struct decant_target *t,
		       const struct decant_dirty_options *options,
		       struct decant_dirty_report *report)
{
	static const struct decant_dirty_options none = DECANT_DIRTY_OPTIONS_INIT;
	struct decant_dirty *c;
	int r;

	if (!d || !ret || !t)
		return -EINVAL;
	r = dirty_check(d, t, options ? options : &none, report);
	if (r < 0)
		return r;
	c = sys_calloc(1, sizeof(*c));
	if (!c)
		return err_set(&d->err, -ENOMEM, "dirty: out of memory");
	dirty_init(c, d, t, options ? options : &none);
	r = dirty_prepare(c);
	if (r < 0) {
		if (!c->c.err.text[0])
			(void)dirty_fail(c, r, "dirty");
		d->err = c->c.err;
		decant_dirty_end(c);
		return r;
	}
	if (report)
		dirty_report(c, report);
	*ret = c;
	return 0;
}

void decant_dirty_end(struct decant_dirty *c)
{
	if (!c)
		return;
	capture_deinit(&c->c);
	for (unsigned i = 0; i < DIRTY_LEVELS; i++)
		ranges_free(&c->levels[i].pages);

	struct ranges *all[] = {
		&c->look, &c->interval, &c->done, &c->seen, &c->part, &c->there, &c->file, &c->tmp,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ranges_free(all[i]);
	free(c->mappings);
	free(c->ranges);
	free(c);
}

/* -------------------------------------------------------------------- looks */

static int dirty_gone(struct decant_dirty *c)
{
	c->ended = true;
	/* One that is killed has lost its memory a moment before it has ended. */
	for (unsigned i = 0; i < DIRTY_GONE_LOOKS && !target_gone(c->c.t); i++)
		(void)sys_sleep_ns(DIRTY_GONE_NS);
	return err_set(&c->c.err, -ESRCH, "process %d: has %s", (int)c->c.t->pid,
		       target_gone(c->c.t) ? "ended" : "executed another program");
}

static int dirty_look(struct decant_dirty *c)
{
	uint64_t now = sys_clock_ns();
	int r;

	c->c.err = (struct err){ "" };
	if (c->ended || target_gone(c->c.t) || target_execed(c->c.t))
		return dirty_gone(c);
	r = dirty_scan(c);
	/* What was told may be of memory that was being taken down. */
	if (target_gone(c->c.t) || target_execed(c->c.t))
		return dirty_gone(c);
	if (r >= 0)
		r = dirty_union(c, &c->interval, &c->look);
	if (r < 0)
		return c->c.err.text[0] ? r : dirty_fail(c, r, "looking at what was written");
	c->looks++;
	curve_add(&c->curve, now - c->look_ns, ranges_bytes(&c->look) / DIRTY_PAGE);
	c->look_ns = now;
	return 0;
}

static int dirty_told(struct decant_dirty *c, int r)
{
	if (r < 0)
		c->c.d->err = c->c.err;
	return r;
}

int decant_dirty_look(struct decant_dirty *c)
{
	return c ? dirty_told(c, dirty_look(c)) : -EINVAL;
}

/* ---------------------------------------------------------------- intervals */

/*
 * Two windows that follow each other are one of both lengths: like a carry in
 * a binary counter.
 */
static int dirty_carry(struct decant_dirty *c, uint64_t ns)
{
	struct ranges *pages = &c->done;

	for (unsigned i = 0; i < DIRTY_LEVELS; i++) {
		struct dirty_level *l = &c->levels[i];
		int r;

		if (pages->n > DIRTY_RANGES_MAX)
			return 0;
		if (!l->full) {
			ranges_clear(&l->pages);
			r = dirty_union(c, &l->pages, pages);
			l->ns = ns;
			l->full = r == 0;
			return r;
		}
		r = dirty_union(c, &l->pages, pages);
		if (r < 0)
			return r;
		l->full = false;
		ns += l->ns;
		pages = &l->pages;
		curve_add(&c->curve, ns, ranges_bytes(pages) / DIRTY_PAGE);
	}
	return 0;
}

static int dirty_count(struct decant_dirty *c, struct decant_dirty_interval *ret)
{
	uint64_t before = ranges_bytes(&c->seen);
	int r;

	ret->new_pages = ret->seen_pages = UINT64_MAX;
	if (c->seen_lost)
		return 0;
	r = dirty_union(c, &c->seen, &c->done);
	if (r < 0)
		return r;
	ret->seen_pages = ranges_bytes(&c->seen) / DIRTY_PAGE;
	ret->new_pages = ret->seen_pages - before / DIRTY_PAGE;
	if (c->seen.n > DIRTY_RANGES_MAX) {
		ranges_free(&c->seen);
		c->seen_lost = true;
	}
	return 0;
}

static int dirty_ranges(struct decant_dirty *c, struct decant_dirty_interval *ret)
{
	size_t n = c->done.n;

	if (n > c->ranges_size) {
		struct decant_dirty_range *v = sys_realloc(c->ranges, n * sizeof(*v));

		if (!v)
			return dirty_fail(c, -ENOMEM, "listing the pages");
		c->ranges = v;
		c->ranges_size = n;
	}
	for (size_t i = 0; i < n; i++)
		c->ranges[i] = (struct decant_dirty_range){ c->done.v[i].start, c->done.v[i].end };
	ret->ranges = c->ranges;
	ret->ranges_n = n;
	return 0;
}

/* The interval is over: what was seen in it, into *ret. */
static int dirty_take(struct decant_dirty *c, struct decant_dirty_interval *ret)
{
	uint64_t gone = 0;
	int r = 0;

	ranges_swap(&c->done, &c->interval);
	ranges_clear(&c->interval);
	ret->looks = c->looks;
	ret->begin_ns = c->interval_ns - c->begin_ns;
	ret->end_ns = c->look_ns - c->begin_ns;
	ret->pages = ret->gone_pages = ranges_bytes(&c->done) / DIRTY_PAGE;
	ret->mappings = NULL;
	ret->mappings_n = 0;
	if (!c->ended) {
		r = dirty_mappings(c, &c->done, &gone);
		ret->mappings = c->mappings;
		ret->mappings_n = c->mappings_n;
		ret->gone_pages = gone;
	}
	if (r >= 0)
		r = dirty_ranges(c, ret);
	if (r >= 0)
		r = dirty_count(c, ret);
	/* One look is in the curve already. */
	if (r >= 0 && c->looks > 1)
		curve_add(&c->curve, c->look_ns - c->interval_ns, ret->pages);
	if (r >= 0 && !c->ended)
		r = dirty_carry(c, c->look_ns - c->interval_ns);
	c->interval_ns = c->look_ns;
	c->looks = 0;
	return r;
}

int decant_dirty_next(struct decant_dirty *c, struct decant_dirty_interval *ret)
{
	int r, taken;

	if (!c || !ret || ret->size < sizeof(*ret))
		return -EINVAL;
	r = dirty_look(c);
	if (r < 0 && r != -ESRCH)
		return dirty_told(c, r);
	taken = dirty_take(c, ret);
	return dirty_told(c, r < 0 ? r : taken);
}

int decant_dirty_plan(struct decant_dirty *c, struct decant_dirty_plan *ret)
{
	struct decant_capture_plan now = DECANT_CAPTURE_PLAN_INIT;
	struct capture *k;

	if (!c || !ret || ret->size < sizeof(*ret))
		return -EINVAL;
	k = &c->c;
	k->err = (struct err){ "" };
	ret->windows_n = curve_points(&c->curve, ret->windows);
	if (!ret->windows_n)
		return dirty_told(c, err_set(&k->err, -ENODATA,
					     "dirty: nothing was looked at yet"));
	/* It may have grown since. */
	if (!c->ended && look_forecast(k, 0, &now) >= 0)
		c->before = now;
	if (!c->measured)
		dirty_measure(c);
	ret->bandwidth_bytes = c->bandwidth_bytes;
	ret->bandwidth_from = c->bandwidth_from;
	ret->pause_max_ns = k->pause_max_ns;
	dirty_forecast(&c->before, &c->curve, ret);
	return 0;
}
