/* SPDX-License-Identifier: MIT */
/* Dates as HTTP has them.  Not of any time zone but GMT.  Pure. */
#ifndef SERVE_DATE_H
#define SERVE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/span.h"

#define DATE_BYTES 30   /* "Sun, 06 Nov 1994 08:49:37 GMT" and a 0 byte */

struct date {
	int64_t year;
	unsigned month, day, hour, minute, second, weekday; /* month from 1; weekday 0: Sunday */
};

extern const char date_months[12][4];

/* Seconds since 1970; years beyond 9999 are 9999. */
void date_split(int64_t seconds, struct date *ret);
void date_format(char ret[DATE_BYTES], int64_t seconds);
/* All three forms of RFC 9110, 5.6.7. */
bool date_parse(struct span text, int64_t *ret);

#endif
