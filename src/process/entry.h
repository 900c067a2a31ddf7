/* SPDX-License-Identifier: MIT */
/*
 * What an entry of /proc/PID/pagemap says of its page.
 * Pure; not for what PAGEMAP_SCAN tells by itself.
 */
#ifndef PROCESS_ENTRY_H
#define PROCESS_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

enum entry {
	ENTRY_THERE = 1 << 0,    /* a page, or one that is swapped out; not the zero page */
	ENTRY_SWAPPED = 1 << 1,
	ENTRY_FILE = 1 << 2,     /* of a file or shared memory */
	ENTRY_WRITTEN = 1 << 3,  /* soft-dirty, or not there: by soft-dirty tracking */
};

/*
 * zero_frame: that of the zero page, by which it is known from others; 0 for
 * those who may not see frame numbers.  Then it, and the marker that write
 * protection leaves where there is no page, are taken for pages.
 */
unsigned entry_means(uint64_t entry, uint64_t zero_frame);

#endif
