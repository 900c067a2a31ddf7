/* SPDX-License-Identifier: MIT */
/* read-memory: anything, read straight into the caller's memory. */
#include <errno.h>

#include "route/routes.h"

#define READ_MEMORY_CHUNK_BYTES (1u << 20)

static bool read_memory_fits(const struct query *q, struct fit *fit)
{
	/* The checksum must be that of what was moved, and this memory is not ours. */
	fit->copies += q->checksum != DECANT_CHECKSUM_NONE;
	return true;
}

static int read_memory_start(struct job *j)
{
	(void)j;
	return 0;
}

/*
 * The memory is full, and whether the source has ended only a read can tell.
 * A stream that goes on loses a byte by that, to an error that says so.
 */
static int read_memory_full(struct job *j)
{
	unsigned char byte;
	int64_t n = end_read(&j->from, j->taken, &byte, 1);

	if (n == -EAGAIN) {
		job_wait_source(j);
		return STEP_WAIT;
	}
	if (n < 0)
		return job_fail_source(j, (int)n);
	if (n == 0)
		return job_source_ended(j);
	return job_fail(j, -ENOSPC, "the memory is full after %llu bytes, and the %s has more",
			(unsigned long long)j->sent, end_noun(&j->from));
}

static int read_memory_step(struct job *j)
{
	if (j->len == DECANT_TO_END && j->sent == j->to.size && j->taken == j->sent)
		return read_memory_full(j);
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
	.fits = read_memory_fits,
};
