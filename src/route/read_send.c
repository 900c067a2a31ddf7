/* SPDX-License-Identifier: MIT */
/* read-send: read(2) and send(2), from anything; two copies, always works. */
#include "route/routes.h"

/* Fits in a second-level cache, so that the second copy finds it there. */
#define READ_SEND_BYTES (512u << 10)

static int read_send_start(struct job *j)
{
	(void)j;
	return 0;
}

static int read_send_step(struct job *j)
{
	return job_plain_step(j, READ_SEND_BYTES);
}

const struct route route_read_send = {
	.ops = { "read-send", read_send_start, read_send_step, NULL },
	.from_kinds = ROUTE_ANY,
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.copies = 2,
	.guarantee = DECANT_STABLE,
	.inline_small = true,
	.snapshotted = "when the last piece was read and sent",
	.user_space = true,
};
