/* SPDX-License-Identifier: MIT */
/* map-zc: a mapping of the file, sent by IORING_OP_SEND_ZC. */
#include "route/routes.h"
#include "route/window.h"

static const enum fact map_zc_needs[] = { FACT_IO_URING, FACT_SEND_ZC, FACT_NONE };

static int map_zc_start(struct job *j)
{
	return window_start(j, ZEROCOPY_RING);
}

static bool map_zc_fits(const struct query *q, struct fit *fit)
{
	return zerocopy_fits(q, fit, ZEROCOPY_RING);
}

const struct route route_map_zc = {
	.ops = { "map-zc", map_zc_start, window_step, window_finish, window_drain },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = map_zc_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.maps = true,
	.snapshotted = "at the notification of the last send: the kernel has let go of the pages",
	.fits = map_zc_fits,
};
