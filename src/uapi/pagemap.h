/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN, Linux 6.7: what the page tables of a process say, by ranges.
 * And the bits of /proc/PID/pagemap, for kernels before that.
 * Not a wrapper: that is sys_pagemap_scan().
 */
#ifndef UAPI_PAGEMAP_H
#define UAPI_PAGEMAP_H

#include <linux/fs.h>
#include <stdint.h>
#include <sys/ioctl.h>

#ifndef PAGEMAP_SCAN
/* Categories of a page. */
#define PAGE_IS_WPALLOWED (1 << 0)  /* of the mapping: asynchronous write protection */
#define PAGE_IS_WRITTEN (1 << 1)    /* not write-protected; holes too */
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)    /* any entry that is not a page: markers, guards, ... */
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE (1 << 6)

struct page_region {
	uint64_t start, end, categories;
};

#define PM_SCAN_WP_MATCHING (1 << 0)   /* write-protect what is found */
#define PM_SCAN_CHECK_WPASYNC (1 << 1)

struct pm_scan_arg {
	uint64_t size, flags;
	uint64_t start, end;
	uint64_t walk_end;           /* out: how far it came */
	uint64_t vec, vec_len;       /* struct page_region[] */
	uint64_t max_pages;          /* stops after so many that matched; 0: no limit */
	uint64_t category_inverted;  /* flipped before the next two are looked at */
	uint64_t category_mask;      /* all of these, and */
	uint64_t category_anyof_mask;/* one of these (0: does not matter) */
	uint64_t return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

/* Linux 6.8 */
#ifndef PAGE_IS_SOFT_DIRTY
#define PAGE_IS_SOFT_DIRTY (1 << 7)
#endif

/* Linux 6.15 */
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8)
#endif

/* An entry of /proc/PID/pagemap. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)    /* any entry that is not a page */
#define PAGEMAP_FILE (1ull << 61)
#define PAGEMAP_GUARD (1ull << 58)
#define PAGEMAP_UFFD_WP (1ull << 57)
#define PAGEMAP_SOFT_DIRTY (1ull << 55)
#define PAGEMAP_FRAME ((1ull << 55) - 1) /* 0 for those without CAP_SYS_ADMIN */
#define PAGEMAP_SWAP_TYPE 0x1full        /* of the frame of what is swapped */

#endif
