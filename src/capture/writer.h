/* SPDX-License-Identifier: MIT */
/*
 * Pages on their way into a file at fixed offsets: past the page cache, many
 * writes in flight (io_uring, O_DIRECT), from a few large buffers of ours.
 * Not for streams, and not a transfer: thousands of scattered pages, each
 * perhaps written again a round later, are no use of the planner.
 *
 *	while (more) {
 *		b = writer_get(w, &err)           waits for a free buffer
 *		... fill b->data ...
 *		writer_put(w, b, at, len, offset) any number of times
 *		writer_done(w, b)
 *	}
 *	writer_flush(w)                           before a page is written anew
 */
#ifndef CAPTURE_WRITER_H
#define CAPTURE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "caps/caps.h"

#define WRITER_PAGE 4096u
#define WRITER_BUFFER_BYTES (4u << 20)
#define WRITER_BUFFERS 8         /* at most */

struct writer;

struct writer_buffer {
	unsigned char *data;      /* page-aligned */
	unsigned refs;            /* the caller's, and one per write in flight */
};

/*
 * fd: a regular file, open for writing; stays the caller's, its O_DIRECT flag is
 * put back.  WRITER_BUFFERS of WRITER_BUFFER_BYTES.
 */
int writer_open(struct writer **ret, struct caps *caps, int fd, struct err *reterr);
/* With less memory: so many buffers of so many bytes, a multiple of WRITER_PAGE. */
int writer_open_sized(struct writer **ret, struct caps *caps, int fd, unsigned buffers,
		      uint32_t buffer_bytes, struct err *reterr);
/* NULL after a write has failed: writer_failed() has the errno. */
struct writer_buffer *writer_get(struct writer *w, struct err *reterr);
int writer_failed(const struct writer *w);
/* Write len bytes at b->data + at to offset; all three are multiples of WRITER_PAGE. */
int writer_put(struct writer *w, struct writer_buffer *b, uint32_t at, uint32_t len,
	       uint64_t offset, struct err *reterr);
/* No more writes from b; it is filled anew when the last has ended. */
void writer_done(struct writer *w, struct writer_buffer *b);
/* Pages anywhere in memory, page-aligned; they must stay until writer_flush(). */
int writer_pages(struct writer *w, const void *data, uint64_t len, uint64_t offset,
		 struct err *reterr);
/*
 * Room on the disk for what will be written there soon: writes that allocate
 * take turns, those into room that is there already go side by side.  Errors
 * show when it is written to.
 */
void writer_allocate(struct writer *w, uint64_t offset, uint64_t len);
/* All that was put is in the file. */
int writer_flush(struct writer *w, struct err *reterr);
bool writer_is_direct(const struct writer *w);
uint64_t writer_bytes(const struct writer *w);
/* Waits for what is in flight.  NULL is fine. */
void writer_close(struct writer *w);

#endif
