/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a target are there, swapped out or changed: asked from
 * outside (PAGEMAP_SCAN, else the entries of /proc/PID/pagemap), and their
 * contents read.  Never makes a page be there: absent pages are not touched.
 */
#ifndef PROCESS_PAGES_H
#define PROCESS_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "process/ranges.h"
#include "process/target.h"

struct pages_found {
	struct ranges *there;      /* present or swapped out, and not the zero page; may be NULL */
	struct ranges *file;       /* of them: pages of a file or shared memory; may be NULL, for
				    * it takes four times as long */
	uint64_t swapped_bytes;    /* added up */
	uint64_t huge_bytes;       /* of them, mapped by huge pages; added up */
};

/*
 * Append to the sets in ret what is there in [start, end), in pieces that hold
 * the target's mmap lock for less than a millisecond.  PAGEMAP_SCAN, or with
 * that fact masked or missing the pagemap entries (then huge pages are not
 * counted).  Who cannot see frame numbers (FACT_PAGEMAP_FRAMES) takes a marker
 * that write protection left in a hole for a page, and without PAGEMAP_SCAN
 * the zero page, too.
 */
int pages_scan(const struct target *t, uint64_t start, uint64_t end, struct pages_found *ret,
	       struct err *reterr);
/* Entries of pagemap, <uapi/pagemap.h>; fewer than n at the end of what can be mapped. */
int pages_entries(const struct target *t, uint64_t addr, uint64_t *ret, size_t n);

/*
 * Read [addr, addr + len) of the target into buf.  Returns the bytes read
 * (short where a page cannot be read), or a negative errno when it is the
 * first.  How: process_vm_readv() for a target that shares no pages with a
 * shadow; PAGES_SHADOW reads /proc/PID/mem, which does not un-share.
 */
enum pages_how { PAGES_LIVE, PAGES_SHADOW };
int64_t pages_read(const struct target *t, enum pages_how how, uint64_t addr, void *buf,
		   size_t len);
/*
 * Read many ranges back to back into buf (as much as ranges_bytes()), in as few
 * calls as possible.  Where a page cannot be read its place is filled with 0
 * and its range added to unreadable (may be NULL).  Allocates nothing if
 * unreadable has room.  -ESRCH: the memory is gone; -ENOMEM.
 */
int pages_gather(const struct target *t, enum pages_how how, const struct range *v, size_t n,
		 void *buf, struct ranges *unreadable);

/*
 * Add to ret the pages that io_uring has pinned as buffers: what is read into
 * them changes them without a fault, so that no tracking sees it.  Returns 1
 * when the process has pinned more than that (VmPin), we do not know where;
 * else 0 or a negative errno.
 */
int pages_pinned(const struct target *t, struct ranges *ret, struct err *reterr);
/*
 * Pure: the same from the text of a ring's /proc/PID/fdinfo/FD.  -EAGAIN: it
 * does not say (the ring was in use); -ENOMEM.
 */
int pages_parse_pinned(const char *text, struct ranges *ret);

#endif
