/* SPDX-License-Identifier: MIT */
/*
 * A string that grows, always ended by a 0 byte that len does not count.
 * Not a stream: nothing is ever written anywhere.
 *
 * The first failure sticks: check buf->error (0 or negative errno) once, at
 * the end.  Zero-initialised (BUF_INIT) is empty and valid.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#define BUF_MAX_BYTES ((size_t)1 << 30)

struct buf {
	char *data;  /* NULL while nothing was put in */
	size_t len, size;
	int error;   /* -ENOMEM, or -EFBIG past BUF_MAX_BYTES */
};

#define BUF_INIT { 0 }

void buf_free(struct buf *b);
/* Empty again, memory kept, error forgotten. */
void buf_clear(struct buf *b);
void buf_append(struct buf *b, const void *data, size_t len_bytes);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The string, never NULL, still the buffer's. */
const char *buf_str(const struct buf *b);
/* The string, the caller's to free(); NULL after an error.  b is empty. */
char *buf_take(struct buf *b);

#endif
