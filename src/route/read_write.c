/* SPDX-License-Identifier: MIT */
/*
 * read-write: read into a buffer, write from it.  Goes for every pair of ends,
 * so it stands at the end of the table; holes stay holes.
 */
#include <errno.h>
#include <stdlib.h>

#include "route/ahead.h"
#include "route/holes.h"
#include "route/overlap.h"
#include "route/routes.h"
#include "sys/sys.h"

#define READ_WRITE_CHUNK_BYTES (1u << 20)

struct read_write {
	struct holes holes;
	struct ahead ahead;
};

static bool read_write_fits(const struct query *q, struct fit *fit)
{
	enum decant_end_kind from = q->from->kind, to = q->to->kind;

	/* Memory needs no reading, or no writing; but for the checksum. */
	if ((from == DECANT_END_MEMORY || to == DECANT_END_MEMORY) && !q->checksum)
		fit->copies = 1;
	if (to == DECANT_END_NULL)
		fit->copies--;
	return overlap_fits(q, fit);
}

static int read_write_start(struct job *j)
{
	struct read_write *s = sys_calloc(1, sizeof(*s));

	if (!s)
		return job_fail(j, -ENOMEM, "holes: out of memory");
	holes_open(&s->holes, j);
	if (j->to.kind == DECANT_END_FILE)
		ahead_init(&s->ahead, j);
	j->priv = s;
	return 0;
}

static void read_write_finish(struct job *j)
{
	struct read_write *s = j->priv;

	(void)holes_settle(&s->holes);
	holes_close(&s->holes);
	free(s);
	j->priv = NULL;
}

static int read_write_hole(struct job *j, uint64_t len)
{
	struct read_write *s = j->priv;
	int r = holes_skip(&s->holes, j->to.offset + j->sent, len);

	if (r < 0)
		return job_fail_sink(j, r);
	job_took(j, len);
	holes_hash(j, len);
	job_sent(j, len, 0);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

static int read_write_step(struct job *j)
{
	struct read_write *s = j->priv;
	struct holes *h = &s->holes;
	uint64_t chunk = READ_WRITE_CHUNK_BYTES;
	bool hole = false;
	int r;

	if (h->from_fd >= 0) {
		chunk = job_want(j, chunk);
		if (chunk == 0 && !job_all_taken(j))
			return STEP_WAIT;
		chunk = holes_run(h, j->from.offset + j->taken, chunk, &hole);
	}
	ahead_touch(&s->ahead, j);
	r = hole && chunk ? read_write_hole(j, chunk) : job_plain_step(j, chunk);
	if (r != STEP_DONE)
		return r;
	r = holes_settle(h);
	return r < 0 ? job_fail_sink(j, r) : STEP_DONE;
}

const struct route route_read_write = {
	.ops = {
		.name = "read-write",
		.start = read_write_start,
		.step = read_write_step,
		.finish = read_write_finish,
	},
	.from_kinds = ROUTE_ANY,
	.to_kinds = ROUTE_ANY,
	.copies = 2,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last read() returns",
	.user_space = true,
	.inline_small = true,
	.fits = read_write_fits,
};
