/* SPDX-License-Identifier: MIT */
/*
 * The messages of CRIU's page-server protocol: bytes to structures and back,
 * and whether what they say can be.  Pure: no socket is known here.
 *
 * A header, little endian; CRIU up to 4.1 has 24 bytes, from 4.2 on 32:
 *
 *	24 bytes                         32 bytes
 *	0  u32 command | flags << 16     0  u32 command | flags << 16
 *	4  u32 nr_pages                  4  u32 (anything)
 *	8  u64 vaddr                     8  u64 nr_pages
 *	16 u64 dst_id                    16 u64 vaddr
 *	                                 24 u64 dst_id
 *
 * Nobody says which it is.  But the first message is about a whole pagemap:
 * its vaddr is 0 and its dst_id is not, so that bytes 16 to 23 tell.
 *
 * Client to server, and what comes back:
 *	OPEN                                   nothing
 *	OPEN2      dst_id                      u8, has_parent (enum frame_parent)
 *	PARENT     dst_id                      i32, 0 or 1
 *	ADD_F      flags, PRESENT: the pages   nothing
 *	ADD, HOLE  ADD_F with PRESENT, PARENT  nothing
 *	CLOSE, FORCE_CLOSE                     i32, 0
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "dump/dir.h"
#include "image/criu.h"

#define FRAME_OLD 24u
#define FRAME_NEW 32u
#define FRAME_MAX FRAME_NEW

enum frame_command {
	FRAME_ADD = 1,
	FRAME_HOLE = 2,
	FRAME_OPEN = 3,
	FRAME_OPEN2 = 4,
	FRAME_PARENT = 5,
	FRAME_ADD_F = 6,
	FRAME_GET = 7,           /* lazy pages; not for us */
	FRAME_ADD_COMPRESSED = 8,/* likewise, and of no release */
	FRAME_CLOSE = 0x1023,
	FRAME_FORCE_CLOSE = 0x1024,
};

/*
 * Has the server a parent of that pagemap?  CRIU knows yes and no, and takes
 * all that is not 0 for yes.
 */
enum frame_parent {
	FRAME_NO_PARENT = 0,
	FRAME_HAS_PARENT = 1,
	FRAME_HAS_LAST = 3,      /* yes, and it is the last image that came with it */
};

/* A header as it stands there. */
struct frame {
	uint16_t command, flags;
	uint64_t nr_pages, vaddr, dst_id;
};

/* FRAME_OLD or FRAME_NEW, by the first FRAME_OLD bytes of a client. */
unsigned frame_size(const void *first);
/* size: one of these two; data has as many bytes. */
void frame_get(struct frame *ret, unsigned size, const void *data);
/* Returns size.  nr_pages must fit: 32 bits in the old one. */
unsigned frame_put(const struct frame *f, unsigned size, void *data);

/* What a header means. */
enum message_kind {
	MESSAGE_OPEN,            /* a pagemap begins; answer says whether one is awaited */
	MESSAGE_PARENT,          /* is there one in the parent? */
	MESSAGE_ENTRY,           /* an entry; PRESENT: its pages follow */
	MESSAGE_CLOSE,
};

struct message {
	enum message_kind kind;
	bool answer;
	enum dir_kind of;        /* whose: not with CLOSE */
	uint64_t id;
	struct criu_entry entry; /* ENTRY */
};

/*
 * -EPROTO: it is no message; -ENOTSUP: one that is not for a server that
 * stores (lazy, compressed pages).  What is taken has a known pagemap, ids that
 * a file may be named after, and ranges that end below CRIU_ADDRESS_MAX.
 */
int message_get(struct message *ret, const struct frame *f, struct err *reterr);

/* The dst_id of a pagemap; kind and id as dir_pages_begin() takes them, id to FRAME_ID_MAX. */
#define FRAME_ID_MAX ((UINT64_C(1) << 56) - 1)
uint64_t frame_dst(enum dir_kind kind, uint64_t id);

#endif
