/* SPDX-License-Identifier: MIT */
/* The rounds of a tree: each process by itself, all in one image. */
#include <errno.h>

#include "predump/tree.h"
#include "sys/sys.h"

static int tree_image(struct tree *t, struct dir *d)
{
	int r = 0;

	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct tree_member *m = t->v[i];

		r = predump_round_in(&m->p, d);
		if (r < 0 && tree_has_ended(t, m))
			r = tree_drop(m, d);
		if (r < 0)
			r = tree_fail(t, m, r);
	}
	return r;
}

/* Of all: what the next round compares with. */
static int tree_account(struct tree *t, bool final)
{
	uint64_t bytes = 0;
	int r = 0;

	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct tree_member *m = t->v[i];

		m->p.images = t->root->images;
		bytes += m->gone ? 0 : m->p.last_bytes;
		if (!final && !m->gone)
			r = predump_account(&m->p);
	}
	t->root->last_bytes = bytes;
	return r;
}

/* Numbers of all, for the commit and the report. */
static void tree_sum(struct tree *t)
{
	struct decant_capture_report *to = &t->root->capture_report;

	for (size_t i = 1; i < t->n; i++) {
		struct decant_capture_report *from = &t->v[i]->p.capture_report;

		to->stops += from->stops;
		to->pauses_ns += from->pauses_ns;
		if (from->pause_ns > to->pause_ns)
			to->pause_ns = from->pause_ns;
		from->stops = 0;
		from->pauses_ns = 0;
		t->root->scan_ns += t->v[i]->p.scan_ns;
		t->root->c.copied_bytes += t->v[i]->p.c.copied_bytes;
		t->v[i]->p.c.copied_bytes = 0;
		for (size_t k = 0; k < t->v[i]->p.c.unreadable.n; k++)
			t->unreadable_bytes += t->v[i]->p.c.unreadable.v[k].end -
					       t->v[i]->p.c.unreadable.v[k].start;
		ranges_clear(&t->v[i]->p.c.unreadable);
	}
}

int tree_round(struct tree *t, bool final)
{
	struct predump *root = t->root;
	uint64_t begin_ns = sys_clock_ns();
	struct dir *d = NULL;
	int r = tree_update(t, false);

	root->report->last_pages = root->report->parent_pages = 0;
	root->report->residue_bytes = 0;
	if (r >= 0)
		r = predump_begin(root, &d);
	if (r >= 0)
		r = final ? tree_final(t, d) : tree_image(t, d);
	tree_sum(t);
	if (r >= 0)
		r = predump_commit(root, d, begin_ns, final);
	else if (final && root->o->flags & DECANT_PREDUMP_STOPPED)
		tree_continue(t);
	if (r >= 0)
		r = tree_account(t, final);
	dir_close(d);
	return r;
}

int predump_tree(struct tree_member *root)
{
	struct predump *p = &root->p;
	uint64_t last = UINT64_MAX;
	struct tree t;
	int r = tree_begin(&t, root);

	while (r >= 0 && predump_more(p, last)) {
		last = p->last_bytes;
		r = tree_round(&t, false);
	}
	if (r >= 0 && p->o->flags & DECANT_PREDUMP_FINAL)
		r = tree_round(&t, true);
	p->unreadable_others = t.unreadable_bytes;
	tree_end(&t);
	return r;
}
