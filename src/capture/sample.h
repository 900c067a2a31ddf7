/* SPDX-License-Identifier: MIT */
/*
 * How fast a target writes to its memory, from a sample of its pages looked at
 * twice.  Not tracking: nothing in the target changes, nothing stops.
 */
#ifndef CAPTURE_SAMPLE_H
#define CAPTURE_SAMPLE_H

#include <stdint.h>

#include "base/err.h"
#include "process/ranges.h"
#include "process/target.h"

/*
 * Bytes of different pages written per second in `there`, from pages whose
 * contents changed within time_ns.  Pages written without a change do not
 * count, nor does a second write to a page.  UINT64_MAX: cannot be read.
 */
uint64_t sample_dirty(const struct target *t, const struct ranges *there, uint64_t time_ns);

#endif
