/* SPDX-License-Identifier: MIT */
/*
 * Chains of images out of a model: an address space of a few thousand pages,
 * each empty or filled with one number, that is written and dumped round by
 * round.  The model is the oracle; it knows nothing of how images are made.
 */
#ifndef LIB_CHAINS_H
#define LIB_CHAINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dump/chain.h"
#include "dump/dir.h"

#define CHAINS_PAGES 3000
#define CHAINS_BASE UINT64_C(0x7f0000000000)

struct chains {
	uint32_t tag[CHAINS_PAGES];      /* 0: not there */
	bool dirty[CHAINS_PAGES];        /* since the last round */
	uint32_t next;
};

void chains_init(struct chains *c);
/* Writes and frees pages at random: single ones, runs, nothing at all. */
void chains_live(struct chains *c);
/*
 * One round into a new directory: pages that were written since the last are
 * PRESENT, others PARENT (with a parent).  old: as CRIU 3.17 would write it.
 */
void chains_round(struct chains *c, const char *path, const char *parent, uint64_t pid, bool old);
/* Level 0 of that directory is the model: how many pages are not. */
unsigned chains_wrong(const struct chains *c, const char *path, uint64_t pid);
/* The bytes of a page with that tag; 0: zeros. */
void chains_page(uint32_t tag, unsigned char ret[4096]);
/* The tag of a page, 0 where it is none. */
uint32_t chains_tag(const unsigned char page[4096]);
/* Replaces pagemap-PID.img by these entries (raw, unchecked). */
void chains_pagemap(const char *dir, uint64_t pid, uint32_t pages_id,
		    const struct criu_entry *entries, unsigned n);

/* A directory of its own for a case; with all that is in it. */
void chains_begin(char *ret_dir, size_t size);
void chains_end(const char *dir);

#endif
