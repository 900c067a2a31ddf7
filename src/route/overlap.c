/* SPDX-License-Identifier: MIT */
/* Is the sink a part of the source? */
#include "route/overlap.h"

bool overlap_fits(const struct query *q, struct fit *fit)
{
	const struct end *from = q->from, *to = q->to;
	uint64_t len = q->len, low, high;

	if (from->kind != DECANT_END_FILE || to->kind != DECANT_END_FILE)
		return true;
	if (!from->ino || from->ino != to->ino || from->dev != to->dev)
		return true;
	if (to->append)
		return q->len != DECANT_TO_END ||
		       route_refuse(fit, "a file that is appended to itself never ends");
	if (len == DECANT_TO_END)
		len = from->size == END_SIZE_UNKNOWN || from->size < from->offset ?
			      UINT64_MAX : from->size - from->offset;
	low = from->offset < to->offset ? from->offset : to->offset;
	high = from->offset < to->offset ? to->offset : from->offset;
	if (high - low >= len)
		return true;
	return route_refuse(fit, "source and sink are the same bytes of one file");
}
