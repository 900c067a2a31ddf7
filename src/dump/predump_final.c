/* SPDX-License-Identifier: MIT */
/*
 * The image of one instant: what was written since the last round is kept in
 * memory, first while the target runs, then what is left of it in the stop;
 * both go to the disk when it runs again.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "base/checked.h"
#include "capture/look.h"
#include "dump/predump.h"
#include "sys/proc.h"
#include "sys/sys.h"

#define FINAL_KEEP_BYTES (16ull << 20)
#define FINAL_KEEP_PIECES 8192

/* ------------------------------------------------------- before and in the stop */

/*
 * What was written since the last round, while it runs; early: what of it is
 * kept.  Once more if there was no stop after it: then that is lost.
 */
static int final_early(struct predump *p)
{
	struct capture *c = &p->c;
	int r;

	if (!c->track || track_kind(c->track) != TRACK_WP)
		return 0;
	keep_clear(&c->keep);
	r = ranges_union(&p->tmp, &p->lost, &p->early);
	if (r < 0)
		return r;
	predump_swap(&p->lost, &p->tmp);
	r = predump_scan(p, true);
	if (r >= 0)
		r = predump_there(p, &p->written, &p->early);
	ranges_clear(&p->bad);
	if (r >= 0)
		r = keep_gather(&c->keep, c->t, &p->early, &p->bad);
	p->early_n = c->keep.n;
	c->copied_bytes += ranges_bytes(&p->early);
	if (r >= 0)
		r = ranges_subtract(&p->tmp, &p->early, &p->bad);
	if (r < 0)
		return r;
	predump_swap(&p->early, &p->tmp);
	/* Not known any more, nor to be asked for again but where it could not be read. */
	r = ranges_subtract(&p->tmp, &p->known, &p->written);
	if (r < 0)
		return r;
	predump_swap(&p->known, &p->tmp);
	r = ranges_union(&p->tmp, &p->lost, &p->written);
	return r < 0 ? r : ranges_subtract(&p->lost, &p->tmp, &p->early);
}

/* What must be looked at in the stop, into written. */
static int final_written(struct predump *p)
{
	int r = 0;

	if (!p->c.track) {
		r = predump_all(p, false, &p->written);
		return r;
	}
	r = predump_scan(p, false);
	for (size_t i = 0; i < p->lost.n && r >= 0; i++)
		r = ranges_add(&p->written, p->lost.v[i].start, p->lost.v[i].end);
	for (size_t i = 0; i < p->parts_n && r >= 0; i++) {
		const struct predump_part *part = &p->parts[i];

		if (part->fixed && !ranges_has(&p->known, part->start))
			r = ranges_add(&p->written, part->start, part->end);
	}
	return r;
}

/*
 * present: what there is to copy now.  parent: what was listed and not written.
 * early: what was kept before and not written since.
 */
static int final_sort(struct predump *p)
{
	int r = predump_all(p, false, &p->tmp);

	if (r >= 0)
		r = ranges_subtract(&p->tmp2, &p->tmp, &p->written);
	/* tmp2: all that is as it was when it was last looked at. */
	if (r >= 0)
		r = ranges_intersect(&p->parent, &p->known, &p->tmp2);
	if (r >= 0)
		r = ranges_intersect(&p->tmp, &p->early, &p->tmp2);
	if (r < 0)
		return r;
	predump_swap(&p->early, &p->tmp);
	return predump_there(p, &p->written, &p->present);
}

static int final_in_stop(struct predump *p)
{
	struct capture *c = &p->c;
	int r = predump_scope(p, false);

	if (r >= 0)
		r = final_written(p);
	if (r >= 0)
		r = final_sort(p);
	if (r >= 0)
		r = keep_gather(&c->keep, c->t, &p->present, &c->unreadable);
	p->late_n = c->keep.n;
	if (r >= 0)
		r = predump_shared_keep(p);
	if (r < 0)
		return c->err.text[0] ? r : predump_fail(p, r, "copying in the stop");
	p->report->residue_bytes = ranges_bytes(&p->present);
	p->report->threads = (uint32_t)c->stop.n;
	c->copied_bytes += ranges_bytes(&p->present);
	return 0;
}

