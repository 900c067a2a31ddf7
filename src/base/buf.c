/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

/* Room for more bytes and the 0 byte. */
static int buf_reserve(struct buf *b, size_t more)
{
	size_t size = b->size ? b->size : 128;
	char *data;

	if (b->error)
		return b->error;
	if (more >= BUF_MAX_BYTES || b->len + more >= BUF_MAX_BYTES)
		return b->error = -EFBIG;
	while (size <= b->len + more)
		size *= 2;
	if (size == b->size)
		return 0;
	data = alloc_again(b->data, size);
	if (!data)
		return b->error = -ENOMEM;
	b->data = data;
	b->size = size;
	b->data[b->len] = '\0';
	return 0;
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

void buf_append(struct buf *b, const void *data, size_t len_bytes)
{
	if (len_bytes == 0 || buf_reserve(b, len_bytes) < 0)
		return;
	memcpy(b->data + b->len, data, len_bytes);
	b->len += len_bytes;
	b->data[b->len] = '\0';
}

void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0 || buf_reserve(b, (size_t)n) < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
	char *s;

	(void)buf_reserve(b, 0); /* so that an empty string is one */
	if (b->error) {
		buf_free(b);
		return NULL;
	}
	s = b->data;
	*b = (struct buf)BUF_INIT;
	return s;
}
