/* SPDX-License-Identifier: MIT */
/*
 * The mappings (VMAs) of a process, and what can be done with each.
 * Not the pages in them: that is pages.h.
 *
 * What plain maps do not tell takes longer: maps_learn() once, while the target
 * runs; inside the stop read the plain maps and let maps_adopt() bring the
 * flags over.
 */
#ifndef PROCESS_MAPS_H
#define PROCESS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "process/ranges.h"

struct target;
struct vma_bits;

enum vma_flag {
	VMA_READ = 1 << 0,
	VMA_WRITE = 1 << 1,
	VMA_EXEC = 1 << 2,
	VMA_SHARED = 1 << 3,
	/* valid with VMA_KNOWN; the words are VmFlags of smaps */
	VMA_KNOWN = 1 << 4,      /* they were seen for this very mapping */
	VMA_DONTDUMP = 1 << 5,   /* dd */
	VMA_DONTFORK = 1 << 6,   /* dc */
	VMA_WIPEONFORK = 1 << 7, /* wf */
	VMA_HUGETLB = 1 << 8,    /* ht */
	VMA_IO = 1 << 9,         /* io or pf: no pages to be read */
	VMA_UFFD = 1 << 10,      /* um, uw or ui: under a userfaultfd of the target's own */
	VMA_ANON = 1 << 11,      /* private with pages of its own, swapped ones too: the kernel
				  * has an anon_vma for it */
	/* from the name */
	VMA_SPECIAL = 1 << 12,   /* [vdso], [vsyscall], [vvar...]: always there, not writable */
	VMA_STACK = 1 << 13,     /* [stack] */
	VMA_HEAP = 1 << 14,
	VMA_FILE = 1 << 15,      /* has an inode */
	VMA_DELETED = 1 << 16,   /* the name ends in " (deleted)", or a memfd, or SysV */
	VMA_UNREADABLE = 1 << 17,/* [vvar]: /proc/PID/mem says EIO */
};

struct vma {
	uint64_t start, end;
	uint64_t file_offset;
	uint64_t dev, ino;       /* dev: makedev() */
	uint32_t flags;          /* enum vma_flag */
	uint32_t page_size;      /* of hugetlb, else the base page size */
	uint32_t name;           /* offset of the name in maps.names; 0: "" */
};

struct maps {
	struct vma *v;
	size_t n, size;
	struct buf names;        /* 0-ended strings, unescaped; the first is "" */
	struct buf text;         /* scratch of maps_read(), kept between calls */
};

#define MAPS_INIT { 0 }

enum maps_how { MAPS_PLAIN, MAPS_SMAPS };

void maps_free(struct maps *m);
/*
 * Replaces what is in *ret and keeps its memory.  Mappings ascend; of those
 * that changed while a running target was read, each address is there once.
 * -ESRCH: its memory is gone.
 */
int maps_read(const struct target *t, enum maps_how how, struct maps *ret, struct err *reterr);
/*
 * The same with all flags: from the kernel's list (caps/vma_iter.h) where the
 * process is large and there is that list, else from smaps, in whose reading
 * the target cannot map or unmap anything.
 */
int maps_learn(const struct target *t, struct maps *ret, struct err *reterr);
/* Pure: to plain maps, what records (struct vma_record, by address) tell. */
void maps_take_records(struct maps *m, const struct vma_bits *bits, const void *records,
		       size_t len);
/* Pure: the same from text, ended by 0.  -EBADMSG. */
int maps_parse(const char *text, enum maps_how how, struct maps *ret);
/*
 * Pure: what old knew of mappings that are the same in m, or
 * that overlap ones of old with the same access, sharing and file (they grew,
 * shrank or were merged), is taken over.  Those that are new stay without
 * VMA_KNOWN.
 */
void maps_adopt(struct maps *m, const struct maps *old);
const char *maps_name(const struct maps *m, const struct vma *v);
/* The mapping that holds addr, or NULL. */
const struct vma *maps_find(const struct maps *m, uint64_t addr);
uint64_t maps_bytes(const struct maps *m);

#endif
