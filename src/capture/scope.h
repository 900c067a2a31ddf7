/* SPDX-License-Identifier: MIT */
/*
 * What of a target belongs in the image, and how each part of it can be had as
 * it was in one instant.  Pure: mappings in, parts out.
 */
#ifndef CAPTURE_SCOPE_H
#define CAPTURE_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/core.h"
#include "process/maps.h"
#include "process/ranges.h"

enum scope_how {
	SCOPE_PRIVATE,   /* tracking or copy-on-write covers it */
	SCOPE_STOPPED,   /* only a copy made in the stop is right */
	SCOPE_FILE,      /* a file that nobody writes through this mapping: read at any time, and
			  * looked at again whether it changed meanwhile */
	SCOPE_FIXED,     /* never changes ([vdso], first pages of ELF files): read at any time */
};

struct scope_part {
	uint64_t start, end;     /* addresses whose bytes are in the image */
	enum scope_how how;
	size_t vma;              /* index in the maps */
	bool file_base;          /* what is not there is the file's, not zero */
	bool first_page;         /* only if it begins with an ELF header */
	const char *why;         /* SCOPE_STOPPED: what it is, for people; static */
};

struct scope {
	struct scope_part *v;    /* by address */
	size_t n, size;
};

#define SCOPE_INIT { 0 }

/* What covers private memory in this capture. */
enum scope_cover {
	SCOPE_COVER_TRACK,       /* tracking from outside */
	SCOPE_COVER_FORK,        /* a shadow */
	SCOPE_COVER_STOP,        /* nothing: all is copied in the stop */
};

struct scope_rules {
	uint32_t filter;         /* of coredump_filter */
	bool all;
	enum scope_cover cover;
};

/* Replaces *ret and keeps its memory.  -ENOMEM. */
int scope_make(struct scope *ret, const struct maps *m, const struct scope_rules *rules);
void scope_free(struct scope *s);
/* Bytes of the parts with this `how`. */
uint64_t scope_bytes(const struct scope *s, enum scope_how how);
/* The part that holds addr, or NULL. */
const struct scope_part *scope_find(const struct scope *s, uint64_t addr);

#endif
