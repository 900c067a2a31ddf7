/* SPDX-License-Identifier: MIT */
/*
 * One capture on its way: what its strategies share.  Not the public face of
 * it (api.c), and no mechanism: those are in process/ and image/.
 *
 *	look ---> [track, rounds] ---> stop: registers, residue ---> go on
 *	                                        or a shadow             |
 *	          head <--- what was kept <--- (shadow's memory) <------+
 *
 * Threads: all of it runs on the caller's thread, but for the functions that
 * tracer_run() is given; those must not wait for a disk.
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/err.h"
#include "capture/keep.h"
#include "capture/scope.h"
#include "capture/writer.h"
#include "decant.h"
#include "image/core.h"
#include "process/call.h"
#include "process/maps.h"
#include "process/pages.h"
#include "process/shadow.h"
#include "process/stop.h"
#include "process/target.h"
#include "process/track.h"
#include "process/tracer.h"

#define CAPTURE_PAUSE_DEFAULT_NS 5000000ull
#define CAPTURE_STOP_TIMEOUT_NS 20000000ull  /* for one try to get all threads to stand still */

struct decant_target {
	struct decant *d;
	struct target *target;
};

struct objects;

struct capture {
	struct decant *d;
	struct caps *caps;
	const struct target *t;
	const struct decant_capture_options *o;
	const struct decant_image_sink *sink;
	struct decant_capture_report *report;
	struct err err;

	bool stream;             /* the sink cannot be written at offsets */
	uint64_t begin_ns, deadline_ns;
	uint64_t pause_max_ns;   /* what is aimed at ... */
	bool bounded;            /* ... and must be kept: not so for one chosen without it */
	uint64_t cpu_begin_ns;
	uint32_t filter;

	struct tracer *tracer;
	struct stop stop;
	struct gadgets gadgets;
	bool has_gadgets;
	struct err gadgets_err;  /* why not */
	struct err fork_err;     /* why there must be no shadow; "" for no reason */
	bool frozen;             /* its cgroup: it does not run, so no pause hurts it */
	struct call *call;
	struct track *track;
	struct shadow shadow;

	struct maps before;      /* with what smaps knows; read while it ran */
	struct maps maps;        /* of the instant */
	struct scope scope;      /* of the same */
	struct ranges pinned;    /* a device may write there behind all tracking */
	struct objects *objects; /* files and shared memory behind mappings */

	struct core_layout layout;
	struct writer *writer;
	struct keep keep;        /* copied in the stop */
	size_t accounted;        /* pieces of it that in_file has already, or has no more */
	struct ranges in_file;   /* addresses whose bytes in the file are valid */
	struct ranges rewritten; /* addresses that rounds after the first, or the stop, wrote */
	struct ranges stale;     /* were written there, and are no more */
	struct ranges again;     /* could not be read in a round: tried once more in the stop */
	struct ranges unreadable;
	struct ranges mixed;     /* of files that were written to while they were read */
	bool sparse;             /* zero pages may be left out: nothing is there yet */
	struct ranges zeros;     /* of the file: left out, but room was made for them */

	/* Scratch, kept so that a stop allocates little. */
	struct ranges written, there, residue, tmp, tmp2;

	/* Of the instant, for the notes. */
	struct buf notes;
	struct buf auxv, args;
	uint64_t copied_bytes, swapped_bytes;
	uint64_t rate_begin_ns, rate_bytes;
};

/* ----------------------------------------------------------- common steps */

/* Lets go of all that is in it, whatever was begun. */
void capture_deinit(struct capture *c);
int capture_fail(struct capture *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* -ECANCELED, -ETIME, or 0; called between pieces.  Sleeps for the rate limit's sake. */
int capture_tick(struct capture *c, const char *phase, uint64_t expected_bytes);

/* copy.c: memory of a target or shadow into the file, at its places. */
enum capture_from { CAPTURE_FROM_TARGET, CAPTURE_FROM_SHADOW };
int capture_copy(struct capture *c, enum capture_from from, const struct ranges *what,
		 const char *phase, uint64_t expected_bytes);
/*
 * Room on the disk for long runs of `what`, about to be copied where nothing
 * was written yet.
 */
void capture_allocate(struct capture *c, const struct ranges *what);
/* What lies in a mapped file and not in memory, [start, end) of a part, into the file. */
int capture_copy_file(struct capture *c, const struct scope_part *part, uint64_t start,
		      uint64_t end);
/* Write out c->keep, the later pieces over the earlier. */
int capture_write_kept(struct capture *c);

/* scan.c: which pages of [start, end) in `of` are there; in c->there, which is not cleared. */
int capture_there(struct capture *c, const struct target *of, const struct ranges *of_these,
		  struct ranges *ret);
/*
 * What of a shared part holds data, appended to ret: as the object behind it
 * says.  Where that cannot be opened (it takes CAP_CHECKPOINT_RESTORE) all of
 * it does: the target's own page tables tell nothing of what others wrote.
 */
int capture_shared(struct capture *c, const struct scope_part *p, struct ranges *ret);

/* fn in the tracer; again while a thread does not stop in time. */
int capture_in_tracer(struct capture *c, int (*fn)(void *arg), void *arg);

/* instant.c: in the tracer */
/*
 * Stand still; with details the registers are read.  before_busy(c), unless it
 * is NULL, runs when only the threads at work still do.
 */
int capture_stop(struct capture *c, bool details, int (*before_busy)(void *arg));
/* Counts the stop in the report. */
void capture_resume(struct capture *c);
/* The mappings and the scope of the instant. */
int capture_scope_now(struct capture *c, enum scope_cover cover);
/* Copy the parts of the scope that only a stop gives. */
int capture_stopped_parts(struct capture *c);
int capture_open_call(struct capture *c);
/* Not in the tracer: a stop for nothing but fn, with c->call open. */
int capture_call(struct capture *c, int (*fn)(struct capture *c));

/*
 * tracking.c: what is wanted (enum decant_track) as this kernel has it; -ENOTSUP
 * with a sentence that begins with who.
 */
int capture_track_kind(struct capture *c, uint32_t wanted, const char *who,
		       enum track_kind *ret);
/* Open c->track; for TRACK_WP there must be a tracer, and there is a stop. */
int capture_track(struct capture *c, enum track_kind kind);

/* notes.c: threads and process into c->notes, from what the stop holds. */
int capture_notes(struct capture *c);

/* finish.c: places for all parts, kept pages, holes, headers. */
/* The parts that never change; those that turn out to be none are emptied. */
int capture_keep_fixed(struct capture *c);
int capture_place(struct capture *c);
int capture_finish(struct capture *c);

/* fork.c: kill the shadow; where the target would see it, another stop takes it away. */
int capture_shadow_end(struct capture *c);

/* The strategies. */
int capture_precopy(struct capture *c, bool *ret_diverges);
int capture_fork(struct capture *c);
int capture_whole(struct capture *c);

#endif
