/* SPDX-License-Identifier: MIT */
/*
 * precopy: round after round over what was written since the last, while the
 * target runs; the stop takes registers and residue.
 */
#include <errno.h>
#include <stdio.h>

#include "base/checked.h"
#include "capture/capture.h"
#include "sys/sys.h"

#define ROUNDS_MAX 30
#define ROUNDS_PIECE_BYTES (256ull << 20)  /* making room waits for all writes: not too often */
#define ROUNDS_HUGE_BYTES (2ull << 20)     /* a piece that ends within a huge page splits it */
#define ROUNDS_MEMORY_BYTES (384ull << 20) /* a round of so much goes to memory, not to the disk */
#define ROUNDS_KEEP_MAX (2 * ROUNDS_MEMORY_BYTES)
#define ROUNDS_ENOUGH_BYTES (128ull << 10)
#define ROUNDS_SAME_MAX 2
#define ROUNDS_SHRINK_NUM 7                /* less than 7/10 of the round before */
#define ROUNDS_SHRINK_DEN 10
#define ROUNDS_NS_PER_KIB 400              /* scattered pages, scanned and copied in a stop */
#define ROUNDS_STOPS_MAX 4
#define ROUNDS_KEEP_BYTES (16ull << 20)
#define ROUNDS_KEEP_PIECES 8192

/* ----------------------------------------------------------------- arming */

/* Parts that cannot be tracked after all are copied in the stop. */
static int rounds_arm(struct capture *c)
{
	int r;

	for (size_t i = 0; i < c->scope.n; i++) {
		struct scope_part *p = &c->scope.v[i];
		struct vma *v = &c->maps.v[p->vma];
		const char *why = NULL;
		struct err err;

		if (p->how != SCOPE_PRIVATE)
			continue;
		r = track_can(track_kind(c->track), v, &why) ?
			track_arm(c->track, p->start, p->end, &err) : -EINVAL;
		/* The memory that is tracked is gone then, which says "no memory". */
		if (r == -ENOMEM && target_execed(c->t))
			return err_set(&c->err, -ESRCH, "process %d: has executed another program",
				       (int)c->t->pid);
		if (r == -ESRCH || r == -ENOMEM)
			return capture_fail(c, r, "tracking: %s", err.text);
		if (r == -EBUSY)
			for (size_t k = 0; k < c->before.n; k++)
				if (c->before.v[k].start == v->start)
					c->before.v[k].flags |= VMA_UFFD;
		if (r < 0)
			p->how = SCOPE_STOPPED;
	}
	return 0;
}

/* --------------------------------------------------------------- a round */

/* c->written: what was written since; c->residue: what of it is there. */
static int rounds_scan(struct capture *c, bool again)
{
	int r = 0;

	ranges_clear(&c->written);
	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];

		if (p->how == SCOPE_PRIVATE)
			r = track_scan(c->track, p->start, p->end, again, &c->written, &c->err);
	}
	return r < 0 ? r : capture_there(c, c->t, &c->written, &c->residue);
}

/* What was in the file and is gone from memory must not stay in the file. */
static int rounds_account(struct capture *c, const struct ranges *written,
			  const struct ranges *copied)
{
	int r = ranges_subtract(&c->tmp, written, copied);

	if (r >= 0)
		r = ranges_intersect(&c->tmp2, &c->tmp, &c->in_file);
	for (size_t i = 0; i < c->tmp2.n && r >= 0; i++)
		r = ranges_add(&c->stale, c->tmp2.v[i].start, c->tmp2.v[i].end);
	if (r >= 0)
		r = ranges_subtract(&c->tmp2, &c->in_file, &c->tmp);
	if (r >= 0)
		r = ranges_union(&c->tmp, &c->tmp2, copied);
	if (r < 0)
		return capture_fail(c, r, "account of the pages");
	ranges_swap(&c->in_file, &c->tmp);
	r = ranges_union(&c->tmp, &c->rewritten, copied);
	if (r < 0)
		return capture_fail(c, r, "account of the pages");
	ranges_swap(&c->rewritten, &c->tmp);
	return 0;
}

/*
 * No more memory than the round needs, and some of the next: a host gives its
 * virtual machines memory that they had not used before at 0.5 GiB/s.
 */
static int rounds_keep(struct capture *c)
{
	uint64_t bytes = ranges_bytes(&c->residue);
	int r = keep_reserve(&c->keep, bytes + bytes / 4, ROUNDS_KEEP_PIECES);

	if (r >= 0)
		r = keep_gather(&c->keep, c->t, &c->residue, &c->again);
	c->copied_bytes += bytes;
	return r < 0 ? capture_fail(c, r, "copying a round") :
		       rounds_account(c, &c->written, &c->residue);
}

/*
 * Rounds after the first stay in memory if they can, to be written after the
 * stop: scattered pages take a disk so long that the target writes as many.
 */
