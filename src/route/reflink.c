/* SPDX-License-Identifier: MIT */
/*
 * reflink: the sink gets the source's own blocks (FICLONERANGE), which the file
 * system copies when one of the two is written.  No copy, atomic over the whole
 * range, and nothing is read.
 */
#include <errno.h>
#include <string.h>

#include "route/overlap.h"
#include "route/routes.h"
#include "sys/sys.h"

#define REFLINK_TRIES 8 /* against a source whose size changes meanwhile */

static bool reflink_fits(const struct query *q, struct fit *fit)
{
	const struct end *from = q->from, *to = q->to;
	uint64_t block = from->block_size, from_end, to_end;

	if (caps_masked(q->caps, FACT_REFLINK))
		return route_refuse(fit, "reflink is masked");
	if (from->block_device || to->block_device)
		return route_refuse(fit, "a block device has no blocks to share");
	if (!from->reflinks)
		return route_refuse(fit, "the file system does not share blocks");
	if (to->append)
		return route_refuse(fit, "the sink is open for appending");
	if (from->dev != to->dev)
		return route_refuse(fit, "source and sink are on different file systems");
	if (!overlap_fits(q, fit))
		return false;
	if (!block || (block & (block - 1)))
		block = 4096;
	if ((from->offset | to->offset) & (block - 1))
		return route_refuse(fit, "the offsets are no multiples of the block size %llu",
				    (unsigned long long)block);
	if (q->len == DECANT_TO_END || __builtin_add_overflow(from->offset, q->len, &from_end) ||
	    __builtin_add_overflow(to->offset, q->len, &to_end))
		from_end = to_end = UINT64_MAX;
	if ((q->len & (block - 1)) && (from_end < from->size_seen || to_end < to->size_seen))
		return route_refuse(fit, "the length is no multiple of the block size %llu, and "
				    "not to the end of both files", (unsigned long long)block);
	fit->atomic = true;
	return route_note(fit, "source and sink share blocks on the disk");
}

/* Bytes that the source has for us now. */
static uint64_t reflink_len(const struct job *j)
{
	uint64_t size = end_size_now(&j->from);
	uint64_t left = size > j->from.offset && size != END_SIZE_UNKNOWN ?
				size - j->from.offset : 0;

	return left < j->len ? left : j->len;
}

/*
 * All of it at once, here: when the file system will not, another route can
 * still be taken.  How much it was is kept in the account, by the step.
 */
static int reflink_start(struct job *j)
{
	uint64_t len = 0;
	int r = 0;

	for (int i = 0; i < REFLINK_TRIES; i++) {
		len = reflink_len(j);
		/* Length 0 would mean "to the end", whatever that is by then. */
		r = len ? sys_ficlonerange(j->to.io_fd, j->from.io_fd, j->from.offset, len,
					   j->to.offset) : 0;
		if (r != -EINVAL || reflink_len(j) == len)
			break;
	}
	/* No room, too: XFS can run out of it for sharing before it does for data. */
	if (r < 0)
		return job_fail(j, -EOPNOTSUPP, "the file system cannot share these blocks: %s",
				strerrordesc_np(-r));
	job_took(j, len);
	job_sent(j, len, 0);
	return 0;
}

static int reflink_step(struct job *j)
{
	return job_all_taken(j) ? STEP_DONE : job_source_ended(j);
}

const struct route route_reflink = {
	.ops = { .name = "reflink", .start = reflink_start, .step = reflink_step },
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the ioctl returns, for the whole range at once",
	.fits = reflink_fits,
};
