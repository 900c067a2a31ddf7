/* SPDX-License-Identifier: MIT */
/* Which mappings there are, and what of each was written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "capture/dirty.h"
#include "sys/sys.h"

/*
 * Shared memory, too: what the target itself writes there shows.  Private
 * mappings that cannot be written to now may have been a moment ago.  Whose
 * userfaultfd smaps tells of, ours or the target's own, arming will show.
 */
static bool scan_wants(const struct vma *v)
{
	if (v->flags & (VMA_SPECIAL | VMA_IO | VMA_UNREADABLE))
		return false;
	return !(v->flags & VMA_SHARED) || v->flags & VMA_WRITE;
}

/* Plain maps do not tell of devices. */
static bool scan_is_new(const struct maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (!(m->v[i].flags & (VMA_KNOWN | VMA_SPECIAL | VMA_UNREADABLE)))
			return true;
	return false;
}

static int scan_maps(struct decant_dirty *d)
{
	struct capture *c = &d->c;
	int r = maps_read(c->t, MAPS_PLAIN, &c->maps, &c->err);

	if (r < 0)
		return r;
	maps_adopt(&c->maps, &c->before);
	if (!scan_is_new(&c->maps))
		return 0;
	r = maps_learn(c->t, &c->before, &c->err);
	if (r >= 0)
		maps_adopt(&c->maps, &c->before);
	return r;
}

/* 1: it is tracked; 0: it cannot be. */
static int scan_arm(struct decant_dirty *d, struct vma *v)
{
	struct err err = { "" };
	int r;

	if (!scan_wants(v))
		return 0;
	/* Again each time: another mapping may have taken its place. */
	r = track_arm(d->c.track, v->start, v->end, &err);
	if (r == -ENOMEM && target_execed(d->c.t))
		r = -ESRCH;
	if (r == -ESRCH || r == -ENOMEM)
		return err_set(&d->c.err, r, "%s", err.text);
	return r >= 0;
}

/* What is the file's own in [start, end) was only read there. */
static int scan_filter(struct decant_dirty *d, const struct vma *v, struct ranges *written)
{
	struct pages_found found = { .there = &d->there };
	bool file = v->flags & VMA_FILE && !(v->flags & VMA_SHARED);
	int r;

	/* Write protection tells of what is there, and no more. */
	if (!written->n || (!file && d->kind == TRACK_WP))
		return 0;
	ranges_clear(&d->there);
	ranges_clear(&d->file);
	if (file)
		found.file = &d->file;
	r = pages_scan(d->c.t, written->v[0].start, written->v[written->n - 1].end, &found,
		       &d->c.err);
	if (r >= 0)
		r = ranges_subtract(&d->tmp, &d->there, &d->file);
	return r < 0 ? r : ranges_intersect(&d->there, written, &d->tmp);
}

static int scan_one(struct decant_dirty *d, const struct vma *v)
{
	const struct ranges *what = &d->part;
	int r;

	ranges_clear(&d->part);
	r = track_scan(d->c.track, v->start, v->end, true, &d->part, &d->c.err);
	if (r < 0)
		return r;
	r = scan_filter(d, v, &d->part);
	if (d->part.n && (d->kind != TRACK_WP ||
			  (v->flags & VMA_FILE && !(v->flags & VMA_SHARED))))
		what = &d->there;
	for (size_t i = 0; i < what->n && r >= 0; i++)
		r = ranges_add(&d->look, what->v[i].start, what->v[i].end);
	return r;
}

/* smaps told of our userfaultfd: for whoever asks, that is none of the target's own. */
static void scan_disown(struct decant_dirty *d)
{
	struct maps *old = &d->c.before;

	for (size_t i = 0; i < old->n; i++) {
		const struct vma *v = old->v[i].flags & VMA_UFFD ?
					      maps_find(&d->c.maps, old->v[i].start) : NULL;

		if (v && !(v->flags & VMA_UFFD))
			old->v[i].flags &= ~(uint32_t)VMA_UFFD;
	}
}

int dirty_scan(struct decant_dirty *d)
{
	struct maps *m = &d->c.maps;
	int r = scan_maps(d);

	ranges_clear(&d->look);
	for (size_t i = 0; i < m->n && r >= 0; i++) {
		r = scan_arm(d, &m->v[i]);
		if (r > 0)
			m->v[i].flags &= ~(uint32_t)VMA_UFFD;
		else if (r == 0)
			m->v[i].flags |= VMA_UFFD;
		if (r > 0)
			r = scan_one(d, &m->v[i]);
	}
	scan_disown(d);
	/* What is written from here to the first page of the next scan is lost: a moment. */
	if (r >= 0 && d->kind == TRACK_SOFT_DIRTY)
		r = track_clear(d->c.track, &d->c.err);
	return r;
}

/* ---------------------------------------------------------------- mappings */

static uint32_t scan_flags(const struct vma *v)
{
	return (v->flags & VMA_READ ? DECANT_DIRTY_READ : 0u) |
	       (v->flags & VMA_WRITE ? DECANT_DIRTY_WRITE : 0u) |
	       (v->flags & VMA_EXEC ? DECANT_DIRTY_EXEC : 0u) |
	       (v->flags & VMA_SHARED ? DECANT_DIRTY_SHARED : 0u) |
	       (v->flags & VMA_FILE ? DECANT_DIRTY_FILE : 0u) |
	       (v->flags & VMA_UFFD ? DECANT_DIRTY_UNSEEN : 0u);
}

static uint64_t scan_pages(const struct ranges *pages, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	for (size_t i = ranges_find(pages, start); i < pages->n && pages->v[i].start < end; i++)
		bytes += min_u64(pages->v[i].end, end) - max_u64(pages->v[i].start, start);
	return bytes / 4096;
}

/* The kernel cuts what we see as one: a heap that grew while it was tracked, say. */
static bool scan_joins(const struct decant_dirty_mapping *last,
		       const struct decant_dirty_mapping *m)
{
	return last->end == m->start && last->flags == m->flags &&
	       strcmp(last->name, m->name) == 0;
}

static int scan_room(struct decant_dirty *d, size_t n)
{
	struct decant_dirty_mapping *v;

	if (n <= d->mappings_size)
		return 0;
	v = sys_realloc(d->mappings, n * sizeof(*v));
	if (!v)
		return dirty_fail(d, -ENOMEM, "listing the mappings");
	d->mappings = v;
	d->mappings_size = n;
	return 0;
}

int dirty_mappings(struct decant_dirty *d, const struct ranges *pages, uint64_t *ret_gone)
{
	const struct maps *m = &d->c.maps;
	uint64_t found = 0;
	int r = scan_room(d, m->n);

	d->mappings_n = 0;
	for (size_t i = 0; i < m->n && r >= 0; i++) {
		const struct vma *v = &m->v[i];
		struct decant_dirty_mapping new = {
			.start = v->start, .end = v->end, .flags = scan_flags(v),
			.pages = scan_pages(pages, v->start, v->end), .name = maps_name(m, v),
		}, *last = d->mappings_n ? &d->mappings[d->mappings_n - 1] : NULL;

		if (!new.pages && (!(v->flags & VMA_WRITE) || v->flags & VMA_SPECIAL))
			continue;
		found += new.pages;
		if (last && scan_joins(last, &new)) {
			last->end = new.end;
			last->pages += new.pages;
		} else {
			d->mappings[d->mappings_n++] = new;
		}
	}
	*ret_gone = ranges_bytes(pages) / 4096 - found;
	return r;
}
