/* SPDX-License-Identifier: MIT */
/*
 * PROCMAP_QUERY of /proc/PID/maps (Linux 6.11), which the distribution's
 * headers may lack.  ENOTTY: the kernel does not know it.
 */
#ifndef UAPI_PROCMAP_H
#define UAPI_PROCMAP_H

#include <stdint.h>
#include <sys/ioctl.h>

/* query_flags: only a mapping that may be written to covers the address. */
#define UAPI_PROCMAP_WRITABLE 0x02

struct uapi_procmap_query {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start, vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};
_Static_assert(sizeof(struct uapi_procmap_query) == 104, "as in the kernel");

#define UAPI_PROCMAP_QUERY _IOWR('f', 17, struct uapi_procmap_query)

#endif
