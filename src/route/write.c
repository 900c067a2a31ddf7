/* SPDX-License-Identifier: MIT */
/* write: the caller's memory, written from where it is. */
#include "route/routes.h"

#define WRITE_CHUNK_BYTES (1u << 20)

static bool write_fits(const struct query *q, struct fit *fit)
{
	/* The checksum must be that of what was moved, and this memory is not ours. */
	fit->copies += q->checksum != DECANT_CHECKSUM_NONE;
	return true;
}

static int write_start(struct job *j)
{
	(void)j;
	return 0;
}

static int write_step(struct job *j)
{
	return job_plain_step(j, WRITE_CHUNK_BYTES); /* memory needs no reading */
}

const struct route route_write = {
	.ops = { .name = "write", .start = write_start, .step = write_step },
	.from_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE) | ROUTE_KIND(DECANT_END_PIPE),
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last write() returns",
	.user_space = true,
	.inline_small = true,
	.fits = write_fits,
};
