/* SPDX-License-Identifier: MIT */
/* decant_predump(): checks, and one round after the other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "capture/look.h"
#include "capture/objects.h"
#include "predump/tree.h"
#include "sys/sys.h"

#define PREDUMP_FLAGS (DECANT_PREDUMP_FINAL | DECANT_PREDUMP_STOPPED | DECANT_PREDUMP_CLEAN | \
		       DECANT_PREDUMP_SYNC | DECANT_PREDUMP_UNSAFE | DECANT_PREDUMP_TREE)
#define PREDUMP_ROUNDS_MAX 200       /* a chain may have 256 levels */
#define PREDUMP_ENOUGH_BYTES (128ull << 10)
#define PREDUMP_SHRINK_NUM 7         /* less than 7/10 of the round before */
#define PREDUMP_SHRINK_DEN 10

int predump_fail(struct predump *p, int code, const char *what)
{
	return err_errno(&p->c.err, code, "%s", what);
}

void predump_swap(struct ranges *a, struct ranges *b)
{
	struct ranges swap = *a;

	*a = *b;
	*b = swap;
}

/* ---------------------------------------------------------------- tracking */

/* TRACK_NONE: nobody will ask what was written. */
static int predump_kind(struct predump *p, enum track_kind *ret)
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

static int predump_track(struct predump *p)
{
	enum track_kind kind;
	int r = predump_kind(p, &kind);

	if (r >= 0 && kind != TRACK_NONE)
		r = capture_track(&p->c, kind);
	if (r >= 0)
		(void)snprintf(p->report->tracking, sizeof(p->report->tracking), "%s",
			       track_name(kind));
	return r;
}

/* ----------------------------------------------------------------- a round */

static int predump_gather(void *arg, const struct range *v, size_t n, void *data,
			  struct ranges *bad)
{
	struct predump *p = arg;
	int r = pages_gather(p->c.t, PAGES_LIVE, v, n, data, bad);

	for (size_t i = 0; i < n; i++)
		p->c.copied_bytes += v[i].end - v[i].start;
	return r;
}

