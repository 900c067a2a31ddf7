/* SPDX-License-Identifier: MIT */
/*
 * cachestat(2), Linux 6.5: how much of a file is in the page cache.
 * Not a wrapper: that is sys_cachestat().
 */
#ifndef UAPI_CACHESTAT_H
#define UAPI_CACHESTAT_H

#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_cachestat
#if defined(__alpha__)
#define SYS_cachestat 561
#else
#define SYS_cachestat 451 /* new system calls have one number everywhere else */
#endif

struct cachestat_range {
	uint64_t off;
	uint64_t len; /* bytes; 0: to the end */
};

/* All in pages. */
struct cachestat {
	uint64_t nr_cache;
	uint64_t nr_dirty;
	uint64_t nr_writeback;
	uint64_t nr_evicted;
	uint64_t nr_recently_evicted;
};
#else
#include <linux/mman.h>
#endif

#endif
