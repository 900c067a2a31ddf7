/* SPDX-License-Identifier: MIT */
/*
 * A predump on its way: what its files share.  Not the public face of it
 * (predump.c), nor how images are written: that is dir.h.
 *
 * A round:  scan (what was written) -> there (what of all is there) -> sort
 * (what is listed as PRESENT or PARENT) -> write -> commit; then it is what
 * the next one compares with (known).
 *
 * Target, stops, tracer and tracking are those of a capture, and so are
 * progress, rate and time-out.
 */
#ifndef DUMP_PREDUMP_H
#define DUMP_PREDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"
#include "decant.h"
#include "dump/dir.h"
#include "process/ranges.h"

/* A mapping, or the part of one, whose pages belong in the images. */
struct predump_part {
	uint64_t start, end;
	size_t vma;              /* index in the maps */
	bool tracked;            /* else each image has all of it */
	bool fixed;              /* [vdso]: all of it, and it never changes */
	bool file;               /* pages that are the file's do not belong there */
};

struct predump_shared;
struct predump_piece;

struct predump {
	struct decant *d;
	const struct decant_predump_options *o;
	struct decant_predump_report *report;
	const char *path;
	bool numbered;
	bool chain;              /* each image has a path of its own, and its parent is above */
	char *above;
	bool looked;             /* writes were told, and will not be told again */
	struct capture c;
	struct decant_capture_options capture_options;
	struct decant_capture_report capture_report;
	uint64_t id;             /* of the target, in its own pid namespace */

	struct predump_part *parts; /* by address */
	size_t parts_n, parts_size;
	unsigned images;         /* complete */
	uint64_t last_bytes;     /* written of the last one */

	struct ranges known;     /* listed in the last image */
	struct ranges lost;      /* told as written and not listed since: look again */
	struct ranges written, there, present, parent, bad;
	struct ranges tmp, tmp2;

	/* Of the stop. */
	struct ranges early;     /* kept right before it */
	size_t early_n, late_n;  /* pieces of c.keep that end there: of it, and of the stop's own */
	struct predump_shared *shared;
	size_t shared_n, shared_size;
	struct predump_piece *pieces;
	size_t pieces_n, pieces_size;
};

int predump_fail(struct predump *p, int code, const char *what);
/* a = what was in b, and the other way round. */
void predump_swap(struct ranges *a, struct ranges *b);

/* ------------------------------------------------------------- predump.c */

void predump_init(struct predump *p, struct decant *d, struct decant_target *t, const char *dir,
		  const struct decant_predump_options *o, struct decant_predump_report *rep);
void predump_deinit(struct predump *p);
/* A mistake in the options, as a sentence of d's. */
int predump_check_options(struct decant *d, const struct decant_target *t,
			  const struct decant_predump_options *o);
int predump_check_dir(struct decant *d, const char *dir);
/* Look at the target and begin to track. */
int predump_prepare(struct predump *p);
int predump_round(struct predump *p);
void predump_tell(struct predump *p, int r);

/* ------------------------------------------------------- predump_scope.c */

/* The mappings of now, into c.maps and parts.  smaps: where a new one calls for it. */
int predump_scope(struct predump *p, bool smaps);
int predump_arm(struct predump *p);
/* written: what was written since the last time; see track_scan() for again. */
int predump_scan(struct predump *p, bool again);
/* ret = what of these is there and belongs in an image. */
int predump_there(struct predump *p, const struct ranges *of, struct ranges *ret);
/* ret = all parts; with untracked: those alone. */
int predump_all(struct predump *p, bool untracked, struct ranges *ret);

/* ------------------------------------------------------- predump_write.c */

/* Where the pages of an image come from. */
struct predump_from {
	/* Fill data with v[0..n); bad: cannot be read, and is left out. */
	int (*gather)(void *arg, const struct range *v, size_t n, void *data, struct ranges *bad);
	void *arg;
	const char *phase;
};

/* Begin the directory of the next image. */
int predump_begin(struct predump *p, struct dir **ret);
/*
 * One pagemap: the pages of present and parent, which are disjoint.  What is
 * bad is taken out of present.
 */
int predump_write(struct predump *p, struct dir *d, enum dir_kind kind, uint64_t id,
		  struct ranges *present, const struct ranges *parent,
		  const struct predump_from *from);
/* Commit, tell, and account: known is what is listed now. */
int predump_commit(struct predump *p, struct dir *d, uint64_t begin_ns, bool final);

/* ------------------------------------------------------- predump_final.c */

/* The stop, and the image of it. */
int predump_final(struct predump *p);

/* -------------------------------------------------------- predump_note.c */

/* decant-PID.img: registers and mappings of the stop. */
int predump_note(struct predump *p, struct dir *d);

/* ------------------------------------------------------ predump_shared.c */

/* Does a mapping show shared memory that has no name (any more)?  It is copied in the stop. */
bool predump_is_shared(const struct vma *v);
/* In the stop: into c.keep. */
int predump_shared_keep(struct predump *p);
/* One pagemap-shmem-ID.img for each object. */
int predump_shared_write(struct predump *p, struct dir *d);
/* The ID of what a mapping shows; 0: none. */
uint64_t predump_shared_id(const struct predump *p, const struct vma *v);
void predump_shared_free(struct predump *p);

#endif
