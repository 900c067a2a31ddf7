/* SPDX-License-Identifier: MIT */
/*
 * A forked victim whose pages are looked at, by each of the ways that a mask of
 * facts leaves.  Not what is written to it: that is lib/tracked.h's.
 */
#ifndef LIB_PAGED_H
#define LIB_PAGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "lib/forked.h"
#include "process/pages.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define AT ((uintptr_t)FORKED_AT)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* A case's argument is one of these: none, by entries, without frames, ... */
#define PAGED_MASKS 5
extern const char *const paged_masks[PAGED_MASKS];
const char *paged_mask_name(const void *arg);
/* Masked by the case, or not of this kernel: all of these facts. */
bool paged_lacks(const void *arg, const char *facts);
#define paged_each(fn, name)                                                    \
	do {                                                                    \
		for (size_t i_ = 0; i_ < PAGED_MASKS; i_++)                     \
			kit_case(fn, &paged_masks[i_], name ", without %s",     \
				 paged_mask_name(&paged_masks[i_]));            \
	} while (0)

/* In the victim: what belongs in each page, its own address and a bit more. */
void paged_fill(char *p, size_t len);
/* For forked_do(): pages 1-3, 10 and 63 of 64, the zero page at 5; is one there? */
long paged_plain(uintptr_t arg);
long paged_is_there(uintptr_t page);

/* What is there, and more of it where found is given. */
struct ranges paged_scan(struct forked *f, size_t at, size_t len, struct pages_found *found);
/* A point; want: "0-3 7 9-10", pages from at on. */
void paged_there_is(struct forked *f, size_t at, size_t len, const char *want);

#endif
