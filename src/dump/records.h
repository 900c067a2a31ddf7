/* SPDX-License-Identifier: MIT */
/*
 * The records of one image file, one after the other, through a buffer of a
 * size that is set once: a longer record is refused.  Not what they mean.
 */
#ifndef DUMP_RECORDS_H
#define DUMP_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/criu.h"

struct records {
	int fd;
	unsigned char *data;
	size_t size, at, len;
	bool end;                /* nothing more is in the file */
};

#define RECORDS_INIT { .fd = -1 }

/*
 * Open a name beneath dir_fd, a regular file and no link, and take its magic.
 * max: bytes of its longest record.  -ENOENT: not there, reterr is not set.
 */
int records_open(struct records *r, int dir_fd, const char *name, enum criu_kind kind, size_t max,
		 struct err *reterr);
/* 1 and the next record, valid until the next call; 0: the end; negative errno. */
int records_next(struct records *r, const void **ret_body, size_t *ret_len, struct err *reterr);
void records_close(struct records *r);

/* A regular file beneath dir_fd, for reading, never through a link; negative errno. */
int records_open_file(int dir_fd, const char *name, uint64_t *ret_bytes);

#endif
