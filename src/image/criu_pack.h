/* SPDX-License-Identifier: MIT */
/*
 * Between protobuf-c's messages and bytes, without its allocations.
 * Not for use outside of src/image/criu*.c.
 */
#ifndef IMAGE_CRIU_PACK_H
#define IMAGE_CRIU_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Where a message is unpacked: memory that is handed out once and never given
 * back.  What a record needs is bounded so, whatever is in it.
 */
struct criu_arena {
	unsigned char *data;     /* aligned as malloc() does */
	size_t size, used;
	bool full;
};

#define CRIU_ARENA(name, bytes)                                                   \
	unsigned char name##_data_[bytes] __attribute__((aligned(16)));           \
	struct criu_arena name = { name##_data_, sizeof(name##_data_), 0, false }

/* Length and message. */
void criu_pack(struct buf *ret, const ProtobufCMessage *m);
/* The message, in a; it lives as long.  NULL, and why in reterr (what: "inventory"). */
void *criu_unpack(const ProtobufCMessageDescriptor *of, struct criu_arena *a, const void *body,
		  size_t len, const char *what, int *ret_error, struct err *reterr);

#endif
