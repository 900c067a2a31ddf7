/* SPDX-License-Identifier: MIT */
/* decant_target_*() and decant_capture*(): checks, the choice, and the way through. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "capture/capture.h"
#include "capture/choose.h"
#include "capture/look.h"
#include "capture/objects.h"
#include "sys/sys.h"

#define CAPTURE_SAMPLE_PLAN_NS 200000000ull
#define CAPTURE_NICE 5
#define CAPTURE_TICK_NS 100000000ull       /* a wait asks so often whether to go on */
#define CAPTURE_SLICE_NS 100000ull         /* the shortest that the kernel gives */
#define CAPTURE_FLAGS (DECANT_CAPTURE_ALL | DECANT_CAPTURE_BEST_EFFORT | \
		       DECANT_CAPTURE_FILTER | DECANT_CAPTURE_ZSTD | DECANT_CAPTURE_UNSAFE | \
		       DECANT_CAPTURE_YIELD)

/* ----------------------------------------------------------------- targets */

int decant_target_open(struct decant *d, struct decant_target **ret, pid_t pid)
{
	struct decant_target *t;
	int r;

	if (!d || !ret)
		return -EINVAL;
	t = sys_calloc(1, sizeof(*t));
	if (!t)
		return err_set(&d->err, -ENOMEM, "process %d: no memory", (int)pid);
	t->d = d;
	r = target_open(&t->target, pid, d->caps, &d->err);
	if (r < 0) {
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void decant_target_close(struct decant_target *t)
{
	if (!t)
		return;
	target_close(t->target);
	free(t);
}

/* ------------------------------------------------------------ small things */

int capture_fail(struct capture *c, int code, const char *fmt, ...)
{
	struct err what = { "" };
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(&what, code, fmt, ap);
	va_end(ap);
	return err_errno(&c->err, code, "%s", what.text);
}

int capture_tick(struct capture *c, const char *phase, uint64_t expected_bytes)
{
	struct decant_capture_progress p = { phase, c->copied_bytes, expected_bytes };
	uint64_t now, due = 0;

	if (c->o->rate_bytes && !c->stop.stands)
		due = c->begin_ns + (uint64_t)((double)c->copied_bytes /
					       (double)c->o->rate_bytes * 1e9);
	for (;;) {
		now = sys_clock_ns();
		if (c->deadline_ns && now >= c->deadline_ns)
			return err_set(&c->err, -ETIME, "capture: not done within the timeout");
		if (c->o->progress && c->o->progress(c->o->progress_arg, &p) != 0)
			return err_set(&c->err, -ECANCELED, "capture: cancelled");
		if (due <= now)
			return 0;
		/* A slow rate is a long wait: who asks, or cancels, is heard in it. */
		(void)sys_sleep_ns(min_u64(due - now, CAPTURE_TICK_NS));
	}
}

/* ------------------------------------------------------------- begin, end */

static int capture_check(struct decant *d, const struct decant_target *t,
			 const struct decant_capture_options *o)
{
	if (o->size < sizeof(*o))
		return err_set(&d->err, -EINVAL,
			       "options: size is not set (use DECANT_CAPTURE_OPTIONS_INIT)");
	if (o->strategy > DECANT_STRATEGY_STOP || (o->flags & ~(uint32_t)CAPTURE_FLAGS))
		return err_set(&d->err, -EINVAL, "options: unknown strategy or flag");
	if (t->d != d)
		return err_set(&d->err, -EINVAL, "target: was opened by another engine");
	return 0;
}

static int capture_check_sink(struct decant *d, const struct decant_image_sink *s,
			      const struct decant_capture_options *o, bool *ret_stream)
{
	struct stat st;
	int r, fl;

	if (s->size < sizeof(*s))
		return err_set(&d->err, -EINVAL,
			       "sink: size is not set (use DECANT_IMAGE_SINK_INIT)");
	if (s->format != DECANT_IMAGE_CORE)
		return err_set(&d->err, -EINVAL, "sink: unknown format");
	r = sys_fstat(s->fd, &st);
	fl = sys_getfl(s->fd);
	if (r < 0 || fl < 0)
		return err_errno(&d->err, r < 0 ? r : fl, "sink");
	if ((fl & O_ACCMODE) == O_RDONLY)
		return err_set(&d->err, -EBADF, "sink: is not open for writing");
	*ret_stream = !S_ISREG(st.st_mode) || (o->flags & DECANT_CAPTURE_ZSTD);
	if (!*ret_stream && st.st_size)
		return err_set(&d->err, -EINVAL, "sink: the file is not empty");
	if (!*ret_stream && (fl & O_APPEND))
		return err_set(&d->err, -EINVAL,
			       "sink: open for appending: no page finds its place");
	if (*ret_stream && o->strategy == DECANT_STRATEGY_PRECOPY)
		return err_set(&d->err, -ESPIPE, "sink: a stream takes no page twice: precopy "
			       "needs a file (fork and stop can stream)");
	return 0;
}

static void capture_init(struct capture *c, struct decant *d, struct decant_target *t,
			 const struct decant_capture_options *o, struct decant_capture_report *rep)
{
	*c = (struct capture){
		.d = d,
		.caps = d->caps,
		.t = t->target,
		.o = o,
		.report = rep,
		.begin_ns = sys_clock_ns(),
		.cpu_begin_ns = sys_process_cpu_ns(),
		.pause_max_ns = o->pause_max_ns ? o->pause_max_ns : CAPTURE_PAUSE_DEFAULT_NS,
	};
	c->bounded = !(o->flags & DECANT_CAPTURE_BEST_EFFORT) &&
		     (o->strategy == DECANT_STRATEGY_AUTO || o->pause_max_ns);
	if (o->timeout_ns)
		c->deadline_ns = c->begin_ns + o->timeout_ns;
}

void capture_deinit(struct capture *c)
{
	struct ranges *all[] = { &c->pinned, &c->in_file, &c->rewritten, &c->stale, &c->again,
				 &c->unreadable, &c->mixed, &c->zeros, &c->written, &c->there,
				 &c->residue, &c->tmp, &c->tmp2 };

	track_close(c->track);
	tracer_stop(c->tracer);
	stop_free(&c->stop);
	writer_close(c->writer);
	objects_close(c->objects);
	keep_free(&c->keep);
	core_layout_free(&c->layout);
	scope_free(&c->scope);
	maps_free(&c->before);
	maps_free(&c->maps);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ranges_free(all[i]);
	buf_free(&c->notes);
	buf_free(&c->auxv);
	buf_free(&c->args);
}

static enum scope_cover capture_cover(uint32_t strategy)
{
	return strategy == DECANT_STRATEGY_PRECOPY ? SCOPE_COVER_TRACK :
	       strategy == DECANT_STRATEGY_FORK ? SCOPE_COVER_FORK : SCOPE_COVER_STOP;
}

static int capture_strategy(struct capture *c, uint32_t strategy)
{
	bool diverges = false;
	int r = 0;

	c->report->strategy = strategy;
	if (strategy != DECANT_STRATEGY_STOP)
		r = look_room(c, capture_cover(strategy));
	if (r >= 0 && !c->stream)
		r = writer_open(&c->writer, c->caps, c->sink->fd, &c->err);
	if (r < 0)
		return r;
	if (strategy == DECANT_STRATEGY_PRECOPY) {
		r = capture_precopy(c, &diverges);
		if (r >= 0 && diverges)
			r = capture_diverged(c);
	} else {
		r = strategy == DECANT_STRATEGY_FORK ? capture_fork(c) : capture_whole(c);
	}
	return r < 0 || c->stream ? r : capture_finish(c);
}

static int capture_run(struct capture *c)
{
	uint32_t strategy = DECANT_STRATEGY_AUTO;
	int r = look_target(c);

	if (r >= 0)
		r = capture_choose(c, &strategy);
	if (r >= 0)
		r = tracer_start(&c->tracer, &c->err);
	/* Not the tracer: the target stands still for it. */
	if (r >= 0 && (c->o->flags & DECANT_CAPTURE_YIELD))
		(void)sys_yield_thread(CAPTURE_NICE, CAPTURE_SLICE_NS);
	return r < 0 ? r : capture_strategy(c, strategy);
}

static void capture_report(struct capture *c, int r)
{
	struct decant_capture_report *rep = c->report;

	rep->total_ns = sys_clock_ns() - c->begin_ns;
	rep->cpu_ns = sys_process_cpu_ns() - c->cpu_begin_ns;
	rep->copied_bytes = c->copied_bytes;
	/* Those of a plain stop are among them already. */
	if (rep->strategy != DECANT_STRATEGY_STOP)
		rep->copied_bytes += rep->stopped_bytes;
	rep->swapped_bytes = c->swapped_bytes;
	rep->mixed_bytes = ranges_bytes(&c->mixed);
	rep->unreadable_bytes = ranges_bytes(&c->unreadable);
	if (r < 0) {
		(void)snprintf(rep->message, sizeof(rep->message), "%s", c->err.text);
		c->d->err = c->err;
	}
}

int decant_capture(struct decant *d, struct decant_target *t,
		   const struct decant_capture_options *options,
		   const struct decant_image_sink *sink, struct decant_capture_report *report)
{
	static const struct decant_capture_options none = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_report own = DECANT_CAPTURE_REPORT_INIT;
	struct capture c;
	bool stream = false;
	int r;

	if (!d || !t || !sink)
		return -EINVAL;
	if (report && report->size < sizeof(*report))
		return err_set(&d->err, -EINVAL,
			       "report: size is not set (use DECANT_CAPTURE_REPORT_INIT)");
	if (!options)
		options = &none;
	r = capture_check(d, t, options);
	if (r >= 0)
		r = capture_check_sink(d, sink, options, &stream);
	if (r < 0) {
		(void)snprintf(own.message, sizeof(own.message), "%s", d->err.text);
		if (report)
			*report = own;
		return r;
	}
	capture_init(&c, d, t, options, &own);
	c.sink = sink;
	c.stream = stream;
	r = capture_run(&c);
	capture_report(&c, r);
	capture_deinit(&c);
	if (report)
		*report = own;
	return r;
}

int decant_capture_plan(struct decant *d, struct decant_target *t,
			const struct decant_capture_options *options, uint64_t sample_ns,
			struct decant_capture_plan *ret)
{
	static const struct decant_capture_options none = DECANT_CAPTURE_OPTIONS_INIT;
	struct decant_capture_report own = DECANT_CAPTURE_REPORT_INIT;
	struct capture c;
	int r;

	if (!d || !t || !ret)
		return -EINVAL;
	if (ret->size < sizeof(*ret))
		return err_set(&d->err, -EINVAL,
			       "plan: size is not set (use DECANT_CAPTURE_PLAN_INIT)");
	r = capture_check(d, t, options ? options : &none);
	if (r < 0)
		return r;
	capture_init(&c, d, t, options ? options : &none, &own);
	r = look_target(&c);
	if (r >= 0)
		r = look_forecast(&c, sample_ns ? sample_ns : CAPTURE_SAMPLE_PLAN_NS, ret);
	if (r < 0)
		d->err = c.err;
	capture_deinit(&c);
	return r;
}
