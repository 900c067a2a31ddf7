/* SPDX-License-Identifier: MIT */
/* Which compressed forms of a file a client takes.  Nothing is compressed here.  Pure. */
#ifndef SERVE_ENCODING_H
#define SERVE_ENCODING_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/span.h"

enum encoding { ENCODING_NONE, ENCODING_GZIP, ENCODING_ZSTD, ENCODINGS_N };

/* As in Content-Encoding, and behind the dot of a file's name; NULL: none. */
extern const char *const encoding_names[ENCODINGS_N];
extern const char *const encoding_suffixes[ENCODINGS_N];

/*
 * Those that the Accept-Encoding field wishes rather than the file as it is, the
 * most wished for first.  Their number.
 */
unsigned encoding_wanted(struct span field, uint8_t ret[ENCODINGS_N]);

#endif