/* What is there, as PRESENT or PARENT. */
static int predump_sort(struct predump *p)
{
	bool told = p->c.track && track_kind(p->c.track) == TRACK_WP;
	int r = predump_all(p, false, &p->tmp);

	/* Of what is known and not told write protection knows that it is there. */
	if (r >= 0 && !told) {
		r = predump_there(p, &p->tmp, &p->tmp2);
		predump_swap(&p->tmp, &p->tmp2);
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

static int predump_timed_sort(struct predump *p)
{
	uint64_t began_ns = sys_clock_ns();
	int r = predump_sort(p);

	p->scan_ns += sys_clock_ns() - began_ns;
	return r;
}

static int predump_timed_scan(struct predump *p)
{
	uint64_t began_ns = sys_clock_ns();
	int r = predump_scan(p, true);

	p->scan_ns += sys_clock_ns() - began_ns;
	return r;
}

static int predump_image(struct predump *p, struct dir *d, bool shadow)
{
	struct predump_from from = {
		.gather = shadow ? predump_shadow_gather : predump_gather, .arg = p,
		.phase = "rounds", .own = shadow ? &p->own : NULL,
		/* What goes by pipes nobody compares. */
		.shadow = shadow && !p->base,
	};
	uint64_t before = p->report->last_pages;
	int r = predump_timed_sort(p);

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
		r = predump_timed_scan(p);
	if (r >= 0 && !first && p->c.track)
		r = predump_arm(p);
	if (r >= 0)
		r = predump_image(p, d, shadow > 0);
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
	return p->images < PREDUMP_AUTO_MAX && p->last_bytes > PREDUMP_ENOUGH_BYTES &&
	       p->last_bytes < last / PREDUMP_SHRINK_DEN * PREDUMP_SHRINK_NUM;
}

int predump_look(struct predump *p)
{
	int r = objects_open(&p->c.objects, p->c.t, &p->c.err);

	return r < 0 ? r : look_target(&p->c);
}

int predump_prepare(struct predump *p)
{
	int r = predump_look(p);

	if (r >= 0 && !p->c.tracer)
		r = tracer_start(&p->c.tracer, &p->c.err);
	return r < 0 ? r : predump_track(p);
}

static int predump_rounds(struct predump *p)
{
	uint64_t last = UINT64_MAX;
	int r = 0;

	while (r >= 0 && predump_more(p, last)) {
		last = p->last_bytes;
		r = predump_round(p);
	}
	return r;
}

/* -------------------------------------------------------------- begin, end */

int predump_check_options(struct decant *d, const struct decant_target *t,
			  const struct decant_predump_options *o)
{
	bool final = o->flags & DECANT_PREDUMP_FINAL;

	if (o->size < sizeof(*o))
		return err_set(&d->err, -EINVAL,
			       "options: size is not set (use DECANT_PREDUMP_OPTIONS_INIT)");
	if (o->track > DECANT_TRACK_SOFT_DIRTY || (o->flags & ~(uint32_t)PREDUMP_FLAGS))
		return err_set(&d->err, -EINVAL, "options: unknown tracking or flag");
	if (o->flags & DECANT_PREDUMP_STOPPED && !final)
		return err_set(&d->err, -EINVAL, "options: only a final image leaves it stopped");
	if (!o->rounds && !final)
		return err_set(&d->err, -EINVAL, "options: no round and no final image");
	if (o->rounds > PREDUMP_ROUNDS_MAX && o->rounds != DECANT_PREDUMP_AUTO)
		return err_set(&d->err, -EINVAL, "options: more than %d rounds",
			       PREDUMP_ROUNDS_MAX);
	if (o->mode > DECANT_PREDUMP_VMSPLICE)
		return err_set(&d->err, -EINVAL, "options: unknown mode");
	if (o->parent && o->to)
		return err_set(&d->err, -EINVAL, "options: a page server has the parent itself");
	if (t->d != d)
		return err_set(&d->err, -EINVAL, "target: was opened by another engine");
	return 0;
}

int predump_check_dir(struct decant *d, const char *dir)
{
	if (!dir[0] || strlen(dir) > DIR_PATH_MAX - 16)
		return err_set(&d->err, -EINVAL, "directory: its name is empty or too long");
	return 0;
}

void predump_init(struct predump *p, struct decant *d, struct decant_target *t, const char *dir,
		  const struct decant_predump_options *o, struct decant_predump_report *rep)
{
	uint32_t final = o->flags & DECANT_PREDUMP_FINAL ? 1 : 0;

	*p = (struct predump){
		.d = d, .o = o, .report = rep, .path = dir,
		.numbered = o->rounds == DECANT_PREDUMP_AUTO || o->rounds + final > 1,
		.capture_options = {
			.size = sizeof(struct decant_capture_options),
			.flags = o->flags & DECANT_PREDUMP_UNSAFE ? DECANT_CAPTURE_UNSAFE : 0u,
			.strategy = DECANT_STRATEGY_PRECOPY,
			.timeout_ns = o->timeout_ns, .rate_bytes = o->rate_bytes,
			.progress = o->progress, .progress_arg = o->arg,
		},
		.capture_report = DECANT_CAPTURE_REPORT_INIT,
		.id = (uint64_t)(t->target->status.ns_pid ? t->target->status.ns_pid :
							    t->target->pid),
		.last_bytes = UINT64_MAX,
	};
	p->shared = &p->shared_own;
	p->room = &p->room_own;
	p->c = (struct capture){
		.d = d, .caps = d->caps, .t = t->target,
		.o = &p->capture_options, .report = &p->capture_report,
		.begin_ns = sys_clock_ns(), .cpu_begin_ns = sys_process_cpu_ns(),
	};
	p->capture_report.strategy = DECANT_STRATEGY_PRECOPY;
	if (o->timeout_ns)
		p->c.deadline_ns = p->c.begin_ns + o->timeout_ns;
	rep->numbered = p->numbered;
	rep->pid = p->id;
	rep->processes = 1;
}

void predump_deinit(struct predump *p)
{
	struct capture *c = &p->c;
	struct ranges *all[] = {
		&p->armed, &p->known, &p->lost, &p->written, &p->there, &p->present, &p->parent,
		&p->bad, &p->tmp, &p->tmp2, &p->early, &p->same, &p->own, &c->pinned, &c->again,
		&c->unreadable, &c->there, &c->tmp, &c->tmp2,
	};

	predump_shared_free(&p->shared_own);
	predump_parent_close(p);
	track_close(c->track);
	tracer_stop(c->tracer);
	stop_free(&c->stop);
	objects_close(c->objects);
	keep_free(&c->keep);
	maps_free(&c->before);
	maps_free(&c->maps);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ranges_free(all[i]);
	buf_free(&c->notes);
	buf_free(&c->auxv);
	buf_free(&c->args);
	free(p->parts);
	free(p->above);
}

void predump_tell(struct predump *p, int r)
{
	const struct decant_capture_report *from = &p->capture_report;
	struct decant_predump_report *rep = p->report;

	rep->stops = from->stops;
	rep->pause_ns = from->pause_ns;
	rep->pauses_ns = from->pauses_ns;
	rep->total_ns = sys_clock_ns() - p->c.begin_ns;
	rep->cpu_ns = sys_process_cpu_ns() - p->c.cpu_begin_ns;
	rep->copied_bytes = p->c.copied_bytes;
	rep->unreadable_bytes = ranges_bytes(&p->c.unreadable) + p->unreadable_others;
	if (r < 0) {
		(void)snprintf(rep->message, sizeof(rep->message), "%s", p->c.err.text);
		p->d->err = p->c.err;
	}
}

static int predump_run(struct tree_member *root)
{
	struct predump *p = &root->p;
	int r = predump_prepare(p);

	if (p->o->flags & DECANT_PREDUMP_TREE)
		return r < 0 ? r : predump_tree(root);
	if (r >= 0)
		r = predump_rounds(p);
	if (r >= 0 && p->o->flags & DECANT_PREDUMP_FINAL)
		r = predump_final(p);
	return r;
}

int decant_predump(struct decant *d, struct decant_target *t, const char *dir,
		   const struct decant_predump_options *options,
		   struct decant_predump_report *report)
{
	static const struct decant_predump_options none = DECANT_PREDUMP_OPTIONS_INIT;
	struct decant_predump_report own = DECANT_PREDUMP_REPORT_INIT;
	struct tree_member root = { .target = NULL };
	struct predump *p = &root.p;
	int r;

	if (!d || !t || !dir)
		return -EINVAL;
	if (report && report->size < sizeof(*report))
		return err_set(&d->err, -EINVAL,
			       "report: size is not set (use DECANT_PREDUMP_REPORT_INIT)");
	if (!options)
		options = &none;
	r = predump_check_options(d, t, options);
	if (r >= 0)
		r = predump_check_dir(d, dir);
	if (r < 0) {
		(void)snprintf(own.message, sizeof(own.message), "%s", d->err.text);
	} else {
		predump_init(p, d, t, dir, options, &own);
		r = predump_run(&root);
		predump_tell(p, r);
		predump_deinit(p);
	}
	if (report)
		*report = own;
	return r;
}
