/* SPDX-License-Identifier: MIT */
/* decant_predump_begin(), _next(), _end(): a chain of images, each when it is asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "predump/tree.h"
#include "sys/sys.h"

/* Of all images, as it began. */
#define CHAIN_FLAGS ((uint32_t)(DECANT_PREDUMP_UNSAFE | DECANT_PREDUMP_TREE))

struct decant_predump_chain {
	struct tree_member root;
	struct tree tree;        /* of one member where there is no TREE */
	struct decant_predump_options o;
	uint32_t flags;          /* CHAIN_FLAGS */
	struct decant_predump_report report;
	bool ended;              /* has its final image */
};

int decant_predump_begin(struct decant *d, struct decant_predump_chain **ret,
			 struct decant_target *t, const struct decant_predump_options *options)
{
	static const struct decant_predump_options none = DECANT_PREDUMP_OPTIONS_INIT;
	struct decant_predump_chain *c;
	int r;

	if (!d || !ret || !t)
		return -EINVAL;
	r = predump_check_options(d, t, options ? options : &none);
	if (r < 0)
		return r;
	c = sys_calloc(1, sizeof(*c));
	if (!c)
		return err_set(&d->err, -ENOMEM, "predump: out of memory");
	c->o = options ? *options : none;
	c->o.rounds = DECANT_PREDUMP_AUTO;
	c->flags = c->o.flags & CHAIN_FLAGS;
	c->report = (struct decant_predump_report)DECANT_PREDUMP_REPORT_INIT;
	predump_init(&c->root.p, d, t, "", &c->o, &c->report);
	c->root.p.chain = true;
	c->root.p.numbered = false;
	r = tree_begin(&c->tree, &c->root);
	if (r >= 0)
		r = predump_prepare(&c->root.p);
	if (r < 0) {
		d->err = c->root.p.c.err;
		decant_predump_end(c);
		return r;
	}
	*ret = c;
	return 0;
}

void decant_predump_end(struct decant_predump_chain *c)
{
	if (!c)
		return;
	tree_end(&c->tree);
	predump_deinit(&c->root.p);
	free(c);
}

/* What was told as written is not told again: all is to be written to the next image. */
static void chain_forget(struct decant_predump_chain *c)
{
	tree_untracked(&c->tree);
	for (size_t i = 0; i < c->tree.n; i++) {
		struct predump *p = &c->tree.v[i]->p;

		if (!p->looked)
			continue;
		ranges_clear(&p->known);
		if (predump_all(p, false, &p->tmp) >= 0)
			ranges_swap(&p->lost, &p->tmp);
		p->last_bytes = UINT64_MAX;
	}
}

/* For the next image. */
static void chain_reset_member(struct decant_predump_chain *c, struct predump *p, const char *dir)
{
	p->capture_options.timeout_ns = c->o.timeout_ns;
	p->capture_options.rate_bytes = c->o.rate_bytes;
	p->capture_options.progress = c->o.progress;
	p->capture_options.progress_arg = c->o.arg;
	p->path = dir;
	p->c.err = (struct err){ "" };
	p->c.begin_ns = sys_clock_ns();
	p->c.cpu_begin_ns = sys_process_cpu_ns();
	p->c.deadline_ns = c->o.timeout_ns ? p->c.begin_ns + c->o.timeout_ns : 0;
	p->c.copied_bytes = 0;
	ranges_clear(&p->c.unreadable);
	/* Of a final image that failed. */
	keep_clear(&p->c.keep);
	ranges_clear(&p->early);
	p->early_n = p->late_n = 0;
	p->looked = false;
	/* The stop that began the tracking counts for the first image. */
	if (p->images)
		p->capture_report = (struct decant_capture_report)DECANT_CAPTURE_REPORT_INIT;
}

static void chain_reset(struct decant_predump_chain *c, const char *dir,
			const struct decant_predump_options *o)
{
	struct predump *p = &c->root.p;
	char tracking[sizeof(c->report.tracking)];

	(void)snprintf(tracking, sizeof(tracking), "%s", c->report.tracking);
	c->report = (struct decant_predump_report)DECANT_PREDUMP_REPORT_INIT;
	(void)snprintf(c->report.tracking, sizeof(c->report.tracking), "%s", tracking);
	c->report.pid = p->id;
	c->report.processes = 1;
	if (o)
		c->o = *o;
	c->o.rounds = DECANT_PREDUMP_AUTO;
	/* The first one's; then it follows. */
	if (p->images)
		c->o.parent = NULL;
	c->o.flags = (c->o.flags & ~CHAIN_FLAGS) | c->flags;
	predump_shared_free(p->shared);
	c->tree.unreadable_bytes = 0;
	for (size_t i = 0; i < c->tree.n; i++)
		chain_reset_member(c, &c->tree.v[i]->p, dir);
}

static int chain_image(struct decant_predump_chain *c)
{
	struct predump *p = &c->root.p;
	bool final = c->o.flags & DECANT_PREDUMP_FINAL;
	int r;

	if (c->o.flags & DECANT_PREDUMP_TREE)
		r = tree_round(&c->tree, final);
	else
		r = final ? predump_final(p) : predump_round(p);
	p->unreadable_others = c->tree.unreadable_bytes;
	return r;
}

static int chain_check(struct predump *p, const struct decant_predump_options *o)
{
	struct decant_target as_ours = { .d = p->d };

	return predump_check_options(p->d, &as_ours, o);
}

int decant_predump_next(struct decant_predump_chain *c, const char *dir,
			const struct decant_predump_options *options,
			struct decant_predump_report *report)
{
	struct predump *p;
	struct err *err;
	char *parent;
	int r;

	if (!c || !dir || (report && report->size < sizeof(*report)))
		return -EINVAL;
	p = &c->root.p;
	err = &p->d->err;
	if (c->ended)
		return err_set(err, -EINVAL, "predump: the chain has its final image");
	r = options ? chain_check(p, options) : 0;
	if (r >= 0 && options && options->flags & ~c->flags & DECANT_PREDUMP_TREE)
		r = err_set(err, -EINVAL,
			    "tree: it is too late for that, the chain began with one process");
	if (r >= 0 && options && options->parent && p->images &&
	    (!p->above || !predump_parent_is(options->parent, p->above)))
		r = err_set(err, -EINVAL, "parent: %s: it is %s, the image before", options->parent,
			    p->above ? p->above : "?");
	if (r >= 0)
		r = predump_check_dir(p->d, dir);
	if (r < 0)
		return r;
	parent = sys_strdup(dir);
	if (!parent)
		return err_set(err, -ENOMEM, "predump: out of memory");
	chain_reset(c, dir, options);
	r = chain_image(c);
	predump_tell(p, r);
	if (r < 0) {
		chain_forget(c);
		free(parent);
	} else {
		free(p->above);
		p->above = parent;
		c->ended = c->o.flags & DECANT_PREDUMP_FINAL;
	}
	c->report.images = p->images;
	if (report)
		*report = c->report;
	return r;
}
