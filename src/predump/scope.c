/* SPDX-License-Identifier: MIT */
/* Which mappings belong in an image, and what of them was written or is there. */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "predump/predump.h"
#include "sys/sys.h"

#define SCOPE_PIECE_BYTES (256u << 10) /* looking at so much takes as long as one question more */
#define SCOPE_PIECES_MIN 16
#define SCOPE_GAP_BYTES SCOPE_PIECE_BYTES /* asking about it costs less than asking twice */

static int parts_add(struct predump *p, const struct predump_part *part)
{
	size_t size = p->parts_size ? 2 * p->parts_size : 256;
	void *v;

	if (p->parts_n == p->parts_size) {
		v = sys_realloc(p->parts, size * sizeof(*p->parts));
		if (!v)
			return predump_fail(p, -ENOMEM, "listing the mappings");
		p->parts = v;
		p->parts_size = size;
	}
	p->parts[p->parts_n++] = *part;
	return 0;
}

static bool parts_is_vdso(const struct capture *c, const struct vma *v)
{
	return strcmp(maps_name(&c->maps, v), "[vdso]") == 0;
}

/*
 * Private memory, as CRIU has it: not [vvar] and its like, not devices.  Of huge
 * pages from hugetlbfs only the stop's image has any.
 */
static bool parts_wants(const struct predump *p, const struct vma *v)
{
	const struct capture *c = &p->c;

	if (v->flags & (VMA_SHARED | VMA_IO | VMA_UNREADABLE))
		return false;
	if (v->flags & VMA_SPECIAL)
		return parts_is_vdso(c, v);
	return !(v->flags & VMA_HUGETLB) || c->stop.stands;
}

static int parts_make(struct predump *p)
{
	struct capture *c = &p->c;
	enum track_kind kind = c->track ? track_kind(c->track) : TRACK_NONE;
	int r = 0;

	p->parts_n = 0;
	for (size_t i = 0; i < c->maps.n && r >= 0; i++) {
		const struct vma *v = &c->maps.v[i];
		struct predump_part part = {
			.start = v->start, .end = v->end, .vma = i,
			.tracked = track_can(kind, v, NULL),
			.fixed = v->flags & VMA_SPECIAL,
			.file = v->flags & VMA_FILE,
			.alone = v->flags & (VMA_DONTFORK | VMA_WIPEONFORK | VMA_HUGETLB |
					     VMA_SPECIAL),
		};

		if (parts_wants(p, v))
			r = parts_add(p, &part);
	}
	return r;
}

/* Whether a new mapping is hugetlb or has a userfaultfd only smaps says. */
static bool parts_is_new(const struct capture *c)
{
	for (size_t i = 0; i < c->maps.n; i++)
		if (!(c->maps.v[i].flags & (VMA_KNOWN | VMA_SPECIAL | VMA_UNREADABLE)))
			return true;
	return false;
}

/* What was armed shows as under a userfaultfd: ours. */
static void parts_ours(struct predump *p)
{
	struct maps *m = &p->c.before;

	for (size_t i = 0; i < m->n; i++) {
		size_t k = ranges_find(&p->armed, m->v[i].start);

		if (k < p->armed.n && p->armed.v[k].start <= m->v[i].start &&
		    p->armed.v[k].end >= m->v[i].end)
			m->v[i].flags &= ~(uint32_t)VMA_UFFD;
	}
}

int predump_scope(struct predump *p, bool smaps)
{
	struct capture *c = &p->c;
	int r = maps_read(c->t, MAPS_PLAIN, &c->maps, &c->err);

	if (r < 0)
		return r;
	maps_adopt(&c->maps, &c->before);
	if (smaps && parts_is_new(c)) {
		r = maps_learn(c->t, &c->before, &c->err);
		if (r < 0)
			return r;
		parts_ours(p);
		maps_adopt(&c->maps, &c->before);
	}
	p->report->mappings = (uint32_t)c->maps.n;
	return parts_make(p);
}

/* It has got a userfaultfd of its own, whose protection is not to be touched. */
static void parts_not_ours(struct predump *p, struct predump_part *part)
{
	struct maps *m = &p->c.before;

	part->tracked = false;
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].start == part->start)
			m->v[i].flags |= VMA_UFFD;
}

/* What no mapping of now shows may be anything when it comes again. */
static int parts_armed(struct predump *p)
{
	int r = 0;

	ranges_clear(&p->armed);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++)
		if (p->parts[i].tracked)
			r = ranges_add(&p->armed, p->parts[i].start, p->parts[i].end);
	return r < 0 ? predump_fail(p, r, "listing the mappings") : 0;
}

