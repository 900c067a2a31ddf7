/* SPDX-License-Identifier: MIT */
/*
 * The final image of a tree: all of it stands still at once, frozen by its
 * cgroup or stopped one after the other until nobody is new.  What is read is
 * of a time when all stood.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/checked.h"
#include "predump/tree.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define STAND_TRIES 5
#define STAND_LOOKS 64           /* at who is new */
#define STAND_FREEZE_NS 1000000000ull
#define STAND_KEEP_MIN (256ull << 10)

/* That a member has ended is no failure; any other is the root's to tell. */
static int stand_judge(struct tree *t, struct tree_member *m, int r)
{
	if (r >= 0)
		return r;
	if (!tree_has_ended(t, m))
		return tree_fail(t, m, r);
	m->gone = true;
	return 0;
}

/* --------------------------------------------------------------- standing */

static int stand_stop(void *arg)
{
	return predump_final_stop(arg);
}

/* Those from the kth on. */
static int stand_each(struct tree *t, size_t k)
{
	int r = 0;

	for (; k < t->n && r >= 0; k++) {
		struct tree_member *m = t->v[k];

		if (m->gone)
			continue;
		r = capture_in_tracer(&m->p.c, stand_stop, &m->p);
		/* A thread that could not be let go otherwise: all that it held runs now. */
		if (tracer_pid(t->root->c.tracer) != t->tracer)
			return -EAGAIN;
		r = stand_judge(t, m, r);
	}
	return r;
}

static int stand_freeze(struct tree *t, struct err *e)
{
	pid_t *pids = sys_calloc(t->n, sizeof(*pids));
	int r = pids ? 0 : -ENOMEM;

	for (size_t i = 0; i < t->n && pids; i++)
		pids[i] = t->v[i]->p.c.t->pid;
	if (r >= 0)
		r = freezer_open(&t->freezer, pids, t->n, e);
	if (r >= 0)
		r = freezer_freeze(t->freezer, STAND_FREEZE_NS, e);
	free(pids);
	return r;
}

static void stand_thaw(struct tree *t)
{
	freezer_close(t->freezer);
	t->freezer = NULL;
	/* Who was looked at only then seemed to be so for good. */
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->p.found_standing)
			t->v[i]->p.c.frozen = false;
}

/* All, and who is born meanwhile. */
static int stand_all(struct tree *t)
{
	size_t k = 0;
	struct err err;
	int r, added = 1;

	t->tracer = tracer_pid(t->root->c.tracer);
	t->root->report->frozen = stand_freeze(t, &err) >= 0;
	r = t->root->report->frozen ? tree_update(t, true) : 0;
	for (unsigned i = 0; i < STAND_LOOKS && r >= 0 && added > 0; i++) {
		r = stand_each(t, k);
		k = t->n;
		if (r >= 0)
			r = added = tree_update(t, true);
	}
	/* Traced as they are now they stand without it, and can make calls. */
	stand_thaw(t);
	if (r >= 0 && added > 0)
		r = err_set(&t->root->c.err, -ETIME,
			    "predump: new processes are born faster than they are stopped");
	return r < 0 ? r : 0;
}

/* ---------------------------------------------------------------- go on */

struct stand_go {
	struct tree *t;
	bool good;               /* as it is to be left, else as it was */
};

static int stand_go(void *arg)
{
	struct stand_go *g = arg;
	int r = 0, went;

	for (size_t i = 0; i < g->t->n; i++) {
		struct predump *p = &g->t->v[i]->p;

		if (!p->c.stop.stands)
			continue;
		if (g->good && !g->t->v[i]->gone) {
			went = predump_final_go(p);
			r = r < 0 ? r : went;
		} else {
			capture_resume(&p->c);
		}
	}
	return r;
}

static int stand_let_go(struct tree *t, bool good)
{
	struct stand_go g = { t, good };
	int r = tracer_run(t->root->c.tracer, stand_go, &g);

	/* What the tracer held when it died goes on by itself. */
	for (size_t i = 0; i < t->n; i++)
		t->v[i]->p.c.stop.stands = false;
	return r < 0 && !t->root->c.err.text[0] ? predump_fail(t->root, r, "the stop") : r;
}

/* ------------------------------------------------------------ in the stop */

static int stand_take_one(void *arg)
{
	return predump_final_take(arg);
}

/* What is to be copied, of all; then that is done.  *ret_hold: some of it while they stand. */
static int stand_take(struct tree *t, bool *ret_hold)
{
	int r = 0;

	*ret_hold = false;
	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct tree_member *m = t->v[i];

		if (m->gone)
			continue;
		r = predump_final_look(&m->p);
		if (r >= 0)
			r = tracer_run(m->p.c.tracer, stand_take_one, &m->p);
		*ret_hold |= m->p.how == PREDUMP_HOLD;
		r = stand_judge(t, m, r);
	}
	if (r < 0)
		return r;
	*ret_hold |= t->shared.bytes > t->room;
	return *ret_hold ? 0 : predump_shared_keep(&t->shared);
}

static int stand_write(struct tree *t, struct dir *d)
{
	int r = 0;

	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct tree_member *m = t->v[i];

		if (m->gone)
			continue;
		r = predump_final_write(&m->p, d);
		if (r < 0)
			(void)tree_fail(t, m, r);
	}
	return r < 0 ? r : predump_shared_write(t->root, d);
}

/* ------------------------------------------------------------------ before */

/* While they run; again before each try. */
static int stand_begin(struct tree *t)
{
	uint64_t keep = max_u64(PREDUMP_KEEP_BYTES / t->n, STAND_KEEP_MIN);
	int r = 0;

	t->room = PREDUMP_KEEP_BYTES;
	t->root->report->residue_bytes = t->root->report->threads = 0;
	predump_shared_free(&t->shared);
	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct tree_member *m = t->v[i];

		if (m->gone)
			continue;
		keep_clear(&m->p.c.keep);
		r = predump_final_begin(&m->p, keep);
		r = stand_judge(t, m, r);
	}
	/* Close together, so that little is written after it. */
	for (size_t i = 0; i < t->n && r >= 0; i++) {
		struct tree_member *m = t->v[i];

		m->p.early_done = false;
		r = m->gone ? 0 : predump_final_early(&m->p);
		m->p.early_done = true;
		r = stand_judge(t, m, r);
	}
	return r;
}

static int stand_try(struct tree *t, struct dir *d)
{
	bool hold = false;
	int r = stand_begin(t), went;

	if (r >= 0)
		r = stand_all(t);
	if (r >= 0)
		r = stand_take(t, &hold);
	if (r >= 0 && !hold)
		r = stand_let_go(t, true);
	if (r >= 0)
		r = stand_write(t, d);
	went = stand_let_go(t, r >= 0);
	return r < 0 ? r : went;
}

int tree_final(struct tree *t, struct dir *d)
{
	int r = -EAGAIN;

	for (unsigned i = 0; i < STAND_TRIES && r == -EAGAIN; i++)
		r = stand_try(t, d);
	if (r == -EAGAIN)
		r = err_set(&t->root->c.err, -ETIME, "predump: they cannot all be stopped at once");
	for (size_t i = 0; i < t->n; i++) {
		struct tree_member *m = t->v[i];

		(void)predump_shadow_end(&m->p);
		predump_parent_close(&m->p);
	}
	if (r < 0 && t->root->o->flags & DECANT_PREDUMP_STOPPED)
		tree_continue(t);
	return r;
}

void tree_continue(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		(void)sys_pidfd_send_signal(t->v[i]->p.c.t->pidfd, SIGCONT, NULL, 0);
}
