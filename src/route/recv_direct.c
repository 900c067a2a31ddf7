/* SPDX-License-Identifier: MIT */
/*
 * recv-direct: received into aligned buffers and written past the page cache
 * while more comes in: one copy, and no write-back later.
 */
#include "route/deep.h"
#include "route/routes.h"

static bool recv_direct_fits(const struct query *q, struct fit *fit)
{
	return deep_fits_sink(q, fit);
}

static int recv_direct_start(struct job *j)
{
	return deep_start(j, DEEP_RECEIVE);
}

const struct route route_recv_direct = {
	.ops = {
		.name = "recv-direct",
		.start = recv_direct_start,
		.step = deep_step,
		.finish = deep_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_SOCKET) | ROUTE_KIND(DECANT_END_PIPE) |
		      ROUTE_KIND(DECANT_END_PROCESS),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last read() returns",
	.user_space = true,
	.past_cache = true,
	.fits = recv_direct_fits,
};
