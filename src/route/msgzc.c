/* SPDX-License-Identifier: MIT */
/* msgzc: the caller's memory, sent with MSG_ZEROCOPY. */
#include "route/routes.h"
#include "route/window.h"

static const enum fact msgzc_needs[] = { FACT_MSG_ZEROCOPY, FACT_NONE };

static int msgzc_start(struct job *j)
{
	return window_start(j, ZEROCOPY_MSG);
}

static bool msgzc_fits(const struct query *q, struct fit *fit)
{
	return zerocopy_fits(q, fit, ZEROCOPY_MSG);
}

const struct route route_msgzc = {
	.ops = { "msgzc", msgzc_start, window_step, window_finish, window_drain },
	.from_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = msgzc_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "at the last notification in the socket's error queue",
	.fits = msgzc_fits,
};
