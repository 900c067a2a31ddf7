/* SPDX-License-Identifier: MIT */
/*
 * direct: past the page cache, with many pieces in flight.  From a file both
 * sides are O_DIRECT and no CPU copies anything; memory is written from where
 * it is, if it is aligned, or else through aligned buffers.
 */

#include "route/deep.h"
#include "route/overlap.h"
#include "route/routes.h"

static bool direct_fits(const struct query *q, struct fit *fit)
{
	const struct end *from = q->from, *to = q->to;
	uint64_t align = from->dio_align > to->dio_align ? from->dio_align : to->dio_align;

	if (!deep_fits_sink(q, fit) || !overlap_fits(q, fit))
		return false;
	if (!from->cached_fs)
		return route_refuse(fit, "the source's file system is memory: nothing to go past");
	if (!from->dio_align || from->dio_mem_align > 4096)
		return route_refuse(fit, "the source's file system has no O_DIRECT");
	if ((from->offset ^ to->offset) & (align - 1))
		return route_refuse(fit, "the offsets differ by something else than a multiple "
				    "of %llu", (unsigned long long)align);
	return route_note(fit, "what is no whole block goes through the page cache");
}

static int direct_start(struct job *j)
{
	return deep_start(j, DEEP_READ);
}

const struct route route_direct = {
	.ops = {
		.name = "direct",
		.start = direct_start,
		.step = deep_step,
		.finish = deep_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_FILE),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last read past the page cache completes",
	.user_space = true,
	.past_cache = true,
	.fits = direct_fits,
};

/*
 * May the sink be written straight from there?  Not with a checksum: it must
 * be that of the bytes that were moved, and this memory is not ours.
 */
static bool direct_in_place(const struct end *from, const struct end *to, bool checksum)
{
	uint64_t block = to->dio_align > 4096 ? to->dio_align : 4096;
	uint64_t mem_align = to->dio_mem_align ? to->dio_mem_align : 512;
	uint64_t first = (uint64_t)(uintptr_t)from->addr + (-to->offset & (block - 1));

	return !checksum && (first & (mem_align - 1)) == 0;
}

static bool direct_memory_fits(const struct query *q, struct fit *fit)
{
	if (!deep_fits_sink(q, fit))
		return false;
	if (direct_in_place(q->from, q->to, q->checksum != DECANT_CHECKSUM_NONE))
		return true;
	fit->copies = 1;
	if (q->checksum != DECANT_CHECKSUM_NONE)
		return route_note(fit, "through aligned buffers, for the checksum");
	return route_note(fit, "the memory is not aligned to %u: through aligned buffers",
			  q->to->dio_mem_align);
}

static int direct_memory_start(struct job *j)
{
	return deep_start(j, direct_in_place(&j->from, &j->to, j->hash != NULL) ?
			  DEEP_MEMORY : DEEP_BOUNCE);
}

const struct route route_direct_memory = {
	.ops = {
		.name = "direct",
		.start = direct_memory_start,
		.step = deep_step,
		.finish = deep_finish,
	},
	.from_kinds = ROUTE_KIND(DECANT_END_MEMORY),
	.to_kinds = ROUTE_KIND(DECANT_END_FILE),
	.copies = 0,
	.guarantee = DECANT_STABLE,
	.snapshotted = "when the last write past the page cache completes",
	.user_space = true,
	.past_cache = true,
	.fits = direct_memory_fits,
};
