/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP/1 request, taken apart by http-parser.
 * Not the answer: nothing here knows of files.  Pure.
 */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/span.h"

#define REQUEST_HEAD_MAX 16384
#define REQUEST_LINE_MAX 8192

enum request_method { METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER };

/* What is kept of a head; all of them point into it. */
enum request_part {
	PART_LINE,      /* "GET /x HTTP/1.1" */
	PART_TARGET,
	PART_HOST,
	PART_RANGE,
	PART_IF_RANGE,
	PART_IF_MATCH,
	PART_IF_NONE_MATCH,
	PART_IF_MODIFIED_SINCE,
	PART_IF_UNMODIFIED_SINCE,
	PART_ACCEPT_ENCODING,
	PART_USER_AGENT,
	PART_REFERER,
	PARTS_N,
};

struct request {
	uint8_t method;     /* enum request_method */
	uint8_t minor;      /* of HTTP/1 */
	bool keep_alive;    /* the client wishes it, and we may */
	bool has_body;      /* which nobody reads: the connection ends after the answer */
	uint16_t refuse;    /* 0, or the status that is all the answer */
	struct span part[PARTS_N];
};

/*
 * data begins with a head or a part of one.  Its length, empty lines before it
 * included, when all of it is there; 0 when not.  *scanned: how much an
 * earlier call saw in vain; 0 at first.  What is wrong is in ret->refuse, and
 * then what is behind it cannot be told apart any more: keep_alive is false,
 * and the parts are those that were found.
 */
size_t request_parse(const char *data, size_t len, size_t *scanned, struct request *ret);
/* The bytes have moved. */
void request_move(struct request *r, const char *from, const char *to);

#endif
