/* SPDX-License-Identifier: MIT */
/*
 * send: the caller's memory, sent with send(2).  One copy, and the memory may
 * change when the last send returns.
 */
#include "route/routes.h"

#define SEND_BYTES (1u << 20)

static int send_start(struct job *j)
{
	(void)j;
	return 0;
}

static int send_step(struct job *j)
{
	return job_plain_step(j, SEND_BYTES); /* from memory it copies once */
}

const struct route route_send = {
	.ops = { "send", send_start, send_step, NULL },
	.from_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.inline_small = true,
	.snapshotted = "when the last send returns",
};
