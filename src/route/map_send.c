/* SPDX-License-Identifier: MIT */
/*
 * map-send: a mapping of the file, sent with send(2).  One copy, from the page
 * cache into the socket, and the file may change when the last send returns.
 */
#include <errno.h>

#include "route/routes.h"
#include "route/window.h"

#define MAP_SEND_BYTES (1u << 20)

static int map_send_start(struct job *j)
{
	(void)j; /* no state: what is left to do is in j->taken */
	return 0;
}

/* send(2) said EFAULT: is the file shorter now, or can it not be read? */
static int map_send_fault(struct job *j)
{
	if (window_left(j, j->taken, 1) == 0)
		return window_shrank(j, j->sent);
	return job_plain_step(j, MAP_SEND_BYTES);
}

static int map_send_step(struct job *j)
{
	uint64_t want = job_want(j, MAP_SEND_BYTES), len;
	struct mapping *m = NULL;
	const void *data = NULL;
	int64_t n;
	int err = 0;

	if (want == 0)
		return job_all_taken(j) ? STEP_DONE : STEP_WAIT;
	len = window_left(j, j->taken, want);
	if (len > 0)
		data = job_map(j, j->taken, &len, &m, &err);
	if (!data) /* the end, a file without a size, one that cannot be mapped */
		return job_plain_step(j, MAP_SEND_BYTES);
	if (len > want)
		len = want;
	n = end_write(&j->to, j->sent, data, len, job_more(j, len));
	/* Kept by the engine for the next step; a stalled peer holds nothing. */
	job_unmap(j, m);
	if (n > 0)
		return window_took(j, (uint64_t)n);
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	return n == -EFAULT ? map_send_fault(j) : job_fail_sink(j, n == 0 ? -EIO : (int)n);
}

const struct route route_map_send = {
	.ops = { "map-send", map_send_start, map_send_step, NULL },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_SOCKET),
	.copies = 1,
	.guarantee = DECANT_STABLE,
	.maps = true,
	.snapshotted = "when the last send returns",
};
