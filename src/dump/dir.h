/* SPDX-License-Identifier: MIT */
/*
 * A directory of CRIU images that is being written.  It never looks complete
 * before it is: everything but raw pages has a name that ends in ".part" until
 * dir_commit(), and inventory.img comes last.  Not for reading: chain.h.
 *
 *	dir_begin(&d, "round2", &options, &err)
 *	dir_pages_begin(d, DIR_PROCESS, pid, &p, &err)
 *	while (more)
 *		dir_pages_entry(p, &entry, &offset, &err)    by address
 *		... put entry.nr_pages pages at offset of dir_pages_fd(p) ...
 *	dir_pages_end(p, &err)
 *	dir_commit(d, &inventory, &stats, &err)              or dir_abort(d)
 *	dir_close(d)
 *
 * Different struct dir are independent, also on one directory (DIR_SHARED).
 * One struct dir is for one thread; a dir_pages may be used by another thread
 * than its dir between its begin and its end.
 */
#ifndef DUMP_DIR_H
#define DUMP_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/criu.h"

struct dir;
struct dir_pages;

#define DIR_PATH_MAX 4096
#define DIR_PAGES_MAX 65536              /* pagemaps of one directory */

enum dir_flag {
	/*
	 * Others write into it too (a page server's connections): there may be
	 * images, a pagemap that is there is replaced at the commit, and
	 * nothing of others is looked at or removed.
	 */
	DIR_SHARED = 1 << 0,
	/* Remove what a run that was killed left here, instead of refusing it. */
	DIR_CLEAN = 1 << 1,
	/* dir_commit() returns when it is on the disk. */
	DIR_SYNC = 1 << 2,
};

struct dir_options {
	const char *parent;      /* a directory, as open() takes it; NULL: none */
	uint32_t flags;          /* enum dir_flag */
	uint32_t first_pages_id; /* 0: 1; CRIU's page server starts at 0x10001 */
};

/*
 * Make the directory if it is not there (not those above it).  The parent link
 * is made relative where that is possible.  Errors: -EEXIST (it holds images, or
 * what a run that was killed left: says what), -EBUSY (somebody writes it now),
 * -ENOENT, -ENOTDIR, -EXDEV and others of the file system; the parent's own
 * are not looked at but that it is a directory, and another one than this.
 */
int dir_begin(struct dir **ret, const char *path, const struct dir_options *options,
	      struct err *reterr);
/* The directory itself; stays the dir's. */
int dir_fd(const struct dir *d);

/* ------------------------------------------------------------------- pages */

enum dir_kind {
	DIR_PROCESS,             /* pagemap-ID.img, id: the process as its own namespace has it */
	DIR_SHMEM,               /* pagemap-shmem-ID.img, id: as in mm-*.img, the inode */
};

/* -EEXIST: this dir has it already.  *ret is freed by dir_pages_end() or dir_abort(). */
int dir_pages_begin(struct dir *d, enum dir_kind kind, uint64_t id, struct dir_pages **ret,
		    struct err *reterr);
/*
 * The next entry; it begins where the last one ended, or behind.  Neighbours of
 * the same flags become one.  PRESENT: *ret_offset (may be NULL) is where its
 * pages go, and they may go there any time before dir_pages_end(), in any order
 * or not at all (zeros).  -EINVAL: overlaps, not in order, or not as
 * criu_get_entry() would take it.
 */
int dir_pages_entry(struct dir_pages *p, const struct criu_entry *e, uint64_t *ret_offset,
		    struct err *reterr);
/* pages-ID.img, open for reading and writing; its flags are the caller's to set and put back. */
int dir_pages_fd(const struct dir_pages *p);
uint32_t dir_pages_id(const struct dir_pages *p);
/* A PRESENT entry and its pages at once, by pwrite(). */
int dir_pages_put(struct dir_pages *p, uint64_t vaddr, uint64_t nr_pages, const void *data,
		  struct err *reterr);
/* Pages that entries have named so far. */
struct dir_count {
	uint64_t entries, present, parent, lazy;
};
struct dir_count dir_pages_count(const struct dir_pages *p);
/*
 * Take back what was begun, and perhaps ended, for id: nothing of it stays.  A
 * dir_pages that is still open is freed.
 */
int dir_drop(struct dir *d, enum dir_kind kind, uint64_t id);
/* All pages are in the file.  Frees p, whatever it returns. */
int dir_pages_end(struct dir_pages *p, struct err *reterr);

/* ------------------------------------------------------- our note, the end */

/*
 * Bytes for one more file of the directory, in order; made at the first call
 * of that name, under a temporary one.  For decant-PID.img (criu_put_note_*).
 */
int dir_append(struct dir *d, const char *name, const struct buf *data, struct err *reterr);

/*
 * The bytes of inventory.img as they are, for a dir_commit() that is given none:
 * another directory's, which may say more than struct criu_inventory does.
 */
int dir_set_inventory(struct dir *d, const void *data, size_t len, struct err *reterr);

/*
 * All under its own names: pagemaps and notes, stats-dump, inventory.img last.
 * Either may be NULL (not written: a page server's images have theirs
 * elsewhere).  After an error the directory is as dir_abort() leaves it, or
 * as incomplete as a killed run would leave it.
 */
int dir_commit(struct dir *d, const struct criu_inventory *inventory,
	       const struct criu_stats *stats, struct err *reterr);
/* Remove everything that this dir made. */
void dir_abort(struct dir *d);
/* dir_abort() unless committed, and frees.  NULL is fine. */
void dir_close(struct dir *d);

#endif
