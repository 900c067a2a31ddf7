/* SPDX-License-Identifier: MIT */
/* read-memory: anything, read straight into the caller's memory. */
#include "route/routes.h"

#define READ_MEMORY_CHUNK_BYTES (1u << 20)

static int read_memory_start(struct job *j)
{
	(void)j;
	return 0;
}

static int read_memory_step(struct job *j)
{
	return job_plain_step(j, READ_MEMORY_CHUNK_BYTES); /* memory needs no writing */
}

const struct route route_read_memory = {
	.ops = { .name = "read-memory", .start = read_memory_start, .step = read_memory_step },
	.from_kinds = ROUTE_ANY,
	.to_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last read() returns",
	.user_space = true,
};
