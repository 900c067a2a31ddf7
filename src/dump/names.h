/* SPDX-License-Identifier: MIT */
/*
 * The names of files in a directory of images, and going through them.
 * Not what is in those files.
 */
#ifndef DUMP_NAMES_H
#define DUMP_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dump/dir.h"

#define NAMES_MAX 128
#define NAMES_PART ".part"
#define NAMES_INVENTORY "inventory.img"
#define NAMES_STATS "stats-dump"
#define NAMES_PARENT "parent"

enum names_kind {
	NAMES_OTHER,
	NAMES_PAGEMAP,           /* id */
	NAMES_PAGEMAP_SHMEM,     /* id */
	NAMES_PAGES,             /* id */
	NAMES_NOTE,              /* id */
	NAMES_INVENTORY_IMG,
	NAMES_STATS_DUMP,
	NAMES_PARENT_LINK,
};

struct names_parsed {
	enum names_kind kind;
	bool part;               /* it still has the temporary name */
	uint64_t id;
};

/* Only names that the functions below make are told apart from NAMES_OTHER. */
struct names_parsed names_parse(const char *name);
void names_pagemap(char ret[NAMES_MAX], enum dir_kind kind, uint64_t id);
void names_pages(char ret[NAMES_MAX], uint32_t pages_id);
void names_note(char ret[NAMES_MAX], uint64_t pid);
/* name and NAMES_PART. */
void names_part(char ret[NAMES_MAX + sizeof(NAMES_PART)], const char *name);

/*
 * fn for each name but "." and "..", until it returns not 0, which is returned
 * then.  Names that come or go meanwhile may be told or not.
 */
int names_each(int dir_fd, int (*fn)(void *arg, const char *name), void *arg);

#endif
