/* SPDX-License-Identifier: MIT */
/*
 * Facts about this kernel and machine, found out by trying, each asked once.
 * Not facts about a descriptor: those are in struct end.
 */
#ifndef CAPS_CAPS_H
#define CAPS_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Append only at the end of a group; the table in facts.c has one row each.
 *
 * The two _SHARES facts: !caps_has() promises nothing, for it may be a mask;
 * ask caps_denies().  Those about $TMPDIR say what was seen there; another file
 * system is asked per file (so ask caps_masked(), not caps_has(), before).
 */
enum fact {
	FACT_NONE = 0,      /* ends a needs[] list */
	FACT_IO_URING,      /* io_uring_setup and a no-op work */
	FACT_SEND_ZC,       /* IORING_OP_SEND_ZC with its notification */
	FACT_SEND_ZC_REPORT,/* the notification says whether the kernel copied */
	FACT_MSG_ZEROCOPY,  /* SO_ZEROCOPY and its error-queue notification */
	FACT_SENDFILE,
	FACT_SPLICE,        /* file -> pipe and pipe -> socket */
	FACT_SPLICE_SHARES, /* splice(file, pipe) hands out page-cache pages: a later write shows */
	FACT_SPLICE_DIRECT, /* splice from an O_DIRECT descriptor, into private pages */
	FACT_TEE,
	FACT_VMSPLICE,
	FACT_VMSPLICE_SHARES, /* vmsplice shares pages with the pipe */
	FACT_COPY_FILE_RANGE,
	FACT_REFLINK,       /* FICLONE in $TMPDIR; the route asks per file */
	FACT_O_DIRECT,      /* O_DIRECT in $TMPDIR, value: offset alignment by statx */
	FACT_STATX_DIOALIGN,
	FACT_LEASE,         /* F_SETLEASE F_RDLCK */
	FACT_SEALS,         /* memfd with F_SEAL_WRITE */
	FACT_VERITY,        /* fs-verity attribute is reported by statx */
	FACT_PIPE_REOPEN,   /* a pipe's end opened anew through /proc/self/fd */
	FACT_PIPE_NOWAIT,   /* RWF_NOWAIT on pipes */
	FACT_FILE_NOWAIT,   /* preadv2(RWF_NOWAIT) on some files (not tmpfs: ask per file) */
	FACT_PROCESS_VM,    /* process_vm_readv */
	FACT_MEMLOCK,       /* value: RLIMIT_MEMLOCK in bytes */
	FACT_PIPE_SIZE,     /* value: largest pipe that F_SETPIPE_SZ gives us */
	FACT_PAGEMAP_SCAN,  /* value: the categories that it knows (PAGE_IS_*) */
	FACT_PAGEMAP_FRAMES,/* value: the zero page's frame number, never 0 */
	FACT_UFFD_WP_ASYNC, /* write protection that takes itself off, seen by PAGEMAP_SCAN */
	FACT_WP_HOLES,      /* and holes without page tables are told as written there */
	FACT_PIDFD_GETFD,
	FACT_SOFT_DIRTY,
	FACT_MAP_FILES,     /* /proc/PID/map_files opens what is mapped, deleted files too */
	FACT_VMA_LIST,      /* vma_iter.h; tried anew by each vma_iter_open() */
	FACT_MAX
};

/* Unknown: what is needed for trying could not be had; caps_has() is false. */
enum fact_state { FACT_UNKNOWN = 0, FACT_NO = 1, FACT_YES = 2 };

struct caps; /* thread-safe; asks lazily */

/*
 * mask: comma-separated names, or NULL; $DECANT_MASK is added by the caller.
 * -EINVAL with a sentence for an unknown name, -ENOMEM.
 */
int caps_create(struct caps **ret, const char *mask, struct err *reterr);
void caps_destroy(struct caps *c);

/* Probes when it is not known yet; a masked fact is FACT_NO. */
bool caps_has(struct caps *c, enum fact f);
/*
 * Found out to be not so: neither masked nor unknown.  For the _SHARES facts,
 * where "no" would be a promise.
 */
bool caps_denies(struct caps *c, enum fact f);
enum fact_state caps_state(struct caps *c, enum fact f);
uint64_t caps_value(struct caps *c, enum fact f);
/* "masked", or how it was found out; never NULL; lives as long as c. */
const char *caps_why(struct caps *c, enum fact f);
bool caps_masked(struct caps *c, enum fact f);
/* Static: the fact's name and what it is about. */
const char *caps_name(enum fact f);
const char *caps_what(enum fact f);

#endif
