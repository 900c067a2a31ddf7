/* SPDX-License-Identifier: MIT */
/*
 * splice: into a socket from a pipe; from a file or another socket through a
 * pipe of our own.  LIVE: nothing is copied, and what is in the pipe may be
 * pages of a file, or memory that somebody put there with vmsplice(2).
 */
#include <errno.h>

#include "route/quiet.h"
#include "route/routes.h"
#include "route/sendfile.h"
#include "sys/sys.h"

struct splice_socket {
	struct pipe *pipe;   /* NULL while it would be empty, and for a pipe source */
	bool plain;          /* splice(2) does not work here */
};

static const enum fact splice_socket_needs[] = { FACT_SPLICE, FACT_NONE };

static int splice_socket_start(struct job *j)
{
	struct splice_socket *s = sys_calloc(1, sizeof(*s));

	if (!s)
		return job_fail(j, -ENOMEM, "splice: no memory");
	j->priv = s;
	return 0;
}

static void splice_socket_drop(struct job *j)
{
	struct splice_socket *s = j->priv;

	if (s->pipe)
		job_pipe_put(j, s->pipe);
	s->pipe = NULL;
}

static void splice_socket_finish(struct job *j)
{
	splice_socket_drop(j);
	free(j->priv);
	j->priv = NULL;
}

static int splice_socket_send(struct job *j)
{
	struct splice_socket *s = j->priv;
	int64_t n = quiet_splice(s->pipe->fd, NULL, j->to.io_fd, NULL, s->pipe->used_bytes);

	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	if (n <= 0)
		return job_fail_sink(j, n == 0 ? -EIO : (int)n);
	s->pipe->used_bytes -= (uint32_t)n;
	job_sent(j, (uint64_t)n, 0);
	return STEP_MORE;
}

/* A splice that moved nothing; EAGAIN does not say for whom it waits. */
static int splice_socket_failed(struct job *j, int64_t n)
{
	struct splice_socket *s = j->priv;

	splice_socket_drop(j);
	if (n == 0)
		return sendfile_end(j);
	if (sendfile_cannot(n)) {
		s->plain = true;
		return STEP_MORE;
	}
	if (n != -EAGAIN)
		return sendfile_result(j, n);
	if (j->from.kind != DECANT_END_PIPE || !quiet_readable(j->from.io_fd))
		job_wait_source(j);
	else
		job_wait_sink(j);
	return STEP_WAIT;
}

static int splice_socket_through(struct job *j, uint64_t want)
{
	struct splice_socket *s = j->priv;
	uint64_t offset = j->from.offset + j->taken;
	int64_t n;

	if (!s->pipe && job_pipe_get(j, &s->pipe) < 0) {
		s->pipe = NULL;
		return job_plain_step(j, want);
	}
	if (want > s->pipe->size_bytes)
		want = s->pipe->size_bytes;
	if (j->from.kind == DECANT_END_FILE)
		n = quiet_splice(j->from.io_fd, &offset, s->pipe->fd, NULL, want);
	else
		n = quiet_splice_socket(&j->from, s->pipe->fd, want);
	if (n <= 0)
		return splice_socket_failed(j, n);
	s->pipe->used_bytes = (uint32_t)n;
	job_took(j, (uint64_t)n);
	return splice_socket_send(j);
}

static int splice_socket_step(struct job *j)
{
	struct splice_socket *s = j->priv;
	uint64_t want;
	int64_t n;

	if (j->guarantee == DECANT_STABLE)
		job_snapshotted(j, 0); /* it cannot change at all */
	if (s->pipe && s->pipe->used_bytes > 0)
		return splice_socket_send(j);
	/* What a plain step could not write is kept by the engine and goes first. */
	if (s->plain || j->taken != j->sent)
		return job_plain_step(j, UINT32_MAX);
	want = job_want(j, UINT32_MAX);
	if (want == 0) {
		splice_socket_drop(j);
		return job_all_taken(j) ? sendfile_end(j) : STEP_WAIT;
	}
	if (j->from.kind != DECANT_END_PIPE)
		return splice_socket_through(j, want);
	n = quiet_splice(j->from.io_fd, NULL, j->to.io_fd, NULL, want);
	return n > 0 ? sendfile_result(j, n) : splice_socket_failed(j, n);
}

static bool splice_socket_fits(const struct query *q, struct fit *fit)
{
	if (!sendfile_fits_sink(q, fit, "splice(2)"))
		return false;
	if (q->from->kind == DECANT_END_FILE)
		return sendfile_fits_source(q, fit);
	if (q->guarantee == DECANT_STABLE)
		return route_refuse(fit, "what is in a %s may be somebody's live memory or file "
				    "(vmsplice, sendfile): a later write shows",
				    end_noun(q->from));
	return route_note(fit, "the kernel may copy");
}

const struct route route_splice = {
	.ops = { "splice", splice_socket_start, splice_socket_step, splice_socket_finish },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE) | ROUTE_KIND(DECANT_END_PIPE) |
		      ROUTE_KIND(DECANT_END_SOCKET),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = splice_socket_needs,
	.copies = 0,
	.guarantee = DECANT_LIVE,
	.snapshotted = "never for certain, unless the source cannot change: then at once",
	.fits = splice_socket_fits,
};
