/* SPDX-License-Identifier: MIT */
/*
 * What lies behind a target's mappings: files and shared memory, read through
 * descriptors of our own (/proc/PID/map_files), so that no page of the target
 * is touched and nothing is mapped in.  Not the target's private pages.
 */
#ifndef CAPTURE_OBJECTS_H
#define CAPTURE_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "process/maps.h"
#include "process/ranges.h"
#include "process/target.h"

struct objects;

int objects_open(struct objects **ret, const struct target *t, struct err *reterr);
void objects_close(struct objects *o);
/*
 * A descriptor for the object behind v, kept for the next who asks; -EACCES and
 * others: cannot be had, read the target's memory instead.
 */
int objects_fd(struct objects *o, const struct maps *m, const struct vma *v);
/*
 * What of [start, end) (addresses in v) the object holds data for: holes and
 * what lies behind its end are left out.  Appended to ret.
 */
int objects_data(struct objects *o, const struct maps *m, const struct vma *v, uint64_t start,
		 uint64_t end, struct ranges *ret);
/* Has it been written to, or cut, since it was first asked for? */
bool objects_changed(struct objects *o, const struct maps *m, const struct vma *v);
/* Read it; bytes, fewer at the object's end; negative errno. */
int64_t objects_read(struct objects *o, const struct maps *m, const struct vma *v,
		     uint64_t addr, void *buf, uint64_t len);

#endif
