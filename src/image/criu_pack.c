/* SPDX-License-Identifier: MIT */
#include "image/criu_pack.h"

#include <errno.h>
#include <stdint.h>

#include "base/le.h"

#define PACK_ALIGN 16

struct pack_sink {
	ProtobufCBuffer base;    /* first: protobuf-c hands it back */
	struct buf *to;
};

static void pack_append(ProtobufCBuffer *base, size_t len, const uint8_t *data)
{
	buf_append(((struct pack_sink *)base)->to, data, len);
}

void criu_pack(struct buf *ret, const ProtobufCMessage *m)
{
	struct pack_sink sink = { { .append = pack_append }, ret };
	unsigned char len[4];

	le32_store(len, (uint32_t)protobuf_c_message_get_packed_size(m));
	buf_append(ret, len, sizeof(len));
	(void)protobuf_c_message_pack_to_buffer(m, &sink.base);
}

static void *pack_alloc(void *arg, size_t len)
{
	struct criu_arena *a = arg;
	void *p = a->data + a->used;

	if (len > a->size - a->used) {
		a->full = true;
		return NULL;
	}
	a->used += (len + PACK_ALIGN - 1) & ~(size_t)(PACK_ALIGN - 1);
	if (a->used > a->size)
		a->used = a->size;
	return p;
}

static void pack_free(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

void *criu_unpack(const ProtobufCMessageDescriptor *of, struct criu_arena *a, const void *body,
		  size_t len, const char *what, int *ret_error, struct err *reterr)
{
	ProtobufCAllocator allocator = { pack_alloc, pack_free, a };
	void *m = protobuf_c_message_unpack(of, &allocator, len, body);

	if (!m && a->full)
		*ret_error = err_set(reterr, -ENOTSUP,
				     "%s: holds much more than this version knows", what);
	else if (!m)
		*ret_error = err_set(reterr, -EBADMSG, "%s: is damaged", what);
	return m;
}
