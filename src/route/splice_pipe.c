/* SPDX-License-Identifier: MIT */
/*
 * splice into a pipe: page-cache pages of a file, or what another pipe or a
 * socket holds, without a copy.  Whoever can write to those pages changes what
 * the reader will see, and nothing tells when he has read.
 */
#include <errno.h>

#include "route/quiet.h"
#include "route/routes.h"
#include "sys/sys.h"

#define SPLICE_CHUNK_BYTES (1u << 20)

static const enum fact splice_needs[] = { FACT_SPLICE, FACT_NONE };

static int splice_start(struct job *j)
{
	(void)j;
	return 0;
}

static int splice_sent(struct job *j, int64_t n)
{
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, j->copies);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

static bool splice_pipe_fits(const struct query *q, struct fit *fit)
{
	if (q->from->immutable) {
		fit->guarantee = DECANT_STABLE;
		return route_note(fit, "the source cannot change: %s", q->from->immutable);
	}
	/* Even where a probe saw splice(2) copy: it saw one file system of many. */
	return route_note(fit, "the reader sees later changes of the file; the kernel may copy");
}

static int splice_pipe_step(struct job *j)
{
	uint64_t want = job_want(j, SPLICE_CHUNK_BYTES);
	uint64_t off = j->from.offset + j->sent;
	int64_t n;

	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	n = quiet_splice(j->from.io_fd, &off, j->to.io_fd, NULL, want);
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	if (n == 0 || n == -EINVAL)
		return job_plain_step(j, SPLICE_CHUNK_BYTES); /* the end, or no splice here */
	if (n == -EPIPE)
		return job_fail_sink(j, (int)n);
	if (n < 0)
		return job_fail_source(j, (int)n);
	return splice_sent(j, n);
}

const struct route route_splice_pipe = {
	.ops = { .name = "splice", .start = splice_start, .step = splice_pipe_step },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_PIPE),
	.needs = splice_needs,
	.copies = 0,
	.guarantee = DECANT_LIVE,
	.snapshotted = "never known; if the file cannot change: when the last splice() returns",
	.fits = splice_pipe_fits,
};

static bool splice_stream_fits(const struct query *q, struct fit *fit)
{
	(void)q;
	return route_note(fit, "somebody may have spliced pages into the source that still "
			  "change");
}

static int splice_stream_step(struct job *j)
{
	uint64_t want = job_want(j, SPLICE_CHUNK_BYTES);
	int64_t n;

	/* First what a plain piece has left behind. */
	if (j->taken != j->sent)
		return job_plain_step(j, SPLICE_CHUNK_BYTES);
	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	if (j->from.kind == DECANT_END_SOCKET)
		n = quiet_splice_socket(&j->from, j->to.io_fd, want);
	else
		n = quiet_splice(j->from.io_fd, NULL, j->to.io_fd, NULL, want);
	if (n == -EAGAIN) {
		/* It does not say which end it is. */
		if (quiet_readable(j->from.io_fd))
			job_wait_sink(j);
		else
			job_wait_source(j);
		return STEP_WAIT;
	}
	if (n == 0)
		return job_source_ended(j);
	if (n == -EINVAL)
		return job_plain_step(j, SPLICE_CHUNK_BYTES);
	if (n == -EPIPE)
		return job_fail_sink(j, (int)n);
	if (n < 0)
		return job_fail_source(j, (int)n);
	return splice_sent(j, n);
}

const struct route route_splice_stream = {
	.ops = { .name = "splice", .start = splice_start, .step = splice_stream_step },
	.from_kinds = ROUTE_KIND(DECANT_END_PIPE) | ROUTE_KIND(DECANT_END_SOCKET),
	.to_kinds = ROUTE_KIND(DECANT_END_PIPE),
	.needs = splice_needs,
	.copies = 0,
	.guarantee = DECANT_LIVE,
	.snapshotted = "never known: the pages are whoever put them into the source",
	.fits = splice_stream_fits,
};
