/* SPDX-License-Identifier: MIT */
/*
 * recv-splice: from a socket through a pooled pipe into a file.  What the
 * network card wrote is copied once, into the page cache.
 */
#include <errno.h>

#include "route/quiet.h"
#include "route/routes.h"
#include "sys/sys.h"

#define RECV_SPLICE_CHUNK_BYTES (1u << 20)

static const enum fact recv_splice_needs[] = { FACT_SPLICE, FACT_PIPE_REOPEN, FACT_NONE };

struct recv_splice {
	struct pipe *pipe; /* only while bytes are in it or a step runs */
	bool plain;        /* no pipe, or no splice from this socket */
};

static bool recv_splice_fits(const struct query *q, struct fit *fit)
{
	if (q->to->append)
		return route_refuse(fit, "splice() does not append");
	return true;
}

static int recv_splice_start(struct job *j)
{
	struct recv_splice *s = sys_calloc(1, sizeof(*s));

	if (!s)
		return job_fail(j, -ENOMEM, "recv-splice: out of memory");
	j->priv = s;
	return 0;
}

static void recv_splice_finish(struct job *j)
{
	struct recv_splice *s = j->priv;

	job_pipe_put(j, s->pipe);
	free(s);
	j->priv = NULL;
}

/* What the pipe holds, into the file.  STEP_MORE: it is empty. */
static int recv_splice_drain(struct job *j, struct recv_splice *s)
{
	while (s->pipe->used_bytes) {
		uint64_t off = j->to.offset + j->sent;
		int64_t n = quiet_splice(s->pipe->fd, NULL, j->to.io_fd, &off,
					 s->pipe->used_bytes);

		if (n <= 0)
			return job_fail_sink(j, n < 0 ? (int)n : -EIO);
		s->pipe->used_bytes -= (uint32_t)n;
		job_sent(j, (uint64_t)n, 1);
	}
	return STEP_MORE;
}

static int recv_splice_failed(struct job *j, struct recv_splice *s, int64_t n)
{
	if (n == 0)
		return job_source_ended(j);
	if (n == -EAGAIN) {
		job_wait_source(j);
		return STEP_WAIT;
	}
	if (n != -EINVAL)
		return job_fail_source(j, (int)n);
	s->plain = true;
	return STEP_MORE;
}

/* Fill the pipe and empty it. */
static int recv_splice_round(struct job *j, struct recv_splice *s)
{
	uint64_t want = job_want(j, s->pipe->size_bytes);
	int64_t n;
	int r;

	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	n = quiet_splice_socket(&j->from, s->pipe->fd, want);
	if (n <= 0)
		return recv_splice_failed(j, s, n);
	s->pipe->used_bytes += (uint32_t)n;
	job_took(j, (uint64_t)n);
	r = recv_splice_drain(j, s);
	return r == STEP_MORE && job_all_taken(j) ? STEP_DONE : r;
}

static int recv_splice_step(struct job *j)
{
	struct recv_splice *s = j->priv;
	int r = STEP_MORE;

	if (!s->plain && !s->pipe && job_pipe_get(j, &s->pipe) < 0)
		s->plain = true; /* out of descriptors: it goes without */
	if (s->plain)
		return job_plain_step(j, RECV_SPLICE_CHUNK_BYTES);
	while (r == STEP_MORE && !s->plain)
		r = recv_splice_round(j, s);
	/* Who waits for a peer keeps no pipe. */
	if (s->pipe->used_bytes == 0) {
		job_pipe_put(j, s->pipe);
		s->pipe = NULL;
	}
	return r;
}

const struct route route_recv_splice = {
	.ops = {
		.name = "recv-splice",
		.start = recv_splice_start,
		.step = recv_splice_step,
		.finish = recv_splice_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.needs = recv_splice_needs,
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last splice() returns: into a file the kernel copies",
	.fits = recv_splice_fits,
};
