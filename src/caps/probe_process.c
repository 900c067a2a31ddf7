/* SPDX-License-Identifier: MIT */
/* What can be asked about a process: tried on this one. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "caps/probe.h"
#include "caps/vma_iter.h"
#include "sys/proc.h"
#include "sys/sys.h"
#include "uapi/pagemap.h"

#define PROBE_PAGES 2

/* Two pages that are not there. */
static unsigned char *probe_map(struct probe *p, int prot)
{
	void *ret = NULL;
	int r;

	do {
		r = sys_mmap(&ret, NULL, PROBE_PAGES * PROBE_PAGE_BYTES, prot,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	} while (r == -EINTR);
	if (r < 0)
		probe_untried(p, r, "mmap");
	return r < 0 ? NULL : ret;
}

static void probe_unmap(unsigned char *pages)
{
	(void)sys_munmap(pages, PROBE_PAGES * PROBE_PAGE_BYTES);
}

static int probe_open_pagemap(struct probe *p)
{
	int fd = sys_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		probe_refused(p, fd, "/proc/self/pagemap");
	return fd;
}

/* Its one present page must be found, the other not. */
static int probe_scan(int fd, const unsigned char *pages, uint64_t categories)
{
	struct page_region v[2] = { { 0 } };
	struct pm_scan_arg a = {
		.size = sizeof(a), .start = (uintptr_t)pages,
		.end = (uintptr_t)pages + PROBE_PAGES * PROBE_PAGE_BYTES,
		.vec = (uintptr_t)v, .vec_len = 2, .category_mask = PAGE_IS_PRESENT,
		.return_mask = categories,
	};
	int n = sys_pagemap_scan(fd, &a);

	if (n < 0)
		return n;
	return n == 1 && v[0].start == a.start && v[0].end == a.start + PROBE_PAGE_BYTES;
}

void probe_pagemap_scan(struct caps *c, struct probe *p)
{
	const uint64_t basic = PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN | PAGE_IS_FILE |
			       PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO | PAGE_IS_HUGE;
	static const uint64_t later[] = { PAGE_IS_SOFT_DIRTY, PAGE_IS_GUARD };
	unsigned char *pages = probe_map(p, PROT_READ | PROT_WRITE);
	_cleanup_close_ int fd = pages ? probe_open_pagemap(p) : -1;
	uint64_t known = basic;
	size_t i;
	int r;

	(void)c;
	if (fd >= 0) {
		pages[0] = 1;
		r = probe_scan(fd, pages, basic);
		for (i = 0; r > 0 && i < sizeof(later) / sizeof(later[0]); i++)
			if (probe_scan(fd, pages, later[i]) > 0)
				known |= later[i];
		if (r > 0)
			probe_yes(p, known, "found a page of this process; categories 0x%" PRIx64,
				  known);
		else if (r < 0)
			probe_refused(p, r, "PAGEMAP_SCAN of this process");
		else
			probe_no(p, "PAGEMAP_SCAN of this process: found the wrong pages");
	}
	if (pages)
		probe_unmap(pages);
}

/* Reading a page that was never written maps the zero page. */
void probe_pagemap_frames(struct caps *c, struct probe *p)
{
	unsigned char *pages = probe_map(p, PROT_READ);
	_cleanup_close_ int fd = pages ? probe_open_pagemap(p) : -1;
	uint64_t entry = 0, frame;
	ssize_t n;

	(void)c;
	if (fd >= 0) {
		frame = *(volatile unsigned char *)pages;
		n = sys_pread(fd, &entry, sizeof(entry),
			      (uintptr_t)pages / PROBE_PAGE_BYTES * sizeof(entry));
		frame = entry & PAGEMAP_FRAME;
		if (n < 0)
			probe_refused(p, (int)n, "read /proc/self/pagemap");
		else if (n != sizeof(entry) || !(entry & PAGEMAP_PRESENT))
			probe_no(p, "/proc/self/pagemap: a page that was read is not there");
		else if (frame == 0)
			probe_no(p, "/proc/self/pagemap: no frame numbers without CAP_SYS_ADMIN");
		else
			probe_yes(p, frame, "the zero page is frame %" PRIu64, frame);
	}
	if (pages)
		probe_unmap(pages);
}

void probe_map_files(struct caps *c, struct probe *p)
{
	_cleanup_close_ int file = sys_memfd_create("decant-probe", MFD_CLOEXEC), fd = -1;
	char path[80];
	void *page = NULL;
	int r;

	(void)c;
	r = file < 0 ? file : sys_ftruncate(file, PROBE_PAGE_BYTES);
	while (r >= 0 && !page) {
		r = sys_mmap(&page, NULL, PROBE_PAGE_BYTES, PROT_READ, MAP_SHARED, file, 0);
		r = r == -EINTR ? 0 : r;
	}
	if (r < 0) {
		probe_untried(p, r, "a memory file and a mapping of it");
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR,
		       (uintptr_t)page, (uintptr_t)page + PROBE_PAGE_BYTES);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		probe_refused(p, fd, "/proc/self/map_files");
	else
		probe_yes(p, 0, "opened a mapped memory file of this process");
	(void)sys_munmap(page, PROBE_PAGE_BYTES);
}

void probe_vma_list(struct caps *c, struct probe *p)
{
	struct vma_iter v;
	struct err err;
	int r = vma_iter_open(&v, &err);

	(void)c;
	if (r < 0) {
		probe_refused(p, r, "%s", err.text);
		return;
	}
	vma_iter_close(&v);
	probe_yes(p, 0, "a BPF iterator lists the mappings of this process");
}
