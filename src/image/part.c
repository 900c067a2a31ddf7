/* SPDX-License-Identifier: MIT */
/* Which mappings belong in a core: the kernel's vma_dump_size(), fs/coredump.c. */
#include <elf.h>
#include <string.h>

#include "image/core.h"

/* Bits of /proc/PID/coredump_filter; see core(5). */
enum {
	PART_ANON_PRIVATE = 1 << 0,
	PART_ANON_SHARED = 1 << 1,
	PART_FILE_PRIVATE = 1 << 2,
	PART_FILE_SHARED = 1 << 3,
	PART_ELF_HEADERS = 1 << 4,
	PART_HUGETLB_PRIVATE = 1 << 5,
	PART_HUGETLB_SHARED = 1 << 6,
};

/* For --all: nothing but what holds no bytes, or none that anybody can read. */
static enum core_part part_of_all(const struct vma *v)
{
	bool reserve = !(v->flags & (VMA_READ | VMA_ANON)) && v->flags & VMA_KNOWN;

	return v->flags & VMA_IO || reserve ? CORE_NONE : CORE_WHOLE;
}

static enum core_part part_of_shared(const struct vma *v, uint32_t filter)
{
	/* The kernel asks for the inode's number of links; a name that is gone says the same. */
	bool nameless = v->flags & VMA_DELETED || v->ino == 0;

	return filter & (nameless ? PART_ANON_SHARED : PART_FILE_SHARED) ? CORE_WHOLE : CORE_NONE;
}

/*
 * Has the kernel an anon_vma for it, that is, was it ever written to?  smaps
 * told at its time; what is writable without a file may have been since, and
 * there a wrong yes costs nothing but a hole.
 */
static bool part_is_written(const struct vma *v)
{
	if (v->flags & VMA_ANON || !(v->flags & VMA_KNOWN))
		return true;
	return v->flags & VMA_WRITE && !(v->flags & VMA_FILE);
}

enum core_part core_part(const struct vma *v, uint32_t filter, bool all)
{
	if (v->flags & VMA_UNREADABLE)
		return CORE_NONE;
	if (v->flags & VMA_SPECIAL)
		return CORE_WHOLE;
	if (all)
		return part_of_all(v);
	if (v->flags & VMA_DONTDUMP)
		return CORE_NONE;
	if (v->flags & VMA_HUGETLB)
		return filter & (v->flags & VMA_SHARED ? PART_HUGETLB_SHARED :
							 PART_HUGETLB_PRIVATE) ?
			       CORE_WHOLE : CORE_NONE;
	if (v->flags & VMA_IO)
		return CORE_NONE;
	if (v->flags & VMA_SHARED)
		return part_of_shared(v, filter);
	if (part_is_written(v) && filter & PART_ANON_PRIVATE)
		return CORE_WHOLE;
	if (!(v->flags & VMA_FILE))
		return CORE_NONE;
	if (filter & PART_FILE_PRIVATE)
		return CORE_WHOLE;
	if (filter & PART_ELF_HEADERS && v->file_offset == 0 && v->flags & VMA_READ)
		return CORE_FIRST_PAGE;
	return CORE_NONE;
}

bool core_is_elf(const void *page, size_t len)
{
	return len >= SELFMAG && memcmp(page, ELFMAG, SELFMAG) == 0;
}
