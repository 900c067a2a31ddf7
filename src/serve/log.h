/* SPDX-License-Identifier: MIT */
/*
 * Lines of the access log: the "combined" form of the common log format, or
 * JSON; an error of the file's is one more field of it.  Not the file: journal.h.  Pure.
 */
#ifndef SERVE_LOG_H
#define SERVE_LOG_H

#include <stdint.h>

#include "base/buf.h"
#include "serve/span.h"

struct log_entry {
	const char *address;
	uint16_t port;
	uint16_t status;
	int64_t time_ns;       /* by the wall clock, when the request came */
	uint64_t sent;         /* bytes of the body */
	uint64_t took_ns;
	bool cut;              /* the answer was not sent whole */
	int error;             /* why the file could not be read; 0: it could */
	uint64_t error_at;     /* in the file */
	struct span line, referer, user_agent;
};

/* One line, with its end.  Whatever a client sent, it stays one line. */
void log_common(struct buf *b, const struct log_entry *e);
void log_json(struct buf *b, const struct log_entry *e);

#endif
