/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units as people type them.  Not a lexer: the whole string must
 * be the number, and everything else is refused with a sentence.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

#include "base/err.h"

/*
 * All: 0, -EINVAL (not such a number) or -ERANGE (too large, too small), with
 * the sentence in reterr (may be NULL).  s may be NULL (-EINVAL).
 */

/* Decimal digits, nothing else; min <= *ret <= max. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret, struct err *reterr);

/*
 * Bytes: digits and at most one unit, in any case: B; K M G T P E and KiB ...
 * EiB for powers of 1024; KB ... EB for powers of 1000.
 */
int parse_size(const char *s, uint64_t *ret, struct err *reterr);

/* Nanoseconds: as 1.5s; at most one of ns us ms s m h; without: seconds. */
int parse_duration(const char *s, uint64_t *ret_ns, struct err *reterr);

#endif
