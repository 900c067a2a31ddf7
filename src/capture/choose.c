/* SPDX-License-Identifier: MIT */
/* Which strategy: the one that was asked for, or the best that meets the bound. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "capture/capture.h"
#include "capture/choose.h"
#include "capture/look.h"
#include "sys/sys.h"

#define CHOOSE_SAMPLE_NS 50000000ull
#define CHOOSE_NAMED_BYTES (1ull << 20)   /* less in the stop is no reason */

static void choose_why(struct capture *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void choose_why(struct capture *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->report->message, sizeof(c->report->message), fmt, ap);
	va_end(ap);
}

/* The strategy with the shortest pause of those that can be; NULL: none. */
static const struct decant_forecast *choose_shortest(const struct decant_capture_plan *p)
{
	const struct decant_forecast *best = NULL;

	for (unsigned i = 0; i < 3; i++)
		if (p->forecasts[i].possible &&
		    (!best || p->forecasts[i].pause_ns < best->pause_ns))
			best = &p->forecasts[i];
	return best;
}

static int choose_nothing(struct capture *c, const struct decant_capture_plan *p)
{
	const struct decant_forecast *best = choose_shortest(p);
	bool much = p->stopped_bytes >= CHOOSE_NAMED_BYTES;

	return err_set(&c->err, -E2BIG, "no strategy stays below a pause of %.1f ms: %s would take "
		       "about %.1f ms%s%s", (double)c->pause_max_ns / 1e6,
		       best ? forecast_name(best->strategy) : "none",
		       best ? (double)best->pause_ns / 1e6 : 0.0,
		       much ? ", for it copies in the stop: " : "", much ? p->stopped_why : "");
}

static int choose_asked(struct capture *c, uint32_t *ret)
{
	struct decant_capture_plan p = DECANT_CAPTURE_PLAN_INIT;
	const struct decant_forecast *asked;
	bool calls = c->o->strategy == DECANT_STRATEGY_FORK ||
		     (c->o->strategy == DECANT_STRATEGY_PRECOPY &&
		      track_best(c->caps) == TRACK_WP);
	int r;

	*ret = c->o->strategy;
	if (c->frozen && calls)
		return err_set(&c->err, -ENOTSUP, "process %d: %s", (int)c->t->pid, look_frozen);
	choose_why(c, "asked for");
	if (!c->bounded)
		return 0;
	r = look_forecast(c, 0, &p);
	if (r < 0)
		return r;
	asked = &p.forecasts[c->o->strategy - DECANT_STRATEGY_PRECOPY];
	/* What cannot be is refused where it would be done, with its reason. */
	return asked->possible && asked->pause_ns > c->pause_max_ns ? choose_nothing(c, &p) : 0;
}

static int choose_auto(struct capture *c, uint32_t *ret)
{
	struct decant_capture_plan p = DECANT_CAPTURE_PLAN_INIT;
	const struct decant_forecast *best;
	int r = look_forecast(c, CHOOSE_SAMPLE_NS, &p);

	if (r < 0)
		return r;
	*ret = p.strategy;
	if (c->frozen) {
		choose_why(c, "its cgroup is frozen: no pause hurts it");
		return 0;
	}
	if (*ret != DECANT_STRATEGY_AUTO) {
		choose_why(c, "a pause of about %.1f ms expected, %.1f ms allowed",
			   (double)p.forecasts[*ret - DECANT_STRATEGY_PRECOPY].pause_ns / 1e6,
			   (double)c->pause_max_ns / 1e6);
		return 0;
	}
	if (c->bounded)
		return choose_nothing(c, &p);
	best = choose_shortest(&p);
	*ret = best ? best->strategy : DECANT_STRATEGY_STOP;
	choose_why(c, "nothing stays below %.1f ms: the shortest pause, about %.1f ms",
		   (double)c->pause_max_ns / 1e6, best ? (double)best->pause_ns / 1e6 : 0.0);
	return 0;
}

int capture_choose(struct capture *c, uint32_t *ret)
{
	return c->o->strategy == DECANT_STRATEGY_AUTO ? choose_auto(c, ret) : choose_asked(c, ret);
}

/* Rounds that do not shrink: what they wrote is of no use to a shadow's image. */
static int choose_turn(struct capture *c)
{
	int r = writer_flush(c->writer, &c->err);

	if (r >= 0)
		r = sys_ftruncate(c->sink->fd, 0);
	if (r < 0)
		return c->err.text[0] ? r : capture_fail(c, r, "emptying the image");
	ranges_clear(&c->in_file);
	ranges_clear(&c->rewritten);
	ranges_clear(&c->zeros);
	ranges_clear(&c->stale);
	ranges_clear(&c->again);
	keep_clear(&c->keep);
	c->accounted = 0;
	c->report->strategy = DECANT_STRATEGY_FORK;
	choose_why(c, "its memory is written faster than rounds can copy it");
	r = look_room(c, SCOPE_COVER_FORK);
	return r < 0 ? r : capture_fork(c);
}

int capture_diverged(struct capture *c)
{
	struct decant_capture_plan p = DECANT_CAPTURE_PLAN_INIT;
	int r;

	if (c->o->strategy == DECANT_STRATEGY_PRECOPY)
		return err_set(&c->err, -E2BIG, "precopy: the target writes faster than it can be "
			       "copied within a pause of %.1f ms; fork does not depend on that",
			       (double)c->pause_max_ns / 1e6);
	r = look_forecast(c, 0, &p);
	if (r < 0)
		return r;
	/* It was tried, whatever the forecast still says. */
	p.forecasts[0].possible = 0;
	if (!p.forecasts[1].possible || (p.forecasts[1].pause_ns > c->pause_max_ns && c->bounded))
		return choose_nothing(c, &p);
	return choose_turn(c);
}

