/* SPDX-License-Identifier: MIT */
/*
 * direct-splice: splice(2) from a descriptor with O_DIRECT into a pipe of our
 * own, then into the socket.  The disk writes into pages that are nobody
 * else's, so the file may change when the splice into the pipe returns (Linux:
 * copy_splice_read, before 6.5 generic_file_splice_read with O_DIRECT).
 */
#include <errno.h>

#include "route/direct_piece.h"
#include "route/quiet.h"
#include "route/routes.h"
#include "route/sendfile.h"
#include "sys/sys.h"

struct direct_splice {
	struct direct_source source;
	struct pipe *pipe;   /* NULL while it would be empty */
	uint64_t left;       /* bytes in it that are to be sent */
};

static const enum fact direct_splice_needs[] = { FACT_SPLICE_DIRECT, FACT_NONE };

static int direct_splice_start(struct job *j)
{
	struct direct_splice *s = sys_calloc(1, sizeof(*s));
	int r;

	if (!s)
		return job_fail(j, -ENOMEM, "direct-splice: no memory");
	r = direct_source_open(&s->source, j);
	if (r < 0) {
		free(s);
		return r;
	}
	j->priv = s;
	return 0;
}

/* A pipe with bytes in it is destroyed there. */
static void direct_splice_drop(struct job *j)
{
	struct direct_splice *s = j->priv;

	if (s->pipe)
		job_pipe_put(j, s->pipe);
	s->pipe = NULL;
	s->left = 0;
}

static void direct_splice_finish(struct job *j)
{
	struct direct_splice *s = j->priv;

	direct_splice_drop(j);
	direct_source_close(&s->source);
	free(s);
	j->priv = NULL;
}

static int direct_splice_send(struct job *j)
{
	struct direct_splice *s = j->priv;
	int64_t n = quiet_splice(s->pipe->fd, NULL, j->to.io_fd, NULL, s->left);

	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	if (n <= 0)
		return job_fail_sink(j, n == 0 ? -EIO : (int)n);
	s->left -= (uint64_t)n;
	s->pipe->used_bytes -= (uint32_t)n;
	job_sent(j, (uint64_t)n, 0);
	/* What is left of the last block was not asked for. */
	if (s->left == 0 && s->pipe->used_bytes > 0)
		direct_splice_drop(j);
	return STEP_MORE;
}

/* The bytes of the first block that were not asked for. */
static int direct_splice_skip(struct job *j, uint64_t skip)
{
	struct direct_splice *s = j->priv;
	uint64_t size;
	void *buf = job_scratch(j, &size);
	int64_t n;

	if (skip == 0)
		return 0;
	if (!buf || size < skip)
		return job_fail(j, -ENOMEM, "buffer: no memory");
	n = sys_read(s->pipe->fd, buf, skip);
	if (n != (int64_t)skip)
		return job_fail(j, n < 0 ? (int)n : -EIO, "direct-splice: the pipe lost bytes");
	s->pipe->used_bytes -= (uint32_t)skip;
	return 0;
}

static int direct_splice_fill(struct job *j, uint64_t want)
{
	struct direct_splice *s = j->priv;
	struct direct_blocks b = direct_blocks(&s->source, j, j->taken, want, s->pipe->size_bytes);
	uint64_t offset = b.offset, got;
	int64_t n = sys_splice(s->source.fd, &offset, s->pipe->fd, NULL, b.len, SPLICE_F_NONBLOCK);
	int r;

	if (n == -EINVAL || n == -EAGAIN || n == -ENOMEM) {
		direct_splice_drop(j);
		return direct_step(&s->source, j); /* the same bytes, with a read */
	}
	if (n < 0)
		return job_fail_source(j, (int)n);
	s->pipe->used_bytes = (uint32_t)n;
	got = direct_got(&b, n);
	if (got == 0) {
		direct_splice_drop(j);
		return job_source_ended(j);
	}
	r = direct_splice_skip(j, b.skip);
	if (r < 0)
		return r;
	s->left = got;
	job_took(j, got);
	if (job_all_taken(j))
		job_snapshotted(j, 0);
	return direct_splice_send(j);
}

static int direct_splice_step(struct job *j)
{
	struct direct_splice *s = j->priv;
	uint64_t want;

	if (s->left > 0)
		return direct_splice_send(j);
	want = job_want(j, UINT64_MAX);
	if (want == 0) {
		direct_splice_drop(j);
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	}
	if (!s->pipe && job_pipe_get(j, &s->pipe) < 0) {
		s->pipe = NULL;
		return direct_step(&s->source, j);
	}
	return direct_splice_fill(j, want);
}

static bool direct_splice_fits(const struct query *q, struct fit *fit)
{
	return direct_fits(q, fit) && sendfile_fits_sink(q, fit, "splice(2)") &&
	       route_note(fit, "reads the disk even where the data are in the page cache");
}

const struct route route_direct_splice = {
	.ops = { "direct-splice", direct_splice_start, direct_splice_step, direct_splice_finish },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.needs = direct_splice_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last splice into our pipe returns: the pages in it are private",
	.past_cache = true,
	.fits = direct_splice_fits,
};
