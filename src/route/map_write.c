/* SPDX-License-Identifier: MIT */
/*
 * map-write: a mapping of the file, written to the pipe.  The kernel copies
 * from the page cache into the pipe's own pages: one copy, and no page of the
 * file is shared.
 */
#include <errno.h>

#include "route/routes.h"
#include "route/window.h"

#define MAP_WRITE_CHUNK_BYTES (1u << 20)

static int map_write_start(struct job *j)
{
	(void)j;
	return 0;
}

/* One write; bytes, or a negative errno that is not yet a sentence. */
static int64_t map_write_piece(struct job *j, uint64_t len)
{
	struct mapping *map = NULL;
	int64_t n;
	int err = 0;
	const void *data = job_map(j, j->sent, &len, &map, &err);

	if (!data)
		return err;
	n = end_write(&j->to, j->sent, data, len, false);
	job_unmap(j, map);
	return n;
}

static int map_write_failed(struct job *j, int64_t n)
{
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	if (n == -EFAULT)
		return job_fail_source(j, (int)n);
	/* Files that cannot be mapped, and address space that is used up. */
	if (n == -ENODEV || n == -EACCES || n == -ENOMEM || n == -EOVERFLOW)
		return job_plain_step(j, MAP_WRITE_CHUNK_BYTES);
	return job_fail_sink(j, n < 0 ? (int)n : -EIO);
}

static int map_write_step(struct job *j)
{
	uint64_t want = job_want(j, MAP_WRITE_CHUNK_BYTES);
	int64_t n;

	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	want = window_left(j, j->sent, want);
	if (want == 0)
		return job_plain_step(j, MAP_WRITE_CHUNK_BYTES); /* it finds the end */
	n = map_write_piece(j, want);
	if (n <= 0)
		return map_write_failed(j, n);
	return window_took(j, (uint64_t)n);
}

const struct route route_map_write = {
	.ops = { .name = "map-write", .start = map_write_start, .step = map_write_step },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_PIPE),
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.maps = true,
	.snapshotted = "when the last write() returns",
};
