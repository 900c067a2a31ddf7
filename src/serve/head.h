/* SPDX-License-Identifier: MIT */
/*
 * The head of an answer, and those of the parts of one with several ranges.
 * Not the decision what to answer.  Pure.
 */
#ifndef SERVE_HEAD_H
#define SERVE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "serve/condition.h"
#include "serve/range.h"

#define HEAD_BYTES_MAX 1024
/* 24 letters and a 0 byte. */
#define HEAD_BOUNDARY_BYTES 25

struct head {
	uint16_t status;
	uint8_t minor;                 /* of the request: 1.0 wants to be told of keep-alive */
	bool keep_alive;
	bool vary;                     /* by Accept-Encoding */
	bool ranges;                   /* may be asked for */
	bool inert;                    /* a page of ours: no script, nothing from elsewhere */
	uint64_t length;               /* of the body; UINT64_MAX: 304 and the like, none is told */
	const char *type;              /* NULL: none */
	const char *boundary;          /* several ranges, with this between them; NULL: not */
	const char *encoding;          /* NULL: none */
	const char *location;          /* NULL: none; escaped by whoever set it */
	const struct validator *validator; /* NULL: none */
	uint64_t range_of;             /* 206, 416: bytes of the whole */
	const struct range *range;     /* 206 of one range */
	const char *date;              /* now, by date_format() */
};

/* Its length; 0: it does not fit. */
size_t head_write(char *ret, size_t size, const struct head *h);
/* "OK", "Not Found"; never NULL. */
const char *head_reason(unsigned status);

/* Letters that follow from both numbers, and from no one of them alone. */
void head_boundary(char ret[HEAD_BOUNDARY_BYTES], uint64_t a, uint64_t b);
/* Of one part: with the line ends before it.  As head_write(). */
size_t head_part(char *ret, size_t size, const char *boundary, const char *type,
		 const struct range *range, uint64_t of);
/* Behind the last part. */
size_t head_parts_end(char *ret, size_t size, const char *boundary);
/* All bytes of such a body. */
uint64_t head_parts_length(const char *type, const struct range *v, unsigned n, uint64_t of);

#endif
