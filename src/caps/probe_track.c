/* SPDX-License-Identifier: MIT */
/*
 * How writes can be tracked: tried on memory of this process.  A soft-dirty
 * bit is looked for where nothing needs to be cleared, for those of the caller
 * are not ours.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "caps/probe.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"

#define PROBE_TABLE_BYTES ((size_t)2 << 20)  /* what one page table maps */

/* Memory under write protection; its first page is there and protected. */
struct probe_track {
	unsigned char *map;      /* three page tables' worth */
	unsigned char *block;    /* one of them, whole */
	int uffd, pagemap;
};

static void probe_track_close(struct probe_track *t)
{
	cleanup_close_(&t->uffd);
	cleanup_close_(&t->pagemap);
	if (t->map)
		(void)sys_munmap(t->map, 3 * PROBE_TABLE_BYTES);
}

static int probe_track_scan(const struct probe_track *t, bool protect, struct page_region *v,
			    unsigned n)
{
	struct pm_scan_arg a = {
		.size = sizeof(a), .flags = protect ? PM_SCAN_WP_MATCHING : 0,
		.start = (uintptr_t)t->block, .end = (uintptr_t)t->block + PROBE_TABLE_BYTES,
		.vec = (uintptr_t)v, .vec_len = n, .category_mask = PAGE_IS_WRITTEN,
		.category_anyof_mask = protect ? PAGE_IS_PRESENT : 0,
		.return_mask = PAGE_IS_WRITTEN,
	};

	return sys_pagemap_scan(t->pagemap, &a);
}

static int probe_track_map(struct probe *p, struct probe_track *t)
{
	void *map = NULL;
	uint64_t at;
	int r;

	do {
		r = sys_mmap(&map, NULL, 3 * PROBE_TABLE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	} while (r == -EINTR);
	if (r < 0) {
		probe_untried(p, r, "mmap");
		return r;
	}
	t->map = map;
	at = align_down((uintptr_t)map + PROBE_TABLE_BYTES, PROBE_TABLE_BYTES);
	t->block = (unsigned char *)(uintptr_t)at;
	/* Small pages; where there are no others it fails, and is not needed. */
	do {
		r = sys_madvise(map, 3 * PROBE_TABLE_BYTES, MADV_NOHUGEPAGE);
	} while (r == -EAGAIN);
	return 0;
}

/* false: the outcome is set. */
static bool probe_track_open(struct probe *p, struct probe_track *t)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct page_region v[2];
	int r;

	*t = (struct probe_track){ .uffd = -1, .pagemap = -1 };
	if (probe_track_map(p, t) < 0)
		return false;
	t->pagemap = sys_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	t->uffd = sys_userfaultfd(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (t->pagemap < 0 || t->uffd < 0) {
		probe_refused(p, t->pagemap < 0 ? t->pagemap : t->uffd,
			      t->pagemap < 0 ? "/proc/self/pagemap" : "userfaultfd");
		return false;
	}
	r = sys_uffdio_api(t->uffd, &api);
	if (r < 0) {
		probe_refused(p, r, "userfaultfd with UFFD_FEATURE_WP_ASYNC");
		return false;
	}
	t->block[0] = 1;
	reg.range.start = (uintptr_t)t->block;
	reg.range.len = PROBE_TABLE_BYTES;
	r = sys_uffdio_register(t->uffd, &reg);
	if (r == 0)
		r = probe_track_scan(t, true, v, 2);
	if (r < 0)
		probe_refused(p, r, "write protection of memory of this process");
	else if (r != 1)
		probe_no(p, "write protection of memory of this process: found the wrong pages");
	return r == 1;
}

/* Is this page one of those that were written? */
static bool probe_track_has(const struct page_region *v, int n, const unsigned char *page)
{
	int i;

	for (i = 0; i < n; i++)
		if ((uintptr_t)page >= v[i].start && (uintptr_t)page < v[i].end)
			return true;
	return false;
}

void probe_uffd_wp_async(struct caps *c, struct probe *p)
{
	_cleanup_(probe_track_close) struct probe_track t;
	struct page_region before[4], after[4];
	int n, m = 0;

	(void)c;
	if (!probe_track_open(p, &t))
		return;
	n = probe_track_scan(&t, false, before, 4);
	*(volatile unsigned char *)t.block = 2;
	if (n >= 0)
		m = probe_track_scan(&t, false, after, 4);
	if (n < 0 || m < 0)
		probe_refused(p, n < 0 ? n : m, "PAGEMAP_SCAN of write-protected memory");
	else if (probe_track_has(before, n, t.block) || !probe_track_has(after, m, t.block))
		probe_no(p, "a write to a protected page of this process was not seen");
	else
		probe_yes(p, 0, "saw a write to a protected page of this process");
}

/* Dropped whole, the block may lose its page table, and its protection with it. */
void probe_wp_holes(struct caps *c, struct probe *p)
{
	_cleanup_(probe_track_close) struct probe_track t;
	struct page_region v[4] = { { 0 } };
	int r;

	(void)c;
	if (!probe_track_open(p, &t))
		return;
	do {
		r = sys_madvise(t.block, PROBE_TABLE_BYTES, MADV_DONTNEED);
	} while (r == -EAGAIN);
	if (r < 0) {
		probe_untried(p, r, "madvise");
		return;
	}
	r = probe_track_scan(&t, false, v, 4);
	if (r < 0)
		probe_refused(p, r, "PAGEMAP_SCAN of write-protected memory");
	else if (r == 1 && v[0].start == (uintptr_t)t.block &&
		 v[0].end == (uintptr_t)t.block + PROBE_TABLE_BYTES)
		probe_yes(p, 0, "dropped memory of this process was told as written");
	else
		probe_no(p, "dropped memory of this process was not told as written");
}

void probe_pidfd_getfd(struct caps *c, struct probe *p)
{
	_cleanup_close_ int pidfd = sys_pidfd_open(sys_getpid(), 0);
	_cleanup_close_ int fd = -1;

	(void)c;
	if (pidfd < 0) {
		probe_refused(p, pidfd, "pidfd_open of this process");
		return;
	}
	fd = sys_pidfd_getfd(pidfd, pidfd, 0);
	if (fd < 0)
		probe_refused(p, fd, "pidfd_getfd of this process");
	else
		probe_yes(p, 0, "took a descriptor of this process");
}

/* A mapping that is new has the bit in all of its pages, where there is one. */
void probe_soft_dirty(struct caps *c, struct probe *p)
{
	_cleanup_(probe_track_close) struct probe_track t = { .uffd = -1, .pagemap = -1 };
	uint64_t entry = 0;
	ssize_t n;

	(void)c;
	if (probe_track_map(p, &t) < 0)
		return;
	t.pagemap = sys_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	if (t.pagemap < 0) {
		probe_refused(p, t.pagemap, "/proc/self/pagemap");
		return;
	}
	*(volatile unsigned char *)t.block = 1;
	n = sys_pread(t.pagemap, &entry, sizeof(entry),
		      (uintptr_t)t.block / PROBE_PAGE_BYTES * sizeof(entry));
	if (n < 0)
		probe_refused(p, (int)n, "read /proc/self/pagemap");
	else if (n != sizeof(entry) || !(entry & PAGEMAP_PRESENT))
		probe_no(p, "/proc/self/pagemap: a page that was written is not there");
	else if (entry & PAGEMAP_SOFT_DIRTY)
		probe_yes(p, 0, "a page that was written has its bit in /proc/self/pagemap");
	else
		probe_no(p, "a page that was written has no soft-dirty bit");
}
