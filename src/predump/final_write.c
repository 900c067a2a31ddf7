/* SPDX-License-Identifier: MIT */
/* A final image's pagemap: of what was kept, of a shadow, or of who stands still. */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "predump/predump.h"

/* A page's bytes: what the stop kept, else what was kept before it. */
static const unsigned char *final_find(const struct predump *p, uint64_t addr, uint64_t *ret_end)
{
	const struct keep *k = &p->c.keep;
	bool late = ranges_has(&p->present, addr);
	size_t low = late ? p->early_n : 0, high = late ? p->late_n : p->early_n, last = high;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (k->v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == last || k->v[low].start > addr)
		return NULL;
	*ret_end = k->v[low].end;
	return k->v[low].data + (addr - k->v[low].start);
}

/* Kept bytes of [at, *end), which is cut where they end. */
static int final_kept(const struct predump *p, uint64_t at, uint64_t *end, unsigned char *to)
{
	uint64_t kept_end;
	const unsigned char *from = final_find(p, at, &kept_end);
	size_t k;

	if (!from)
		return -ENODATA;
	*end = min_u64(*end, kept_end);
	/* Where what the stop kept begins, the other ends. */
	k = ranges_find(&p->present, at);
	if (k < p->present.n && p->present.v[k].start > at)
		*end = min_u64(*end, p->present.v[k].start);
	else if (k < p->present.n)
		*end = min_u64(*end, p->present.v[k].end);
	memcpy(to, from, *end - at);
	return 0;
}

/* Not kept in the stop: the shadow has it, or the target that stands still. */
static int final_left(struct predump *p, uint64_t at, uint64_t *end, unsigned char *to,
		      struct ranges *bad)
{
	size_t k = ranges_find(&p->present, at);
	struct range x = { at, min_u64(*end, p->present.v[k].end) };
	bool shadow = p->how == PREDUMP_SHADOW;

	if (shadow) {
		k = ranges_find(&p->own, at);
		if (k < p->own.n)
			x.end = min_u64(x.end, p->own.v[k].start);
	}
	*end = x.end;
	p->c.copied_bytes += x.end - x.start;
	return pages_gather(shadow ? &p->c.shadow.target : p->c.t,
			    shadow ? PAGES_SHADOW : PAGES_LIVE, &x, 1, to, bad);
}

static int final_gather(void *arg, const struct range *v, size_t n, void *data,
			struct ranges *bad)
{
	struct predump *p = arg;
	unsigned char *to = data;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		for (uint64_t at = v[i].start, end; at < v[i].end && r >= 0; at = end) {
			bool late = ranges_has(&p->present, at);

			end = v[i].end;
			if (late && p->how != PREDUMP_KEEP && !ranges_has(&p->own, at))
				r = final_left(p, at, &end, to, bad);
			else
				r = final_kept(p, at, &end, to);
			to += end - at;
		}
	}
	return r;
}

/* How it stands when the stop is over. */
static int final_lists(struct predump *p, struct ranges *both)
{
	int r = ranges_subtract(&p->tmp, &p->present, &p->c.unreadable);

	if (r < 0)
		return r;
	ranges_swap(&p->present, &p->tmp);
	if (p->how == PREDUMP_SHADOW) {
		/* By the shadow's pipes comes what was not kept: neither now, nor before. */
		r = ranges_union(&p->tmp, &p->own, &p->early);
		if (r >= 0)
			ranges_swap(&p->own, &p->tmp);
	} else {
		ranges_clear(&p->own);
	}
	return r < 0 ? r : ranges_union(both, &p->early, &p->present);
}

int predump_final_write(struct predump *p, struct dir *d)
{
	struct predump_from from = { .gather = final_gather, .arg = p, .phase = "writing" };
	struct ranges both = RANGES_INIT;
	int r = p->how == PREDUMP_SHADOW ? predump_shadow_open(p) : 0, ended;

	if (r >= 0) {
		r = final_lists(p, &both);
		if (r < 0)
			(void)predump_fail(p, r, "account of the pages");
	}
	if (p->how == PREDUMP_SHADOW) {
		from.shadow = !p->base;
		from.own = &p->own;
	}
	if (r >= 0)
		r = predump_write(p, d, DIR_PROCESS, p->id, &both, &p->parent, &from);
	for (size_t i = 0; i < p->bad.n && r >= 0; i++)
		r = ranges_add(&p->c.unreadable, p->bad.v[i].start, p->bad.v[i].end);
	ended = predump_shadow_end(p);
	if (r >= 0 && ended < 0)
		r = ended;
	if (r >= 0)
		r = predump_note(p, d);
	ranges_free(&both);
	return r;
}
