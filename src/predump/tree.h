/* SPDX-License-Identifier: MIT */
/*
 * A process and its descendants in one chain of images.  Not what is done for
 * each of them: that is predump.h, by the same steps as for a single one.
 */
#ifndef PREDUMP_TREE_H
#define PREDUMP_TREE_H

#include <stdbool.h>

#include "predump/predump.h"
#include "process/freezer.h"

struct tree_member {
	struct predump p;
	struct target *target;   /* NULL: the root's, which is the caller's */
	bool gone;               /* has ended, or executed another program */
};

struct tree {
	struct predump *root;    /* the first member's */
	struct tree_member **v;
	size_t n, size;
	pid_t *pids;             /* scratch of family_list() */
	size_t pids_size;
	struct predump_shared shared;
	uint64_t room;
	uint64_t unreadable_bytes; /* of all but the root */
	struct freezer *freezer;
	pid_t tracer;            /* which holds those that stand */
};

/* ---------------------------------------------------------------- tree.c */

/* All rounds and the final image that p, which is initialised, is to make. */
int predump_tree(struct tree_member *root);
/* One image of all, as they are now; final: of one instant. */
int tree_round(struct tree *t, bool final);

/* ------------------------------------------------------------- members.c */

int tree_begin(struct tree *t, struct tree_member *root);
void tree_end(struct tree *t);
/*
 * Take in who is new, drop who is gone.  stopped: all that are known stand still,
 * so nobody is tracked any more.  The number of new ones.
 */
int tree_update(struct tree *t, bool stopped);
/*
 * Drop who was taken in while all stood, after an image that failed: nobody knows
 * what they write.  The next tree_update() finds them anew.
 */
void tree_untracked(struct tree *t);
/* A member other than the root, whose end ends it all. */
bool tree_has_ended(const struct tree *t, const struct tree_member *m);
/* What it says is told by the root.  Returns r. */
int tree_fail(struct tree *t, const struct tree_member *m, int r);
/* It is not in the image that is being made; not for the root. */
int tree_drop(struct tree_member *m, struct dir *d);

/* --------------------------------------------------------------- stand.c */

/* All stand still; in d, in one instant, and go on.  After an error they do, too. */
int tree_final(struct tree *t, struct dir *d);
/* Those that were left stopped for the sake of an image that failed. */
void tree_continue(struct tree *t);

#endif
