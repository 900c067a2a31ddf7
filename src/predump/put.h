/* SPDX-License-Identifier: MIT */
/*
 * One pagemap of a predump on its way out: into a directory, or to a page
 * server.  Not what belongs in it: that is write.c.
 *
 * Entries come by address; pages from a buffer (put_buffer(), filled by the
 * caller), or from the pipes of a shadow.
 */
#ifndef PREDUMP_PUT_H
#define PREDUMP_PUT_H

#include "capture/siphon.h"
#include "capture/writer.h"
#include "dump/dir.h"
#include "dump/remote.h"

struct predump;

struct put_buffer {
	unsigned char *data;     /* put_bytes() */
	struct writer_buffer *file;
	struct remote_buffer *remote;
};

struct put {
	struct predump *p;
	struct decant_remote *to;/* NULL: a directory */
	bool parent;             /* there may be PARENT entries */
	struct dir_pages *pages;
	struct writer *writer;
	struct siphon *siphon;   /* NULL: nothing comes from a shadow */
	uint64_t pipe_offset;
	/* Of the buffer in use: to be written at once, for pages are many and small. */
	uint64_t run_offset;
	uint32_t run_at, run_len;
	uint64_t ahead, most;    /* bytes that room was made for, and that may come */
	uint64_t present_pages, parent_pages;
};

/* most: bytes of pages, no more.  from_shadow: with siphon. */
int put_begin(struct put *u, struct predump *p, struct dir *d, enum dir_kind kind, uint64_t id,
	      uint64_t most, bool from_shadow);
uint64_t put_bytes(const struct put *u);
/* One that nobody uses. */
int put_buffer(struct put *u, struct put_buffer *ret);
/* Nothing more from it. */
int put_done(struct put *u, struct put_buffer *b);
int put_parent(struct put *u, uint64_t start, uint64_t end);
/* [start, end) is at b->data + at. */
int put_pages(struct put *u, const struct put_buffer *b, uint32_t at, uint64_t start,
	      uint64_t end);
/*
 * [start, end) is in the siphon's pipe, behind what of it was told before; first:
 * nothing was.  When all is told: put_piped().
 */
int put_pipe(struct put *u, uint64_t start, uint64_t end, bool first);
int put_piped(struct put *u);
/* All is out.  Frees, as put_drop() does. */
int put_end(struct put *u);
void put_drop(struct put *u);

#endif
