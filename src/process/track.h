/* SPDX-License-Identifier: MIT */
/*
 * Which pages a target has written since the last look, while it runs:
 * asynchronous write protection (a userfaultfd of the target's memory, held by
 * us) or soft-dirty bits.  Not a copy of anything.
 *
 * Order: track_open() in a stop (TRACK_WP) or at any time (TRACK_SOFT_DIRTY),
 * track_arm() for each mapping, then rounds of track_scan(); track_close().
 * Runs on any thread but needs no tracing once it is open.
 */
#ifndef PROCESS_TRACK_H
#define PROCESS_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "process/maps.h"
#include "process/pages.h"
#include "process/ranges.h"
#include "process/target.h"

struct call;
struct track;

enum track_kind { TRACK_NONE = 0, TRACK_WP, TRACK_SOFT_DIRTY };

/* The best that this kernel has and the mask allows; TRACK_NONE: none. */
enum track_kind track_best(struct caps *caps);

/*
 * TRACK_WP: call is open on a stopped thread.  A child that shares its memory
 * and nothing else makes a userfaultfd and is gone before this returns: it is
 * never among the target's descriptors, whenever we die.
 * TRACK_SOFT_DIRTY: call is NULL; clears the bits of all of its memory, which
 * keeps its mmap and munmap waiting for some ms per GiB.
 */
int track_open(struct track **ret, enum track_kind kind, const struct target *t,
	       struct call *call, struct err *reterr);
/* TRACK_WP with a userfaultfd that is the target's, nothing done to it yet; ours from now. */
int track_adopt(struct track **ret, const struct target *t, int uffd, struct err *reterr);
/*
 * May this mapping be tracked at all?  *why (may be NULL) gets a reason if
 * not: shared, hugetlb, under the target's own userfaultfd, special.
 */
bool track_can(enum track_kind kind, const struct vma *v, const char **why);
/*
 * Begin to track [start, end) of a mapping, from the running target: cheap,
 * nothing is protected yet.  On -EBUSY (another userfaultfd), -EINVAL and
 * -EPERM it is not tracked: copy it in the stop.  -ESRCH: the target is gone.
 */
int track_arm(struct track *tr, uint64_t start, uint64_t end, struct err *reterr);
/*
 * What was written in [start, end) since the last scan of it (in the first,
 * all that is there): appended to written.
 *
 * again: it is protected from now on, so that the next scan tells what was
 * written since.  Only what is there is told; no page tables are made over
 * holes.  A bound that cuts a huge page splits it: take whole mappings, or
 * multiples of 2 MiB.
 * Without again, for the stop: also what is not there (any more), as one
 * cannot tell it from what was written.  Ask pages_scan(): what is told here
 * and is not there must be empty in the image.
 *
 * Ranges that are not armed (or were replaced: munmap, mmap) come each time.
 * TRACK_SOFT_DIRTY cannot forget and go on without losing a write: again has
 * no meaning, each scan tells what was written since track_open().
 */
int track_scan(struct track *tr, uint64_t start, uint64_t end, bool again,
	       struct ranges *written, struct err *reterr);
/*
 * TRACK_SOFT_DIRTY: forget what was written until now, that between the last
 * scan and this call included.  TRACK_WP: nothing, for its scans do so.
 */
int track_clear(struct track *tr, struct err *reterr);
enum track_kind track_kind(const struct track *tr);
/* As reports call it; "" for none. */
const char *track_name(enum track_kind kind);
/* Takes the protection off in small pieces, then closes.  NULL is fine. */
void track_close(struct track *tr);

#endif
