/* SPDX-License-Identifier: MIT */
/* zc: the caller's memory, sent by IORING_OP_SEND_ZC. */
#include "route/routes.h"
#include "route/window.h"

static const enum fact zc_needs[] = { FACT_IO_URING, FACT_SEND_ZC, FACT_NONE };

static int zc_start(struct job *j)
{
	return window_start(j, ZEROCOPY_RING);
}

static bool zc_fits(const struct query *q, struct fit *fit)
{
	return zerocopy_fits(q, fit, ZEROCOPY_RING);
}

const struct route route_zc = {
	.ops = { "zc", zc_start, window_step, window_finish, window_drain },
	.from_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = zc_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "at the notification of the last send: the kernel has let go of the pages",
	.fits = zc_fits,
};