/* Where it cannot be, all of it comes in each scan: that is right, if slow. */
int predump_arm(struct predump *p)
{
	struct capture *c = &p->c;
	struct err err;
	int r;

	for (size_t i = 0; i < p->parts_n; i++) {
		if (!p->parts[i].tracked)
			continue;
		r = track_arm(c->track, p->parts[i].start, p->parts[i].end, &err);
		if (r == -ENOMEM && target_execed(c->t))
			return err_set(&c->err, -ESRCH,
				       "process %d: has executed another program",
				       (int)c->t->pid);
		if (r == -EBUSY)
			parts_not_ours(p, &p->parts[i]);
		else if (r == -ESRCH || r == -ENOMEM)
			return err_set(&c->err, r, "%s", err.text);
	}
	return parts_armed(p);
}

/*
 * Protect anew what of a part was told (v[*k] and on), and add what is told by that
 * to tmp: only there, for that takes the kernel six times as long for each page.
 */
static int parts_protect(struct predump *p, const struct predump_part *part, size_t *k)
{
	const struct ranges *told = &p->written;
	struct capture *c = &p->c;
	size_t n = 0;
	int r = 0;

	while (*k < told->n && told->v[*k].end <= part->start)
		++*k;
	for (size_t i = *k; i < told->n && told->v[i].start < part->end; i++)
		n++;
	if (n > (part->end - part->start) / SCOPE_PIECE_BYTES + SCOPE_PIECES_MIN)
		return track_scan(c->track, part->start, part->end, true, &p->tmp, &c->err);
	for (size_t i = *k; i < *k + n && r >= 0; i++)
		r = track_scan(c->track, max_u64(part->start, told->v[i].start),
			       min_u64(part->end, told->v[i].end), true, &p->tmp, &c->err);
	return r;
}

/* For a later round: what was written, or is not there; soon told, if most is neither. */
static int parts_scan_quick(struct predump *p)
{
	size_t k = 0;
	int r = predump_scan(p, false);

	ranges_clear(&p->tmp);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++)
		if (p->parts[i].tracked)
			r = parts_protect(p, &p->parts[i], &k);
	if (r >= 0)
		r = ranges_union(&p->tmp2, &p->written, &p->tmp);
	if (r >= 0)
		ranges_swap(&p->written, &p->tmp2);
	return r < 0 && !p->c.err.text[0] ? predump_fail(p, r, "what was written") : r;
}

int predump_scan(struct predump *p, bool again)
{
	struct capture *c = &p->c;
	int r = 0;

	if (again && p->known.n && track_kind(c->track) == TRACK_WP)
		return parts_scan_quick(p);
	p->looked = true;
	ranges_clear(&p->written);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++) {
		const struct predump_part *part = &p->parts[i];

		if (part->tracked)
			r = track_scan(c->track, part->start, part->end, again, &p->written,
				       &c->err);
		else if (!part->fixed)
			r = ranges_add(&p->written, part->start, part->end);
	}
	for (size_t i = 0; i < c->pinned.n && r >= 0; i++)
		r = ranges_add(&p->written, c->pinned.v[i].start, c->pinned.v[i].end);
	return r;
}

/* ------------------------------------------------------------ what is there */

static int parts_there(struct predump *p, const struct predump_part *part, uint64_t start,
			    uint64_t end)
{
	const struct target *of = p->shadowed && !part->alone ? &p->c.shadow.target : p->c.t;
	struct pages_found found = { .there = &p->there };
	int r;

	if (part->fixed)
		return ranges_add(&p->there, start, end);
	if (!part->file)
		return pages_scan(of, start, end, &found, &p->c.err);
	ranges_clear(&p->c.tmp);
	ranges_clear(&p->c.tmp2);
	found = (struct pages_found){ .there = &p->c.tmp, .file = &p->c.tmp2 };
	r = pages_scan(of, start, end, &found, &p->c.err);
	if (r >= 0)
		r = ranges_subtract(&p->c.there, &p->c.tmp, &p->c.tmp2);
	for (size_t i = 0; i < p->c.there.n && r >= 0; i++)
		r = ranges_add(&p->there, p->c.there.v[i].start, p->c.there.v[i].end);
	return r;
}

int predump_there(struct predump *p, const struct ranges *of, struct ranges *ret)
{
	size_t k = 0;
	int r = 0;

	ranges_clear(&p->there);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++) {
		const struct predump_part *part = &p->parts[i];

		while (k < of->n && of->v[k].end <= part->start)
			k++;
		for (size_t j = k; j < of->n && of->v[j].start < part->end && r >= 0;) {
			uint64_t start = max_u64(of->v[j].start, part->start);
			uint64_t end = min_u64(of->v[j].end, part->end);

			for (j++; j < of->n && of->v[j].start < part->end &&
				  of->v[j].start - end <= SCOPE_GAP_BYTES; j++)
				end = min_u64(of->v[j].end, part->end);
			r = parts_there(p, part, start, end);
		}
	}
	return r < 0 ? r : ranges_intersect(ret, &p->there, of);
}

int predump_all(struct predump *p, bool alone, struct ranges *ret)
{
	int r = 0;

	ranges_clear(ret);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++)
		if (!alone || p->parts[i].alone)
			r = ranges_add(ret, p->parts[i].start, p->parts[i].end);
	return r;
}