static int final_before_busy(void *arg)
{
	struct capture *c = arg;
	struct predump *p = (struct predump *)((char *)c - offsetof(struct predump, c));
	int r = final_early(p);

	return r < 0 && !c->err.text[0] ? predump_fail(p, r, "the last round") : r;
}

static int final_stop(void *arg)
{
	struct predump *p = arg;
	struct capture *c = &p->c;
	int r = capture_stop(c, true, final_before_busy);

	if (r < 0)
		return r;
	r = final_in_stop(p);
	/* It stops again before a thread of it makes a step. */
	if (r >= 0 && p->o->flags & DECANT_PREDUMP_STOPPED)
		r = sys_pidfd_send_signal(c->t->pidfd, SIGSTOP, NULL, 0);
	capture_resume(c);
	return r;
}

/* --------------------------------------------------------------- the image */

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

static int final_gather(void *arg, const struct range *v, size_t n, void *data,
			struct ranges *bad)
{
	struct predump *p = arg;
	unsigned char *to = data;

	(void)bad;
	for (size_t i = 0; i < n; i++) {
		for (uint64_t at = v[i].start, end; at < v[i].end; at = end) {
			const unsigned char *from = final_find(p, at, &end);
			size_t k;

			if (!from)
				return -ENODATA;
			/* Where what the stop kept begins, the other ends. */
			k = ranges_find(&p->present, at);
			if (k < p->present.n && p->present.v[k].start > at)
				end = min_u64(end, p->present.v[k].start);
			else if (k < p->present.n)
				end = min_u64(end, p->present.v[k].end);
			end = min_u64(end, v[i].end);
			memcpy(to, from, end - at);
			to += end - at;
		}
	}
	return 0;
}

static int final_image(struct predump *p, struct dir *d, uint64_t begin_ns)
{
	struct predump_from from = { final_gather, p, "writing" };
	struct ranges both = RANGES_INIT;
	int r = ranges_subtract(&p->tmp, &p->present, &p->c.unreadable);

	if (r >= 0) {
		predump_swap(&p->present, &p->tmp);
		r = ranges_union(&both, &p->early, &p->present);
	}
	if (r < 0)
		r = predump_fail(p, r, "account of the pages");
	p->report->last_pages = p->report->parent_pages = 0;
	if (r >= 0)
		r = predump_write(p, d, DIR_PROCESS, p->id, &both, &p->parent, &from);
	if (r >= 0)
		r = predump_shared_write(p, d);
	if (r >= 0)
		r = predump_note(p, d);
	if (r >= 0)
		r = predump_commit(p, d, begin_ns, true);
	ranges_free(&both);
	return r;
}

int predump_final(struct predump *p)
{
	struct capture *c = &p->c;
	uint64_t begin_ns = sys_clock_ns(), expected;
	struct dir *d = NULL;
	int r = predump_begin(p, &d);

	expected = p->last_bytes != UINT64_MAX ? p->last_bytes + p->last_bytes / 2 :
		   c->t->status.vm_rss_kib << 10;
	if (r >= 0 && (r = predump_scope(p, true)) >= 0) {
		r = keep_reserve(&c->keep, max_u64(FINAL_KEEP_BYTES, expected),
				 FINAL_KEEP_PIECES);
		if (r < 0)
			r = predump_fail(p, r, "room for the stop");
	}
	if (r >= 0) {
		r = capture_in_tracer(c, final_stop, p);
		if (r < 0 && !c->err.text[0])
			r = predump_fail(p, r, "the stop");
		if (r >= 0)
			r = final_image(p, d, begin_ns);
		/* Stopped it stays only for the sake of an image. */
		if (r < 0 && p->o->flags & DECANT_PREDUMP_STOPPED)
			(void)sys_pidfd_send_signal(c->t->pidfd, SIGCONT, NULL, 0);
	}
	dir_close(d);
	return r;
}
