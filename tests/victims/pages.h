/* SPDX-License-Identifier: MIT */
/*
 * Which pages "pages" writes in each step, known to victim and test alike.
 * Not how they are found.
 */
#ifndef VICTIMS_PAGES_H
#define VICTIMS_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define PAGES_SIZE 4096u
#define PAGES_MAPS_BASE 0x300000000000ULL
#define PAGES_MAPS_GAP (1ULL << 32)          /* from one mapping to the next */

/* All are mapped at their addresses from the beginning, but NEW and MOVED. */
enum pages_map {
	PAGES_ANON,      /* private */
	PAGES_HUGE,      /* private, of huge pages where the kernel has them */
	PAGES_FILE,      /* private, of a file: reads it and writes to it */
	PAGES_SHARED,    /* shared, no file */
	PAGES_NEW,       /* mapped anew in each step */
	PAGES_MAPS_N,
};

#define PAGES_EACH 1024u                     /* pages of a mapping */

/* What a step does to a page. */
enum pages_deed {
	PAGES_NOTHING,
	PAGES_READ,
	PAGES_WRITE,     /* once or several times */
	PAGES_INTO,      /* the kernel does, in read(2) */
	PAGES_DROP,      /* MADV_DONTNEED */
	PAGES_DROP_WRITE,/* the same, and a write after it */
	PAGES_WRITE_DROP,/* the other way round: nothing is left of it */
};

static inline uint64_t pages_addr(enum pages_map map, unsigned page)
{
	return PAGES_MAPS_BASE + (uint64_t)map * PAGES_MAPS_GAP + (uint64_t)page * PAGES_SIZE;
}

static inline uint64_t pages_hash(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Dense in some steps, sparse in others, nothing in each seventh. */
static inline enum pages_deed pages_deed(unsigned step, enum pages_map map, unsigned page)
{
	uint64_t x = pages_hash(((uint64_t)step << 32 | (uint64_t)map << 24) + page);
	unsigned share = step % 7 == 0 ? 0 : step % 7 < 3 ? 8 : 128;

	if ((x & 255) >= share)
		return PAGES_NOTHING;
	switch (x >> 8 & 15) {
	case 0:
	case 1:
		return PAGES_READ;
	case 2:
		return PAGES_INTO;
	case 3:
		/* Others may have what is shared, and a huge page is not dropped in parts. */
		return map == PAGES_SHARED || map == PAGES_HUGE ? PAGES_READ : PAGES_DROP;
	case 4:
		return map == PAGES_SHARED || map == PAGES_HUGE ? PAGES_WRITE : PAGES_DROP_WRITE;
	case 5:
		return map == PAGES_SHARED || map == PAGES_HUGE ? PAGES_WRITE : PAGES_WRITE_DROP;
	default:
		return PAGES_WRITE;
	}
}

static inline bool pages_written(enum pages_deed deed)
{
	return deed == PAGES_WRITE || deed == PAGES_INTO || deed == PAGES_DROP_WRITE;
}

#endif