static int rounds_copy(struct capture *c, const char *phase)
{
	uint64_t bytes = ranges_bytes(&c->residue);
	int r;

	if (bytes <= ROUNDS_MEMORY_BYTES && c->keep.bytes + bytes <= ROUNDS_KEEP_MAX) {
		r = rounds_keep(c);
		return r < 0 ? r : capture_tick(c, phase, c->copied_bytes);
	}
	/* Pages that are kept are older than these. */
	r = capture_write_kept(c);
	if (r < 0)
		return r;
	keep_clear(&c->keep);
	c->accounted = 0;
	r = capture_copy(c, CAPTURE_FROM_TARGET, &c->residue, phase, c->copied_bytes + bytes);
	if (r >= 0)
		r = rounds_account(c, &c->written, &c->residue);
	/* The next round may write the same pages. */
	return r < 0 ? r : writer_flush(c->writer, &c->err);
}

/* Round 0: piece by piece, so that copying and writing begin at once. */
static int rounds_first(struct capture *c, uint64_t expected_bytes)
{
	int r = 0;

	c->sparse = true;
	for (size_t i = 0; i < c->scope.n && r >= 0; i++) {
		const struct scope_part *p = &c->scope.v[i];

		if (p->how != SCOPE_PRIVATE)
			continue;
		for (uint64_t at = p->start, end; at < p->end && r >= 0; at = end) {
			end = min_u64(p->end, align_down(at + ROUNDS_PIECE_BYTES,
							 ROUNDS_HUGE_BYTES));
			ranges_clear(&c->written);
			r = track_scan(c->track, at, end, true, &c->written, &c->err);
			if (r >= 0)
				r = capture_there(c, c->t, &c->written, &c->residue);
			if (r >= 0)
				capture_allocate(c, &c->residue);
			if (r >= 0)
				r = capture_copy(c, CAPTURE_FROM_TARGET, &c->residue, "round 0",
						 expected_bytes);
			for (size_t k = 0; k < c->residue.n && r >= 0; k++)
				r = ranges_add(&c->in_file, c->residue.v[k].start,
					       c->residue.v[k].end);
		}
	}
	c->sparse = false;
	return r < 0 ? r : writer_flush(c->writer, &c->err);
}

/*
 * Rounds until the residue is small or does not shrink any more.  *ret_bytes:
 * of the last one.
 */
static int rounds_run(struct capture *c, uint64_t *ret_bytes, uint64_t limit_bytes)
{
	uint64_t last = UINT64_MAX;
	unsigned same = 0;
	int r = 0;

	/* Soft-dirty bits tell all since the beginning: rounds would find no less. */
	if (track_kind(c->track) == TRACK_SOFT_DIRTY)
		return 0;
	for (unsigned n = 0; n < ROUNDS_MAX; n++) {
		uint64_t bytes;

		r = rounds_scan(c, true);
		if (r < 0)
			return r;
		bytes = ranges_bytes(&c->residue);
		r = rounds_copy(c, "rounds");
		if (r < 0)
			return r;
		c->report->rounds++;
		*ret_bytes = bytes;
		if (bytes <= ROUNDS_ENOUGH_BYTES)
			break;
		/* One round that is no smaller may be somebody else's load: not two. */
		same = bytes >= last / ROUNDS_SHRINK_DEN * ROUNDS_SHRINK_NUM ? same + 1 : 0;
		if (same > (bytes <= limit_bytes ? 0 : ROUNDS_SAME_MAX))
			break;
		last = min_u64(last, bytes);
	}
	return 0;
}

/* ---------------------------------------------------------- the last stop */

struct rounds_last {
	struct capture *c;
	bool force;              /* take it, however long it takes */
	bool taken;
	uint64_t need_ns;        /* not taken: how long it would have been */
};

/* Right before the stop, in memory only: a disk write would make the residue larger. */
static int rounds_memory(void *arg)
{
	struct capture *c = arg;
	int r;

	if (track_kind(c->track) == TRACK_SOFT_DIRTY)
		return 0;
	r = rounds_scan(c, true);
	return r < 0 ? r : rounds_keep(c);
}

/*
 * What rounds wrote at addresses that are no private memory any more is of
 * another mapping than the one that is there now.
 */
static int rounds_settle(struct capture *c)
{
	int r = rounds_account(c, &c->written, &c->residue);

	ranges_clear(&c->there);
	for (size_t i = 0; i < c->scope.n && r >= 0; i++)
		if (c->scope.v[i].how == SCOPE_PRIVATE)
			r = ranges_add(&c->there, c->scope.v[i].start, c->scope.v[i].end);
	if (r >= 0)
		r = ranges_subtract(&c->tmp, &c->in_file, &c->there);
	if (r < 0)
		return capture_fail(c, r, "account of the pages");
	/* As if they had been told as written, and were not there. */
	ranges_clear(&c->tmp2);
	r = ranges_union(&c->written, &c->tmp, &c->tmp2);
	ranges_clear(&c->residue);
	return r < 0 ? capture_fail(c, r, "account of the pages") :
		       rounds_account(c, &c->written, &c->residue);
}

