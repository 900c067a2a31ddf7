/* SPDX-License-Identifier: MIT */
/*
 * What the two ways to end an image share, file and stream: its segments.
 * Not for the strategies.
 */
#ifndef CAPTURE_FINISH_H
#define CAPTURE_FINISH_H

#include <stddef.h>

#include "capture/capture.h"

/* One segment per mapping of the instant; *ret is malloc'ed. */
int finish_segments(struct capture *c, struct core_segment **ret, size_t *ret_n);

/* Notes in c->mixed what of a part was read but may not be of the instant. */
int finish_mixed(struct capture *c, const struct scope_part *p);

#endif
