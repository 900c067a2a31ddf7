/* SPDX-License-Identifier: MIT */
#include "process/entry.h"

#include "uapi/pagemap.h"

/* The last of the types that the kernel keeps for itself; always has been. */
#define ENTRY_MARKER_TYPE 31

static bool entry_is_there(uint64_t entry, uint64_t zero_frame)
{
	uint64_t frame = entry & PAGEMAP_FRAME;

	if (entry & PAGEMAP_PRESENT)
		return zero_frame == 0 || frame != zero_frame;
	if (!(entry & PAGEMAP_SWAPPED) || entry & PAGEMAP_GUARD)
		return false;
	return zero_frame == 0 || (frame & PAGEMAP_SWAP_TYPE) != ENTRY_MARKER_TYPE;
}

unsigned entry_means(uint64_t entry, uint64_t zero_frame)
{
	unsigned ret = 0;

	if (!entry_is_there(entry, zero_frame))
		return ENTRY_WRITTEN;
	ret |= ENTRY_THERE;
	if (entry & PAGEMAP_SWAPPED)
		ret |= ENTRY_SWAPPED;
	if (entry & PAGEMAP_FILE)
		ret |= ENTRY_FILE;
	if (entry & PAGEMAP_SOFT_DIRTY)
		ret |= ENTRY_WRITTEN;
	return ret;
}