/* New mappings and what could not be read before belong to the residue. */
static int rounds_residue(struct capture *c)
{
	int r = rounds_scan(c, false);

	if (r < 0 || !c->again.n)
		return r;
	r = ranges_union(&c->tmp, &c->written, &c->again);
	if (r < 0)
		return r;
	ranges_swap(&c->written, &c->tmp);
	/* What lies in no part of the image any more is of no interest. */
	ranges_clear(&c->tmp2);
	for (size_t i = 0; i < c->scope.n && r >= 0; i++)
		if (c->scope.v[i].how == SCOPE_PRIVATE)
			r = ranges_add(&c->tmp2, c->scope.v[i].start, c->scope.v[i].end);
	if (r >= 0)
		r = ranges_intersect(&c->tmp, &c->written, &c->tmp2);
	ranges_swap(&c->written, &c->tmp);
	return r < 0 ? r : capture_there(c, c->t, &c->written, &c->residue);
}

static int rounds_stopped(struct rounds_last *l)
{
	struct capture *c = l->c;
	uint64_t bytes;
	int r = capture_scope_now(c, SCOPE_COVER_TRACK);

	if (r >= 0)
		r = rounds_residue(c);
	if (r < 0)
		return r;
	bytes = ranges_bytes(&c->residue);
	l->need_ns = sys_clock_ns() - c->stop.busy_ns + bytes / 1024 * ROUNDS_NS_PER_KIB;
	if (!l->force && l->need_ns > c->pause_max_ns)
		return 0;
	l->taken = true;
	c->report->residue_bytes = bytes;
	c->copied_bytes += bytes;
	r = keep_gather(&c->keep, c->t, &c->residue, &c->unreadable);
	if (r < 0)
		return capture_fail(c, r, "copying the residue");
	c->accounted = c->keep.n;
	return capture_stopped_parts(c);
}

static int rounds_last(void *arg)
{
	struct rounds_last *l = arg;
	struct capture *c = l->c;
	int r = capture_stop(c, true, rounds_memory);

	if (r < 0)
		return r;
	r = rounds_stopped(l);
	capture_resume(c);
	return r;
}

/* ----------------------------------------------------------- the strategy */

static uint64_t rounds_limit(const struct capture *c)
{
	return c->pause_max_ns / 2 / ROUNDS_NS_PER_KIB * 1024;
}

static int rounds_take(struct capture *c, bool *ret_diverges)
{
	struct rounds_last l = { .c = c };
	uint64_t bytes = 0;
	int r = 0;

	for (unsigned i = 0; i < ROUNDS_STOPS_MAX; i++) {
		r = rounds_run(c, &bytes, rounds_limit(c));
		if (r < 0)
			return r;
		/* Of the automatic choice's two ways the other one is better then. */
		l.force = !c->bounded && c->o->strategy != DECANT_STRATEGY_AUTO &&
			  (bytes > rounds_limit(c) || i + 1 == ROUNDS_STOPS_MAX);
		if (bytes > rounds_limit(c) && !l.force)
			break;
		r = keep_reserve(&c->keep, max_u64(ROUNDS_KEEP_BYTES, bytes * 4),
				 ROUNDS_KEEP_PIECES);
		if (r >= 0)
			r = capture_in_tracer(c, rounds_last, &l);
		if (r < 0)
			return c->err.text[0] ? r : capture_fail(c, r, "the last stop");
		if (l.taken)
			return rounds_settle(c);
		/* What was kept of the memory round is valid: into the file with it. */
		r = capture_write_kept(c);
		if (r < 0)
			return r;
		keep_clear(&c->keep);
		c->accounted = 0;
	}
	*ret_diverges = true;
	return 0;
}

int capture_precopy(struct capture *c, bool *ret_diverges)
{
	enum track_kind kind = TRACK_NONE;
	uint64_t expected;
	int r = capture_track_kind(c, DECANT_TRACK_AUTO, "precopy", &kind);

	*ret_diverges = false;
	if (r < 0)
		return r;
	(void)snprintf(c->report->tracking, sizeof(c->report->tracking), "%s", track_name(kind));
	r = capture_track(c, kind);
	if (r < 0)
		return r;
	r = capture_tick(c, "arming", 0);
	if (r >= 0)
		r = capture_scope_now(c, SCOPE_COVER_TRACK);
	if (r >= 0)
		r = capture_place(c);
	if (r >= 0)
		r = rounds_arm(c);
	expected = c->t->status.vm_rss_kib << 10;
	if (r >= 0)
		r = rounds_first(c, expected);
	if (r >= 0)
		r = rounds_take(c, ret_diverges);
	track_close(c->track);
	c->track = NULL;
	return r;
}
