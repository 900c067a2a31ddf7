/* SPDX-License-Identifier: MIT */
/*
 * A predump on its way: what its files share.  Not the public face of it
 * (api.c), nor how images are written: that is dir.h.
 *
 * A round:  scan (what was written) -> there (what of all is there) -> sort
 * (what is listed as PRESENT or PARENT) -> write -> commit; then it is what
 * the next one compares with (known).
 *
 * Target, stops, tracer and tracking are those of a capture, and so are
 * progress, rate and time-out.
 */
#ifndef PREDUMP_H
#define PREDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"
#include "decant.h"
#include "dump/dir.h"
#include "dump/remote.h"
#include "process/ranges.h"

#define PREDUMP_AUTO_MAX 30          /* rounds */
/*
 * What a stop keeps in memory, of all processes together: with the buffers of
 * the writer that is all that decant needs, whatever the size of the target.
 */
#define PREDUMP_KEEP_BYTES (16ull << 20)
#define PREDUMP_EARLY_BYTES (8ull << 20)  /* of it, kept right before the stop */

/* A mapping, or the part of one, whose pages belong in the images. */
struct predump_part {
	uint64_t start, end;
	size_t vma;              /* index in the maps */
	bool tracked;            /* else each image has all of it */
	bool fixed;              /* [vdso]: all of it, and it never changes */
	bool file;               /* pages that are the file's do not belong there */
	bool alone;              /* a shadow does not have it */
};

struct predump_parent;

/* How the stop of a final image gets at its pages. */
enum predump_how {
	PREDUMP_KEEP,            /* copied into memory, written later */
	PREDUMP_SHADOW,          /* left to a shadow, written later */
	PREDUMP_HOLD,            /* written while it stands still */
};

/* An object of shared memory, by its inode. */
struct predump_object {
	uint64_t dev, ino, id;
	struct ranges listed;    /* offsets in it */
};

/* A piece of it. */
struct predump_piece {
	size_t object;
	uint64_t start, end;     /* offsets in it */
	struct predump *p;       /* whose mapping shows it */
	size_t vma;
	unsigned char *data;     /* kept; NULL: still to be read */
};

/* Shared memory of a stop: each object once, whoever maps it. */
struct predump_shared {
	struct predump_object *objects;
	size_t objects_n, objects_size;
	struct predump_piece *pieces;
	size_t pieces_n, pieces_size;
	uint64_t bytes;
};

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
	uint64_t scan_ns;        /* of the image that is being made */
	uint64_t last_bytes;     /* written of the last one */

	struct ranges armed;     /* tracked by us: the userfaultfd that shows there is ours */
	bool to_parent;          /* the page server had the image before, the last time */
	struct ranges known;     /* listed in the last image */
	struct ranges lost;      /* told as written and not listed since: look again */
	struct ranges written, there, present, parent, bad;
	struct ranges tmp, tmp2;

	struct predump_parent *base; /* of the first image, if one was given */
	struct ranges same;      /* of what is written: as the parent has it */

	/* Of a shadow. */
	bool shadowed;           /* c.shadow is there */
	struct ranges own;       /* what it has not: from the process itself, or kept */
	uint64_t shadow_ns;      /* the stop that the last one took */

	/* Of the stop. */
	enum predump_how how;
	uint64_t *room, room_own;/* bytes that may still be kept */
	bool held;               /* it goes on when all is written */
	struct ranges early;     /* kept right before it */
	uint64_t early_ns;       /* what that took */
	size_t early_n, late_n;  /* pieces of c.keep that end there: of it, and of the stop's own */
	struct predump_shared *shared, shared_own;
	bool early_done;         /* by who stops several */
	/* Of a tree. */
	bool joined;             /* after the first image: the parent that was given has it not */
	bool found_standing;     /* while the others stood still: nothing is known of it */
	uint64_t unreadable_others;
};

int predump_fail(struct predump *p, int code, const char *what);

/* ----------------------------------------------------------------- api.c */

void predump_init(struct predump *p, struct decant *d, struct decant_target *t, const char *dir,
		  const struct decant_predump_options *o, struct decant_predump_report *rep);
void predump_deinit(struct predump *p);
/* A mistake in the options, as a sentence of d's. */
int predump_check_options(struct decant *d, const struct decant_target *t,
			  const struct decant_predump_options *o);
int predump_check_dir(struct decant *d, const char *dir);
/* The report's numbers, and an error's sentence. */
void predump_tell(struct predump *p, int r);

/* --------------------------------------------------------------- round.c */

/* Look at the target and begin to track. */
int predump_prepare(struct predump *p);
/* The first half of it. */
int predump_look(struct predump *p);
/* last: bytes of the image before the last one. */
bool predump_more(const struct predump *p, uint64_t last);
int predump_round(struct predump *p);
/* Of a round, what is done for each process: into d, which the caller commits. */
int predump_round_in(struct predump *p, struct dir *d);
/* After the commit: what the next round compares with. */
int predump_account(struct predump *p);

