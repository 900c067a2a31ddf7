/* SPDX-License-Identifier: MIT */
/*
 * Sources that hold the pattern, and what can be done to them behind the
 * engine's back.
 * Not only files: a pipe holds pages that somebody vmspliced and a socket such
 * that somebody sent from the page cache, which is where stale promises hide.
 */
#ifndef LIB_SOURCE_H
#define LIB_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "decant.h"
#include "lib/fs.h"
#include "lib/net.h"

enum source_kind {
	SOURCE_FILE,
	SOURCE_DIRECT,   /* a file whose descriptor is O_DIRECT */
	SOURCE_MEMORY,   /* anonymous */
	SOURCE_MAPPED,   /* a file's shared mapping, given as memory */
	SOURCE_PROCESS,  /* memory of a child */
	SOURCE_PIPE,     /* filled with vmsplice */
	SOURCE_TCP,      /* filled with sendfile */
	SOURCE_UNIX,     /* filled with sendfile */
	SOURCE_KINDS
};

extern const char *const source_names[SOURCE_KINDS];

enum damage {
	DAMAGE_OVERWRITE, /* in place, with the new generation */
	DAMAGE_TRUNCATE,  /* in the middle of a page, then grown and written anew */
	DAMAGE_PUNCH,     /* a hole with unaligned ends (memory: MADV_DONTNEED) */
	DAMAGE_UNMAP,     /* memory: other memory in its place; process: it exits */
	DAMAGE_REPLACE,   /* another file renamed over it, and the old one emptied */
	DAMAGE_KINDS
};

extern const char *const damage_names[DAMAGE_KINDS];

struct source {
	enum source_kind kind;
	enum fs_kind fs;
	uint64_t offset, len; /* the pattern's part that the transfer takes */
	struct decant_end end;
	/* its own */
	int fd;               /* the file behind it, or the end that is read */
	char *path;
	unsigned char *addr;
	uint64_t size;        /* offset + len */
	struct pair pair;
	pid_t child;
};

/* Whether such a source can be made at this length. */
bool source_possible(enum source_kind kind, uint64_t len);
/* offset: where in the pattern it starts (streams: the bytes before are not there). */
void source_open(struct source *ret, enum source_kind kind, enum fs_kind fs, uint64_t offset,
		 uint64_t len);
bool source_can(const struct source *s, enum damage how);
void source_damage(struct source *s, enum damage how);
/* Cut it to so many bytes of the transfer's part; files and mappings only. */
void source_cut(struct source *s, uint64_t left);
void source_close(struct source *s);

#endif
