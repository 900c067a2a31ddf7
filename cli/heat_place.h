/* SPDX-License-Identifier: MIT */
/*
 * Which lanes of a heat map are drawn one by one, and where.  Pure; not the
 * drawing: that is heat_svg.h.
 */
#ifndef CLI_HEAT_PLACE_H
#define CLI_HEAT_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "heat.h"

#define HEAT_PLACE_TOP 186.0     /* of the first, in pixels */
/* The lane of all that are not drawn. */
#define HEAT_PLACE_REST SIZE_MAX

/* A lane as it is drawn. */
struct heat_place {
	const struct heat_lane *lane;
	size_t index;            /* in the heat map, or HEAT_PLACE_REST */
	double top, height;
	unsigned shift;          /* bins are coarsened to rows of a size that can be seen */
	uint64_t first;          /* bin */
	unsigned rows;
};

/* By address; the last one may be the rest's. */
struct heat_places {
	struct heat_place *lanes;
	size_t n;
	struct heat_lane rest;
	size_t rest_n;
	uint64_t rest_bytes;
	double bottom;
};

/* Of a zeroed *ret, which is not to be moved afterwards.  -ENOMEM. */
int heat_places(const struct heat *h, struct heat_places *ret);
void heat_places_free(struct heat_places *p);

#endif
