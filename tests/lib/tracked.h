/* SPDX-License-Identifier: MIT */
/*
 * A forked victim whose memory at FORKED_AT is tracked, and what it does to that.
 * Not a test: those are system/test_track*.c.
 */
#ifndef LIB_TRACKED_H
#define LIB_TRACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "lib/forked.h"
#include "process/ranges.h"
#include "process/track.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define BLOCK (2 * MIB)
#define LEN (8 * MIB)
#define AT ((uintptr_t)FORKED_AT)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* In the victim, for forked_do(): memory of that length, ... */
char *tracked_page(size_t n);
long tracked_small(uintptr_t len);
long tracked_huge(uintptr_t len);
/* ... all of which is written, or one page. */
long tracked_fill(uintptr_t len);
long tracked_write(uintptr_t page);
long tracked_read(uintptr_t page);
long tracked_userfaultfd(uintptr_t arg);

/* This kernel has the asynchronous write protection that these tests are of. */
bool tracked_can(void);
/* Its userfaultfd, closed there. */
int tracked_steal(struct forked *f);
struct track *tracked_begin(struct forked *f, const char *mask, long (*prepare)(uintptr_t),
			    size_t len);
void tracked_end(struct forked *f, struct track *tr);
void tracked_look(struct track *tr, size_t len, bool again, struct ranges *written);
/* Pages that were told and not wanted, or the other way round; superset: only that. */
unsigned tracked_differ(const struct ranges *got, const unsigned char *want, size_t pages,
			bool superset);

#endif
