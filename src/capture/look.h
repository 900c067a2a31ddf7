/* SPDX-License-Identifier: MIT */
/*
 * Everything that can be known of a target before it is stopped.
 * Not the instant: what is found here only prepares it.
 */
#ifndef CAPTURE_LOOK_H
#define CAPTURE_LOOK_H

#include "capture/capture.h"
#include "capture/forecast.h"

/* Why TRACK_NONE; why nothing but the stop. */
extern const char look_no_track[], look_frozen[];

/* Mappings and what is behind them, gadgets, pinned memory, filter, arguments. */
int look_target(struct capture *c);
/*
 * What a forecast needs.  sample_ns: how long to sample the dirty rate; 0: not
 * at all.  Uses c's scratch.
 */
int look_forecast(struct capture *c, uint64_t sample_ns, struct decant_capture_plan *ret);
/* Memory for what will be copied in the stop, opened and faulted in. */
int look_room(struct capture *c, enum scope_cover cover);

#endif
