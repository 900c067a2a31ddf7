/* SPDX-License-Identifier: MIT */
/* map-msgzc: a mapping of the file, sent with MSG_ZEROCOPY. */
#include "route/routes.h"
#include "route/window.h"

static const enum fact map_msgzc_needs[] = { FACT_MSG_ZEROCOPY, FACT_NONE };

static int map_msgzc_start(struct job *j)
{
	return window_start(j, ZEROCOPY_MSG);
}

static bool map_msgzc_fits(const struct query *q, struct fit *fit)
{
	return zerocopy_fits(q, fit, ZEROCOPY_MSG);
}

const struct route route_map_msgzc = {
	.ops = { "map-msgzc", map_msgzc_start, window_step, window_finish, window_drain },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = map_msgzc_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.maps = true,
	.snapshotted = "at the last notification in the socket's error queue",
	.fits = map_msgzc_fits,
};
