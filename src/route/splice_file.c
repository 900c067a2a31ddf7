/* SPDX-License-Identifier: MIT */
/*
 * splice from a pipe into a file: the kernel copies into the page cache, once,
 * before splice() returns.
 */
#include <errno.h>

#include "route/quiet.h"
#include "route/routes.h"

#define SPLICE_FILE_CHUNK_BYTES (1u << 20)

static const enum fact splice_file_needs[] = { FACT_SPLICE, FACT_NONE };

static bool splice_file_fits(const struct query *q, struct fit *fit)
{
	if (q->to->append)
		return route_refuse(fit, "splice() does not append");
	return true;
}

static int splice_file_start(struct job *j)
{
	(void)j;
	return 0;
}

static int splice_file_step(struct job *j)
{
	uint64_t want = job_want(j, SPLICE_FILE_CHUNK_BYTES);
	uint64_t off = j->to.offset + j->sent;
	int64_t n;

	/* First what a plain piece has left behind. */
	if (j->taken != j->sent)
		return job_plain_step(j, SPLICE_FILE_CHUNK_BYTES);
	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	n = quiet_splice(j->from.io_fd, NULL, j->to.io_fd, &off, want);
	if (n == -EAGAIN) {
		job_wait_source(j);
		return STEP_WAIT;
	}
	if (n == 0)
		return job_source_ended(j);
	if (n == -EINVAL)
		return job_plain_step(j, SPLICE_FILE_CHUNK_BYTES);
	if (n < 0)
		return job_fail_sink(j, (int)n);
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, 1);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

const struct route route_splice_file = {
	.ops = { .name = "splice", .start = splice_file_start, .step = splice_file_step },
	.from_kinds = ROUTE_KIND(DECANT_END_PIPE),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.needs = splice_file_needs,
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last splice() returns: into a file the kernel copies",
	.fits = splice_file_fits,
};
