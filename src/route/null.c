/* SPDX-License-Identifier: MIT */
/*
 * null: nothing is copied.  What it measures is the engine itself:
 *
 *	file, memory, zero   not even read: only the account is kept; a file
 *	                     that is shorter than promised is noticed
 *	pipe                 spliced to /dev/null: the pages are let go
 *	TCP socket           received with MSG_TRUNC: taken off the queue
 *
 * To really read a file to its end, ask for a checksum or for read-write.
 */
#include <errno.h>
#include <fcntl.h>

#include "route/quiet.h"
#include "route/routes.h"
#include "sys/sys.h"

#define NULL_CHUNK_BYTES (1u << 20)

static bool null_fits(const struct query *q, struct fit *fit)
{
	if (q->from->kind == DECANT_END_SOCKET && !q->from->tcp)
		return route_refuse(fit, "only TCP takes bytes off its queue without a copy");
	if (q->from->kind == DECANT_END_PIPE && !caps_has(q->caps, FACT_SPLICE))
		return route_refuse(fit, "splice: %s", caps_why(q->caps, FACT_SPLICE));
	if (!q->from->seekable)
		return true;
	return route_note(fit, "the source is not read; ask for a checksum to have it read");
}

static int null_start(struct job *j)
{
	int fd = -1;

	if (j->from.kind == DECANT_END_PIPE) {
		fd = sys_open("/dev/null", O_WRONLY | O_CLOEXEC, 0);
		if (fd < 0)
			return job_fail(j, -EOPNOTSUPP, "/dev/null cannot be opened");
	}
	j->priv = (void *)(intptr_t)fd;
	return 0;
}

static void null_finish(struct job *j)
{
	int fd = (int)(intptr_t)j->priv;

	if (fd >= 0)
		(void)sys_close(fd);
	j->priv = NULL;
}

/* Bytes let go; 0: the end. */
static int64_t null_take(struct job *j, uint64_t want)
{
	const struct end *from = &j->from;
	uint64_t size;

	switch (from->kind) {
	case DECANT_END_PIPE:
		return quiet_splice(from->io_fd, NULL, (int)(intptr_t)j->priv, NULL, want);
	case DECANT_END_SOCKET:
		return sys_recv(from->io_fd, NULL, want, MSG_TRUNC | MSG_DONTWAIT);
	case DECANT_END_FILE:
		size = end_size_now(from);
		break;
	case DECANT_END_MEMORY:
		size = from->size;
		break;
	default:
		return (int64_t)want;
	}
	if (size == END_SIZE_UNKNOWN)
		return (int64_t)want;
	size = size > from->offset + j->sent ? size - from->offset - j->sent : 0;
	return (int64_t)(size < want ? size : want);
}

static int null_step(struct job *j)
{
	uint64_t want = job_want(j, NULL_CHUNK_BYTES);
	int64_t n;

	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	n = null_take(j, want);
	if (n == -EAGAIN) {
		job_wait_source(j);
		return STEP_WAIT;
	}
	if (n < 0)
		return job_fail_source(j, (int)n);
	if (n == 0)
		return job_source_ended(j);
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, 0);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

const struct route route_null = {
	.ops = {
		.name = "null",
		.start = null_start,
		.step = null_step,
		.finish = null_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_FILE) | ROUTE_KIND(DECANT_END_MEMORY) |
		      ROUTE_KIND(DECANT_END_ZERO) | ROUTE_KIND(DECANT_END_PIPE) |
		      ROUTE_KIND(DECANT_END_SOCKET),
	.to_kinds = ROUTE_KIND(DECANT_END_NULL),
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "at once: nothing is kept",
	.fits = null_fits,
};
