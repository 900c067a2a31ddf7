/* SPDX-License-Identifier: MIT */
#include "process/track.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "process/track_state.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"

/*
 * Unregistering holds the target's mmap lock for writing: 0.2 ms for so many
 * pages that are there.
 */
#define TRACK_LEAVE_PAGES 2048
#define TRACK_LEAVE_BYTES ((uint64_t)1 << 30)
#define TRACK_LEAVE_REGIONS 64
#define TRACK_HUGE ((uint64_t)2 << 20)

enum track_kind track_best(struct caps *caps)
{
	if (caps_has(caps, FACT_UFFD_WP_ASYNC) && caps_has(caps, FACT_PIDFD_GETFD)) {
		/* Found out here, for the last scan of a capture is in its stop. */
		(void)caps_has(caps, FACT_WP_HOLES);
		return TRACK_WP;
	}
	/*
	 * A page that was dropped and read anew is the zero page, whose
	 * soft-dirty bit is not set: it must be known by itself.
	 */
	if (caps_has(caps, FACT_SOFT_DIRTY) &&
	    (caps_has(caps, FACT_PAGEMAP_SCAN) || caps_has(caps, FACT_PAGEMAP_FRAMES)))
		return TRACK_SOFT_DIRTY;
	return TRACK_NONE;
}

enum track_kind track_kind(const struct track *tr)
{
	return tr->kind;
}

const char *track_name(enum track_kind kind)
{
	return kind == TRACK_WP ? "wp" : kind == TRACK_SOFT_DIRTY ? "soft-dirty" : "";
}

bool track_can(enum track_kind kind, const struct vma *v, const char **why)
{
	const char *reason = NULL;

	if (kind == TRACK_NONE)
		reason = "writes cannot be tracked";
	else if (v->flags & VMA_SHARED)
		reason = "shared: others may write to it";
	else if (v->flags & VMA_HUGETLB)
		reason = "hugetlb";
	else if (v->flags & (VMA_SPECIAL | VMA_IO | VMA_UNREADABLE))
		reason = "not ordinary memory";
	else if (kind == TRACK_WP && v->flags & VMA_UFFD)
		reason = "under a userfaultfd of its own";
	if (reason && why)
		*why = reason;
	return !reason;
}

/* ----------------------------------------------------------------- opening */

/*
 * In the tracer, which may be killed at any time: not by malloc(), whose lock
 * would stay taken.
 */
static struct track *track_new(const struct target *t, enum track_kind kind, int uffd)
{
	struct track *tr;
	void *p = NULL;

	if (sys_mmap(&p, NULL, sizeof(*tr), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0) < 0)
		return NULL;
	tr = p;
	tr->kind = kind;
	tr->target = t;
	tr->uffd = uffd;
	return tr;
}

int track_adopt(struct track **ret, const struct target *t, int uffd, struct err *reterr)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	int r = sys_uffdio_api(uffd, &api);
	struct track *tr = r < 0 ? NULL : track_new(t, TRACK_WP, uffd);

	if (!tr) {
		(void)sys_close(uffd);
		return err_errno(reterr, r < 0 ? r : -ENOMEM, "PID %d: write protection",
				 (int)t->pid);
	}
	*ret = tr;
	return 0;
}

static int track_clear_soft_dirty(const struct target *t)
{
	_cleanup_close_ int fd = target_file(t, "clear_refs", O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = sys_write(fd, "4", 1);
	return n < 0 ? (int)n : 0;
}

int track_clear(struct track *tr, struct err *reterr)
{
	int r = tr->kind == TRACK_SOFT_DIRTY ? track_clear_soft_dirty(tr->target) : 0;

	return r < 0 ? err_errno(reterr, r, "PID %d: soft-dirty bits", (int)tr->target->pid) : 0;
}

int track_open(struct track **ret, enum track_kind kind, const struct target *t,
	       struct call *call, struct err *reterr)
{
	struct track *tr;
	int r;

	if (kind == TRACK_WP) {
		r = track_make_uffd(call, reterr);
		return r < 0 ? r : track_adopt(ret, t, r, reterr);
	}
	if (kind != TRACK_SOFT_DIRTY)
		return err_set(reterr, -ENOTSUP, "PID %d: writes cannot be tracked here",
			       (int)t->pid);
	r = track_clear_soft_dirty(t);
	tr = r < 0 ? NULL : track_new(t, kind, -1);
	if (!tr)
		return err_errno(reterr, r < 0 ? r : -ENOMEM, "PID %d: soft-dirty bits",
				 (int)t->pid);
	*ret = tr;
	return 0;
}

int track_arm(struct track *tr, uint64_t start, uint64_t end, struct err *reterr)
{
	struct uffdio_register reg = {
		.range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	int r = ranges_reserve(&tr->armed, tr->armed.n + 1);

	if (r == 0 && tr->kind == TRACK_WP)
		r = sys_uffdio_register(tr->uffd, &reg);
	if (r == -ENOMEM && target_gone(tr->target))
		r = -ESRCH;
	if (r == 0)
		r = ranges_add(&tr->armed, start, end);
	if (r < 0)
		return err_errno(reterr, r, "PID %d: tracking %#llx-%#llx", (int)tr->target->pid,
				 (unsigned long long)start, (unsigned long long)end);
	return 0;
}

/* ----------------------------------------------------------------- leaving */

/*
 * Where a piece ends that has so many pages, or so many holes in it that it is
 * cheap; not within a huge page, which would be split.
 */
static uint64_t track_leave_end(const struct track *tr, uint64_t start, uint64_t end)
{
	struct page_region v[TRACK_LEAVE_REGIONS];
	struct pm_scan_arg a = {
		.size = sizeof(a), .start = start,
		.end = end - start < TRACK_LEAVE_BYTES ? end : start + TRACK_LEAVE_BYTES,
		.vec = (uintptr_t)v, .vec_len = TRACK_LEAVE_REGIONS,
		.max_pages = TRACK_LEAVE_PAGES,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT,
	};
	uint64_t to = start + TRACK_LEAVE_PAGES * 4096;

	if (sys_pagemap_scan(tr->target->pagemap_fd, &a) >= 0 && a.walk_end > start)
		to = a.walk_end;
	if (to >= end)
		return end;
	if (align_down(to, TRACK_HUGE) > start)
		return align_down(to, TRACK_HUGE);
	return min_u64(end, align_down(to, TRACK_HUGE) + TRACK_HUGE);
}

/*
 * What is left when this fails (no room for one more mapping while one is cut
 * in two; a mapping that is gone) goes with the descriptor, at once.
 */
static void track_leave(struct track *tr, uint64_t start, uint64_t end)
{
	while (start < end) {
		uint64_t to = track_leave_end(tr, start, end);
		struct uffdio_range piece = { start, to - start };

		if (sys_uffdio_unregister(tr->uffd, &piece) == -ENOMEM) {
			piece.len = end - start;
			(void)sys_uffdio_unregister(tr->uffd, &piece);
			return;
		}
		start = to;
	}
}

void track_close(struct track *tr)
{
	size_t i;

	if (!tr)
		return;
	if (tr->uffd >= 0) {
		for (i = 0; i < tr->armed.n && !target_gone(tr->target); i++)
			track_leave(tr, tr->armed.v[i].start, tr->armed.v[i].end);
		(void)sys_close(tr->uffd);
	}
	ranges_free(&tr->armed);
	ranges_free(&tr->seen);
	(void)sys_munmap(tr, sizeof(*tr));
}
