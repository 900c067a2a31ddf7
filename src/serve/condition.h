/* SPDX-License-Identifier: MIT */
/*
 * Entity tags, and what the If- fields of a request make of the answer
 * (RFC 9110, 13).  Not the answer itself.  Pure.
 */
#ifndef SERVE_CONDITION_H
#define SERVE_CONDITION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "serve/request.h"

#define ETAG_BYTES 40

/* By which two states of a file are told apart. */
struct validator {
	char etag[ETAG_BYTES];   /* with quotes, and W/ where it is weak */
	uint8_t etag_len;
	bool weak;
	int64_t mtime;           /* seconds */
	int64_t newest_ns;       /* when it was changed last, in any way */
};

/*
 * Of what is open.  now_ns: by the wall clock.  A file that was written within
 * the last two seconds can be written again with the same times: its tag is weak.
 */
void validator_of(const struct stat *st, int64_t now_ns, struct validator *ret);

/* 0: answer; else 304 or 412.  *ret_range: the Range field counts. */
int condition_judge(const struct request *r, const struct validator *v, bool *ret_range);

#endif
