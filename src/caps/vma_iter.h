/* SPDX-License-Identifier: MIT */
/*
 * The mappings of a process with all their flags, from the kernel's own list
 * (a BPF iterator, task_vma, Linux 5.12 and later), without a look at any page.
 * Not what they are used for: process/maps.h.
 *
 * /proc/PID/smaps, which says the same, walks all page tables with the lock of
 * the address space held: 12 ms for each GiB of one mapping, in which the
 * process cannot map, unmap or grow its heap.
 */
#ifndef CAPS_VMA_ITER_H
#define CAPS_VMA_ITER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct vma_record {
	uint64_t start, end;
	uint64_t flags;          /* the kernel's own bits: struct vma_bits */
	uint64_t anon_vma;       /* 0: never written to */
	uint64_t uffd;           /* 0: under no userfaultfd */
};

/* What bits mean, found out by setting them on memory of this process. */
struct vma_bits {
	uint64_t dontdump, dontfork, wipeonfork;
	uint64_t io;             /* any of them */
	uint64_t hugetlb;        /* all of them; 0: there is none on this kernel */
};

struct vma_iter {
	int program;
	struct vma_bits bits;
};

/*
 * Needs CAP_BPF and CAP_PERFMON, and the kernel's type information.  Some ten
 * milliseconds: not within a stop.  Errors: what the kernel said; -ENOTSUP
 * where this one has no such list, or its bits are not as expected.
 */
int vma_iter_open(struct vma_iter *ret, struct err *reterr);
/* Append a struct vma_record for each mapping of a thread's process, by address. */
int vma_iter_read(const struct vma_iter *v, pid_t tid, struct buf *ret);
void vma_iter_close(struct vma_iter *v);

#endif
