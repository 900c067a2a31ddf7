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

/* One scan holds the target's mmap lock for about 10 us per MiB: pieces. */
#define PAGES_SCAN_BYTES ((uint64_t)16 << 20)

struct pages_found {
	struct ranges *there;      /* present or swapped out, and not the zero page; may be NULL */
	struct ranges *file;       /* of them: pages of a file or shared memory; may be NULL */
	uint64_t swapped_bytes;    /* added up */
	uint64_t huge_bytes;       /* of them, mapped by huge pages; added up */
};

/*
 * Append to the sets in ret what is there in [start, end), a piece at a time.
 * PAGEMAP_SCAN, or with that fact masked or missing the pagemap entries.
 * A marker left by write protection of a hole is not "there".
 */
int pages_scan(const struct target *t, uint64_t start, uint64_t end, struct pages_found *ret,
	       struct err *reterr);

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
 * and its range added to unreadable.  Allocates nothing if unreadable has room.
 */
int pages_gather(const struct target *t, enum pages_how how, const struct range *v, size_t n,
		 void *buf, struct ranges *unreadable);

#endif
