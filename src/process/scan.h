/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN over a long range: in pieces, for as long as one takes the
 * target's mmap and munmap wait.  Not what the categories mean to us: that is
 * pages.c's and track.c's.
 */
#ifndef PROCESS_SCAN_H
#define PROCESS_SCAN_H

#include <stdbool.h>
#include <stdint.h>

struct scan {
	int pagemap_fd;
	/*
	 * Which pages; PAGE_IS_*.  anyof is PRESENT | SWAPPED, or 0: then holes
	 * are told too, and it is for a stop, where nobody waits for the lock.
	 */
	uint64_t inverted, mask, anyof;
	uint64_t give;                  /* what is told of them */
	bool protect;                   /* write-protect those that are found */
	uint64_t piece;                 /* bytes of the next one; 0: begin small */
};

/*
 * Called for each range found, ascending.  Not 0: ends the scan, which returns
 * it; what lies behind may have been protected all the same.
 */
typedef int scan_take(void *arg, uint64_t start, uint64_t end, uint64_t categories);

int scan_run(struct scan *s, uint64_t start, uint64_t end, scan_take *take, void *arg);

#endif
