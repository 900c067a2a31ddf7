/* SPDX-License-Identifier: MIT */
/*
 * copy-range: copy_file_range(2).  The file system shares blocks or lets its
 * server copy where it can; else the kernel copies once.  Holes stay holes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route/ahead.h"
#include "route/holes.h"
#include "route/overlap.h"
#include "route/routes.h"
#include "route/window.h"
#include "sys/sys.h"

#define COPY_RANGE_CHUNK_BYTES (16u << 20)
/* Smaller where we look after the reading ahead ourselves. */
#define COPY_RANGE_AHEAD_BYTES (1u << 20)

static const enum fact copy_range_needs[] = { FACT_COPY_FILE_RANGE, FACT_NONE };

struct copy_range {
	struct holes holes;
	struct ahead ahead;
	bool plain; /* it does not work with these files after all */
};

static bool copy_range_fits(const struct query *q, struct fit *fit)
{
	if (q->to->append)
		return route_refuse(fit, "copy_file_range() does not append");
	if (q->from->block_device || q->to->block_device)
		return route_refuse(fit, "copy_file_range() is for regular files");
	if (q->from->dev && q->to->dev && q->from->dev != q->to->dev &&
	    !(q->from->reflinks && q->to->reflinks)) /* btrfs: a device number per subvolume */
		return route_refuse(fit, "copy_file_range() stays within one file system, and "
				    "these files are on two");
	if (!overlap_fits(q, fit))
		return false;
	return route_note(fit, "no copy where the file system shares blocks");
}

static int copy_range_start(struct job *j)
{
	uint64_t from = j->from.offset, to = j->to.offset;
	/* Of no bytes: the kernel's checks, above all for different file systems. */
	ssize_t r = sys_copy_file_range(j->from.io_fd, &from, j->to.io_fd, &to, 0, 0);
	struct copy_range *c;

	if (r < 0)
		return job_fail(j, -EOPNOTSUPP, "copy_file_range() refuses these files: %s",
				strerrordesc_np((int)-r));
	c = sys_calloc(1, sizeof(*c));
	if (!c)
		return job_fail(j, -ENOMEM, "copy-range: out of memory");
	holes_open(&c->holes, j);
	ahead_init(&c->ahead, j);
	j->priv = c;
	return 0;
}

static void copy_range_finish(struct job *j)
{
	struct copy_range *c = j->priv;

	(void)holes_settle(&c->holes);
	holes_close(&c->holes);
	free(c);
	j->priv = NULL;
}

static int copy_range_sent(struct job *j, uint64_t len, unsigned copies)
{
	job_took(j, len);
	job_sent(j, len, copies);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

/*
 * n bytes were copied: those that the source still has (see window.h).  What
 * was cleared under the copy is taken off the sink again where it is its end,
 * and nobody has written behind it meanwhile.
 */
static int copy_range_kept(struct job *j, uint64_t n)
{
	uint64_t have = window_left(j, j->taken, n), end = j->to.offset + j->sent + n;
	int r = copy_range_sent(j, have, j->copies);

	if (have == n)
		return r;
	if (j->to.size_seen <= j->to.offset + j->sent && end_size_now(&j->to) == end)
		(void)sys_ftruncate(j->to.io_fd, j->to.offset + j->sent);
	return window_shrank(j, j->sent);
}

/* A run of data.  Which side failed the kernel does not say: a read will. */
static int copy_range_data(struct job *j, struct copy_range *c, uint64_t len)
{
	uint64_t from = j->from.offset + j->sent, to = j->to.offset + j->sent;
	ssize_t n = sys_copy_file_range(j->from.io_fd, &from, j->to.io_fd, &to, len, 0);

	if (n > 0)
		return copy_range_kept(j, (uint64_t)n);
	if (n == -ENOSPC || n == -EDQUOT || n == -EFBIG || n == -EPERM || n == -ETXTBSY)
		return job_fail_sink(j, (int)n);
	c->plain = true;
	return STEP_MORE;
}

static int copy_range_run(struct job *j, struct copy_range *c)
{
	uint64_t want, len;
	bool hole;
	int r;

	if (c->plain)
		return job_plain_step(j, COPY_RANGE_CHUNK_BYTES);
	want = job_want(j, c->ahead.distance ? COPY_RANGE_AHEAD_BYTES : COPY_RANGE_CHUNK_BYTES);
	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	len = holes_run(&c->holes, j->from.offset + j->sent, want, &hole);
	ahead_touch(&c->ahead, j);
	if (!hole)
		return copy_range_data(j, c, len);
	r = holes_skip(&c->holes, j->to.offset + j->sent, len);
	return r < 0 ? job_fail_sink(j, r) : copy_range_sent(j, len, 0);
}

static int copy_range_step(struct job *j)
{
	struct copy_range *c = j->priv;
	int r = copy_range_run(j, c);

	if (r != STEP_DONE)
		return r;
	r = holes_settle(&c->holes);
	return r < 0 ? job_fail_sink(j, r) : STEP_DONE;
}

const struct route route_copy_range = {
	.ops = {
		.name = "copy-range",
		.start = copy_range_start,
		.step = copy_range_step,
		.finish = copy_range_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.needs = copy_range_needs,
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last copy_file_range() returns",
	.fits = copy_range_fits,
};
