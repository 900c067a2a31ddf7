/* SPDX-License-Identifier: MIT */
/* From "written" to "there and written": few questions for many ranges. */
#include "base/checked.h"
#include "capture/capture.h"
#include "capture/objects.h"

#define SCAN_GAP_BYTES (2u << 20)   /* asking about so much more costs less than asking twice */

int capture_there(struct capture *c, const struct target *of, const struct ranges *of_these,
		  struct ranges *ret)
{
	struct pages_found found = { .there = &c->there };
	int r = 0;

	ranges_clear(&c->there);
	for (size_t i = 0; i < of_these->n && r >= 0;) {
		uint64_t start = of_these->v[i].start, end = of_these->v[i].end;

		for (i++; i < of_these->n && of_these->v[i].start - end <= SCAN_GAP_BYTES; i++)
			end = of_these->v[i].end;
		r = pages_scan(of, start, end, &found, &c->err);
	}
	c->swapped_bytes += found.swapped_bytes;
	return r < 0 ? r : ranges_intersect(ret, &c->there, of_these);
}

int capture_shared(struct capture *c, const struct scope_part *p, struct ranges *ret)
{
	size_t n = ret->n;
	int r = objects_data(c->objects, &c->maps, &c->maps.v[p->vma], p->start, p->end, ret);

	if (r >= 0)
		return 0;
	ret->n = n;
	return ranges_add(ret, p->start, p->end);
}
