/* SPDX-License-Identifier: MIT */
/* decant_predump(): checks, and one round after the other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "predump/tree.h"
#include "sys/sys.h"

#define PREDUMP_FLAGS (DECANT_PREDUMP_FINAL | DECANT_PREDUMP_STOPPED | DECANT_PREDUMP_CLEAN | \
		       DECANT_PREDUMP_SYNC | DECANT_PREDUMP_UNSAFE | DECANT_PREDUMP_TREE)
#define PREDUMP_ROUNDS_MAX 200       /* a chain may have 256 levels */

int predump_fail(struct predump *p, int code, const char *what)
{
	return err_errno(&p->c.err, code, "%s", what);
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
	struct ranges *all[] = {
		&p->armed, &p->known, &p->lost, &p->written, &p->there, &p->present, &p->parent,
		&p->bad, &p->tmp, &p->tmp2, &p->early, &p->same, &p->own,
	};

	predump_shared_free(&p->shared_own);
	predump_parent_close(p);
	capture_deinit(&p->c);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ranges_free(all[i]);
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

/* ----------------------------------------------------------------- running */

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
