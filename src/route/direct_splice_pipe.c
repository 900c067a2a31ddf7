/* SPDX-License-Identifier: MIT */
/*
 * direct-splice: splice from an O_DIRECT descriptor.  The kernel reads into
 * private pages, past the page cache, before splice() returns; those pages go
 * into the pipe without a copy, and nobody else has them.
 */
#include <errno.h>

#include "route/quiet.h"
#include "route/reopen.h"
#include "route/routes.h"
#include "sys/sys.h"

#define DIRECT_SPLICE_CHUNK_BYTES (1u << 20)

static const enum fact direct_splice_needs[] = { FACT_SPLICE_DIRECT, FACT_NONE };

struct direct_splice {
	int fd;       /* our own, O_DIRECT */
	bool plain;   /* it does not work here, or the end is near */
};

static bool direct_splice_fits(const struct query *q, struct fit *fit)
{
	if (caps_masked(q->caps, FACT_O_DIRECT))
		return route_refuse(fit, "O_DIRECT is masked");
	if (!q->from->dio_align)
		return route_refuse(fit, "the source's file system has no O_DIRECT");
	if (!q->from->cached_fs)
		return route_refuse(fit, "the source's file system is memory: nothing to go past");
	return true;
}

static int direct_splice_start(struct job *j)
{
	struct direct_splice *d = sys_calloc(1, sizeof(*d));

	if (!d)
		return job_fail(j, -ENOMEM, "direct-splice: out of memory");
	d->fd = reopen_direct(j, &j->from);
	if (d->fd < 0) {
		int r = d->fd;

		free(d);
		return r;
	}
	j->priv = d;
	return 0;
}

static void direct_splice_finish(struct job *j)
{
	struct direct_splice *d = j->priv;

	(void)sys_close(d->fd);
	free(d);
	j->priv = NULL;
}

static int direct_splice_failed(struct job *j, int64_t n)
{
	struct direct_splice *d = j->priv;

	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	if (n == -EPIPE)
		return job_fail_sink(j, (int)n);
	if (n < 0 && (n != -EINVAL || (j->flags & DECANT_DIRECT)))
		return job_fail_source(j, (int)n);
	d->plain = true; /* the end, or not so aligned as was said */
	return STEP_MORE;
}

static int direct_splice_step(struct job *j)
{
	struct direct_splice *d = j->priv;
	uint64_t align = j->from.dio_align;
	uint64_t off = j->from.offset + j->sent, want;
	int64_t n;

	if (d->plain)
		return job_plain_step(j, DIRECT_SPLICE_CHUNK_BYTES);
	if (off & (align - 1))
		return job_plain_step(j, align - (off & (align - 1)));
	want = job_want(j, DIRECT_SPLICE_CHUNK_BYTES);
	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	if (want < align)
		return job_plain_step(j, want);
	n = quiet_splice(d->fd, &off, j->to.io_fd, NULL, want & ~(align - 1));
	if (n <= 0)
		return direct_splice_failed(j, n);
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, j->copies);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

const struct route route_direct_splice_pipe = {
	.ops = {
		.name = "direct-splice",
		.start = direct_splice_start,
		.step = direct_splice_step,
		.finish = direct_splice_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_PIPE),
	.needs = direct_splice_needs,
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last splice() returns: into private pages",
	.past_cache = true,
	.fits = direct_splice_fits,
};
