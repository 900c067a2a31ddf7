/* SPDX-License-Identifier: MIT */
/*
 * vmsplice: the caller's pages themselves go into the pipe.  Nothing tells when
 * the reader is done with them, so this is for memory that stays as it is.
 */
#include <errno.h>

#include "route/quiet.h"
#include "route/routes.h"

#define VMSPLICE_CHUNK_BYTES (1u << 20)

static const enum fact vmsplice_needs[] = { FACT_VMSPLICE, FACT_NONE };

static bool vmsplice_fits(const struct query *q, struct fit *fit)
{
	/*
	 * Proposed in 2026 and not merged: vmsplice as a plain copy.  On such a
	 * kernel it is as good, and as dear, as write().
	 */
	if (caps_denies(q->caps, FACT_VMSPLICE_SHARES)) {
		fit->copies = 1;
		fit->guarantee = DECANT_STABLE;
		return route_note(fit, "this kernel's vmsplice copies");
	}
	return route_note(fit, "the reader sees later changes of the memory");
}

static int vmsplice_start(struct job *j)
{
	(void)j;
	return 0;
}

static int vmsplice_step(struct job *j)
{
	uint64_t want = job_want(j, VMSPLICE_CHUNK_BYTES);
	const void *data = end_view(&j->from, j->sent, &want);
	int64_t n;

	if (want == 0 || !data)
		return job_plain_step(j, VMSPLICE_CHUNK_BYTES);
	n = quiet_vmsplice(j->to.io_fd, data, want);
	if (n == -EAGAIN) {
		job_wait_sink(j);
		return STEP_WAIT;
	}
	/* The proposed kernels refuse some pipes in non-blocking mode. */
	if (n == -EINVAL || n == -EOPNOTSUPP)
		return job_plain_step(j, VMSPLICE_CHUNK_BYTES);
	if (n == -EFAULT)
		return job_fail_source(j, (int)n);
	if (n <= 0)
		return job_fail_sink(j, n < 0 ? (int)n : -EIO);
	job_took(j, (uint64_t)n);
	job_sent(j, (uint64_t)n, j->copies);
	return job_all_taken(j) ? STEP_DONE : STEP_MORE;
}

const struct route route_vmsplice = {
	.ops = { .name = "vmsplice", .start = vmsplice_start, .step = vmsplice_step },
	.from_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.to_kinds = ROUTE_KIND(DECANT_END_PIPE),
	.needs = vmsplice_needs,
	.copies = 0,
	.guarantee = DECANT_LIVE,
	.snapshotted = "never known; on kernels whose vmsplice copies: when it returns",
	.fits = vmsplice_fits,
};
