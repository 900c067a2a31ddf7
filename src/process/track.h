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
 * TRACK_WP: call is open on a stopped thread; makes a userfaultfd there, takes
 * it by pidfd_getfd and closes it there: one instant, nothing left behind.
 * TRACK_SOFT_DIRTY: call is NULL; nothing is touched.
 */
int track_open(struct track **ret, enum track_kind kind, const struct target *t,
	       struct call *call, struct err *reterr);
/*
 * May this mapping be tracked at all?  *why (may be NULL) gets a reason if
 * not: shared, hugetlb, under the target's own userfaultfd, special.
 */
bool track_can(enum track_kind kind, const struct vma *v, const char **why);
/*
 * Begin to track [start, end) of a mapping, from the running target.  On
 * -EBUSY (another userfaultfd) and -EINVAL it is not tracked: copy it in the stop.
 */
int track_arm(struct track *tr, uint64_t start, uint64_t end, struct err *reterr);
/*
 * What was written in [start, end) since the last scan of it (the first: since
 * it was armed; what is there counts as written then): appended to written,
 * and protected again when again is set.  Pieces of PAGES_SCAN_BYTES.  Ranges
 * that are not armed (or were replaced: munmap, mmap) come as written too.
 * May hold addresses where nothing is there any more: ask pages_scan().
 */
int track_scan(struct track *tr, uint64_t start, uint64_t end, bool again,
	       struct ranges *written, struct err *reterr);
enum track_kind track_kind(const struct track *tr);
/* Takes the protection off in small pieces, then closes.  NULL is fine. */
void track_close(struct track *tr);

#endif
