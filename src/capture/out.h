/* SPDX-License-Identifier: MIT */
/*
 * The far end of a stream: bytes in order, compressed if asked for.
 * Not a file at offsets: that is writer.h.
 */
#ifndef CAPTURE_OUT_H
#define CAPTURE_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define OUT_CHUNK (1u << 20)

struct out {
	int fd;
	bool zstd;
	uint64_t raw_bytes;      /* put in */
	uint64_t bytes;          /* written */
	/* Called while a reader keeps us waiting; negative: give up.  May be NULL. */
	int (*tick)(void *arg);
	void *tick_arg;
	/* zstd: one frame per OUT_CHUNK, so that a reader can seek */
	void *context;
	unsigned char *in, *compressed;
	uint32_t in_len;
	uint64_t compressed_size;
};

int out_open(struct out *o, int fd, bool zstd, struct err *reterr);
int out_put(struct out *o, const void *data, uint64_t len, struct err *reterr);
int out_zeros(struct out *o, uint64_t len, struct err *reterr);
/* The next len bytes by splice from a pipe; not with zstd.  Exactly len. */
int out_splice(struct out *o, int pipe_fd, uint64_t len, struct err *reterr);
/* What is still held goes out. */
int out_end(struct out *o, struct err *reterr);
void out_close(struct out *o);

#endif
