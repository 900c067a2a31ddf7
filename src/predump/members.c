/* SPDX-License-Identifier: MIT */
/* Who belongs to a tree: found, opened, tracked; and forgotten when they have ended. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/look.h"
#include "predump/tree.h"
#include "process/family.h"
#include "sys/sys.h"

#define MEMBERS_MAX 4096

/*
 * Its number in the root's namespace, as CRIU names it: the one of so many levels
 * down.
 */
static uint64_t member_id(const struct predump *root, const struct target *t)
{
	unsigned depth = root->c.t->status.ns_depth;
	struct buf b = BUF_INIT;
	const char *at = NULL;
	uint64_t id = (uint64_t)t->pid;

	if (t->status.ns_depth == depth || depth <= 1)
		return t->status.ns_depth == depth && t->status.ns_pid ?
		       (uint64_t)t->status.ns_pid : id;
	if (procfs_read(t->proc_fd, "status", &b) >= 0)
		at = strstr(buf_str(&b), "\nNSpid:");
	at = at ? at + 7 : NULL;
	for (unsigned i = 0; at && i < depth; i++) {
		char *end;

		id = strtoull(at, &end, 10);
		at = end;
	}
	buf_free(&b);
	return id;
}

static struct tree_member *member_of(const struct tree *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->p.c.t->pid == pid)
			return t->v[i];
	return NULL;
}

static void member_free(struct tree_member *m)
{
	/* The tracer is the root's. */
	m->p.c.tracer = NULL;
	predump_deinit(&m->p);
	target_close(m->target);
	free(m);
}

static int member_put(struct tree *t, struct tree_member *m)
{
	size_t size = t->size ? 2 * t->size : 16;
	void *v;

	if (t->n >= MEMBERS_MAX)
		return err_set(&t->root->c.err, -EFBIG, "predump: more than %d processes",
			       MEMBERS_MAX);
	if (t->n == t->size) {
		v = sys_realloc(t->v, size * sizeof(*t->v));
		if (!v)
			return predump_fail(t->root, -ENOMEM, "processes");
		t->v = v;
		t->size = size;
	}
	t->v[t->n++] = m;
	m->p.shared = &t->shared;
	m->p.room = &t->room;
	return 0;
}

/* Has ended meanwhile, or is about to: nothing that is to be told. */
static bool member_passes(pid_t pid, int r)
{
	return r == -ESRCH || (r == -ENOTSUP && pid == sys_getpid());
}

/* 1; 0: it is no more. */
static int member_new(struct tree *t, pid_t pid, bool stopped)
{
	struct predump *root = t->root;
	struct tree_member *m = sys_calloc(1, sizeof(*m));
	struct decant_target as_ours = { .d = root->d };
	int r;

	if (!m)
		return predump_fail(root, -ENOMEM, "processes");
	r = target_open(&m->target, pid, root->c.caps, &root->c.err);
	if (r < 0) {
		free(m);
		if (member_passes(pid, r))
			root->c.err.text[0] = '\0';
		return member_passes(pid, r) ? 0 : r;
	}
	as_ours.target = m->target;
	predump_init(&m->p, root->d, &as_ours, root->path, root->o, root->report);
	m->p.id = member_id(root, m->target);
	root->report->pid = root->id;
	m->p.joined = root->images > 0;
	m->p.images = root->images;
	m->p.found_standing = stopped;
	m->p.c.tracer = root->c.tracer;
	m->p.c.deadline_ns = root->c.deadline_ns;
	r = member_put(t, m);
	if (r >= 0)
		r = stopped ? predump_look(&m->p) : predump_prepare(&m->p);
	if (r >= 0)
		return 1;
	m->gone = target_gone(m->target) || target_execed(m->target);
	if (m->gone || r == -ESRCH) {
		m->gone = true;
		return 0;
	}
	if (m->p.c.err.text[0])
		root->c.err = m->p.c.err;
	return r;
}

static bool member_lives(const struct tree_member *m)
{
	return !m->gone && !target_gone(m->p.c.t) && !target_execed(m->p.c.t);
}

/* Those that are gone, but for the root, whose end ends it all. */
static int tree_forget(struct tree *t)
{
	size_t k = 1;

	if (!member_lives(t->v[0]))
		return err_set(&t->root->c.err, -ESRCH,
			       "process %d: has ended, or executed another program",
			       (int)t->root->c.t->pid);
	for (size_t i = 1; i < t->n; i++) {
		if (member_lives(t->v[i]))
			t->v[k++] = t->v[i];
		else
			member_free(t->v[i]);
	}
	t->n = k;
	return 0;
}

void tree_untracked(struct tree *t)
{
	size_t k = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i]->p.found_standing)
			member_free(t->v[i]);
		else
			t->v[k++] = t->v[i];
	}
	t->n = k;
}

int tree_update(struct tree *t, bool stopped)
{
	int n = family_list(t->root->c.t->pid, &t->pids, &t->pids_size), r = 0, added = 0;

	if (n < 0)
		return predump_fail(t->root, n, "the process's descendants");
	if (!stopped)
		r = tree_forget(t);
	for (int i = 0; i < n && r >= 0; i++) {
		if (member_of(t, t->pids[i]))
			continue;
		r = member_new(t, t->pids[i], stopped);
		added += r > 0;
	}
	if (r >= 0 && !stopped)
		r = tree_forget(t);
	t->root->report->processes = (uint32_t)t->n;
	return r < 0 ? r : added;
}

int tree_begin(struct tree *t, struct tree_member *root)
{
	*t = (struct tree){ .root = &root->p, .room = PREDUMP_KEEP_BYTES };
	return member_put(t, root);
}

void tree_end(struct tree *t)
{
	freezer_close(t->freezer);
	for (size_t i = 1; i < t->n; i++)
		member_free(t->v[i]);
	predump_shared_free(&t->shared);
	t->root->shared = &t->root->shared_own;
	free(t->v);
	free(t->pids);
}

bool tree_has_ended(const struct tree *t, const struct tree_member *m)
{
	return &m->p != t->root && (target_gone(m->p.c.t) || target_execed(m->p.c.t));
}

int tree_fail(struct tree *t, const struct tree_member *m, int r)
{
	if (m->p.c.err.text[0])
		t->root->c.err = m->p.c.err;
	return r;
}

int tree_drop(struct tree_member *m, struct dir *d)
{
	m->gone = true;
	return m->p.o->to ? -ESRCH : dir_drop(d, DIR_PROCESS, m->p.id);
}