/* --------------------------------------------------------------- scope.c */

/* The mappings of now, into c.maps and parts.  smaps: where a new one calls for it. */
int predump_scope(struct predump *p, bool smaps);
int predump_arm(struct predump *p);
/* written: what was written since the last time; see track_scan() for again. */
int predump_scan(struct predump *p, bool again);
/* ret = what of these is there and belongs in an image. */
int predump_there(struct predump *p, const struct ranges *of, struct ranges *ret);
/* ret = all parts; with alone: those that a shadow has not. */
int predump_all(struct predump *p, bool alone, struct ranges *ret);

/* --------------------------------------------------------------- write.c */

/* Where the pages of an image come from. */
struct predump_from {
	/* Fill data with v[0..n); bad: cannot be read, and is left out. */
	int (*gather)(void *arg, const struct range *v, size_t n, void *data, struct ranges *bad);
	void *arg;
	const char *phase;
	bool shadow;             /* by pipes from c.shadow, but for own */
	const struct ranges *own;/* may be NULL */
};

/* Begin the directory of the next image. */
int predump_begin(struct predump *p, struct dir **ret);
/*
 * One pagemap: the pages of present and parent, which are disjoint.  What is
 * bad is taken out of present.
 */
int predump_write(struct predump *p, struct dir *d, enum dir_kind kind, uint64_t id,
		  struct ranges *present, struct ranges *parent,
		  const struct predump_from *from);
/* Commit, and tell. */
int predump_commit(struct predump *p, struct dir *d, uint64_t begin_ns, bool final);

/* --------------------------------------------------------------- final.c */

/* The stop, and the image of it. */
int predump_final(struct predump *p);
/* The same in steps, for several processes at once: */
/* before the stop */
int predump_final_begin(struct predump *p, uint64_t keep_bytes);
/* What was written since the last image: while it still runs */
int predump_final_early(struct predump *p);
/* c.stop begins here: in the tracer */
int predump_final_stop(struct predump *p);
/* In the stop: what there is to copy. */
int predump_final_look(struct predump *p);
/* In the stop: copy it, or make a shadow, or leave it. */
int predump_final_take(struct predump *p);
/* In the tracer: it goes on, or stays as it is to be left. */
int predump_final_go(struct predump *p);
/* Its pagemap and note. */
int predump_final_write(struct predump *p, struct dir *d);

/* ---------------------------------------------------------------- note.c */

/* decant-PID.img: registers and mappings of the stop. */
int predump_note(struct predump *p, struct dir *d);

/* -------------------------------------------------------------- shared.c */

/* Does a mapping show shared memory that has no name (any more)?  It is copied in the stop. */
bool predump_is_shared(const struct vma *v);
/* In the stop: list in p->shared what p's mappings show and nobody has listed. */
int predump_shared_look(struct predump *p);
/* In the stop: what is listed, into c.keep of who listed it. */
int predump_shared_keep(struct predump_shared *s);
/* One pagemap-shmem-ID.img for each object, in p's name. */
int predump_shared_write(struct predump *p, struct dir *d);
/* The ID of what a mapping shows; 0: none. */
uint64_t predump_shared_id(const struct predump *p, const struct vma *v);
void predump_shared_free(struct predump_shared *s);

/* -------------------------------------------------------------- parent.c */

/* Opens what o->parent names, once.  -EINVAL, -ESTALE: it cannot be the parent. */
int predump_parent_open(struct predump *p);
void predump_parent_close(struct predump *p);
/* Are both names of one directory? */
bool predump_parent_is(const char *a, const char *b);
/*
 * Which pages of x, whose bytes are data, are as the parent has them: appended
 * to same.  x must lie behind what was asked for before.
 */
int predump_parent_same(struct predump *p, struct range x, const void *data,
			struct ranges *same);

/* -------------------------------------------------------------- shadow.c */

/*
 * Which way of reading an image that is made while it runs takes, after options
 * and what is possible; -ENOTSUP with a sentence.  True: by a shadow.
 */
int predump_shadow_wanted(struct predump *p);
/* Why there can be none; NULL: there can. */
const char *predump_shadow_not(const struct predump *p);
/* The round's stop: what was written, and a shadow. */
int predump_shadow_round(struct predump *p);
/* In a stop with p->written: a shadow of it. */
int predump_shadow_make(struct predump *p);
/* After it went on. */
int predump_shadow_open(struct predump *p);
/* What a fork of it would take, as far as one can tell. */
uint64_t predump_shadow_cost_ns(const struct predump *p);
/* Kill it; a zeroed one is fine. */
int predump_shadow_end(struct predump *p);
/* For predump_from: own from the process, all else from the shadow's memory. */
int predump_shadow_gather(void *arg, const struct range *v, size_t n, void *data,
			  struct ranges *bad);
/* The report's words on it. */
void predump_reason(struct predump *p, const char *mode, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
