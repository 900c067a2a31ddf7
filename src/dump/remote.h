/* SPDX-License-Identifier: MIT */
/*
 * Where the pages of an image go if not into a file here: a page server, as
 * the maker of an image sees it.  Not the protocol, nor a connection: those
 * are src/wire/, above this room, which fills in the table.
 *
 *	remote_begin(r, deadline_ns, &err)            one image: one connection
 *	remote_open(r, DIR_PROCESS, pid, &parent, &err)
 *	b = remote_get(r, &err)                       a buffer that nobody uses
 *	remote_put(r, &entry, b, at, &err)            by address, any number of times
 *	remote_done(r, b, &err)
 *	remote_commit(r, &err)                        the server has all of it
 *	remote_abort(r)                               it has nothing of it; after errors too
 *
 * One image at a time, by one thread.
 */
#ifndef DUMP_REMOTE_H
#define DUMP_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "dump/dir.h"
#include "image/criu.h"

/* Small enough that what was just read is still in the cache when it is sent. */
#define REMOTE_BUFFER_BYTES (512u << 10)

struct decant_remote;

struct remote_buffer {
	unsigned char *data;     /* REMOTE_BUFFER_BYTES, page-aligned */
};

struct remote_ops {
	int (*begin)(struct decant_remote *r, uint64_t deadline_ns, struct err *reterr);
	int (*open)(struct decant_remote *r, enum dir_kind kind, uint64_t id, bool *ret_parent,
		    struct err *reterr);
	struct remote_buffer *(*get)(struct decant_remote *r, struct err *reterr);
	int (*put)(struct decant_remote *r, const struct criu_entry *e, struct remote_buffer *b,
		   uint32_t at, struct err *reterr);
	int (*splice)(struct decant_remote *r, const struct criu_entry *e, int pipe_fd,
		      struct err *reterr);
	int (*done)(struct decant_remote *r, struct remote_buffer *b, struct err *reterr);
	int (*commit)(struct decant_remote *r, struct err *reterr);
	void (*abort)(struct decant_remote *r);
};

/* What the public header calls so; the rest of it belongs to whoever made it. */
struct decant_remote {
	const struct remote_ops *ops;
};

/* deadline_ns: of sys_clock_ns(), for all of the image; 0: none. */
static inline int remote_begin(struct decant_remote *r, uint64_t deadline_ns, struct err *reterr)
{
	return r->ops->begin(r, deadline_ns, reterr);
}

/*
 * The pagemap of a process (or of shared memory) begins.  *ret_parent: the
 * server has the image before this one; without, no entry may be PARENT.
 */
static inline int remote_open(struct decant_remote *r, enum dir_kind kind, uint64_t id,
			      bool *ret_parent, struct err *reterr)
{
	return r->ops->open(r, kind, id, ret_parent, reterr);
}

/* NULL: the sentence says why.  Waits while all buffers are still being sent. */
static inline struct remote_buffer *remote_get(struct decant_remote *r, struct err *reterr)
{
	return r->ops->get(r, reterr);
}

/*
 * An entry, and if it is PRESENT its pages: at b->data + at, which stay as they are
 * until remote_done().  Else b may be NULL.
 */
static inline int remote_put(struct decant_remote *r, const struct criu_entry *e,
			     struct remote_buffer *b, uint32_t at, struct err *reterr)
{
	return r->ops->put(r, e, b, at, reterr);
}

/* A PRESENT entry whose pages are in a pipe, or will be: as many bytes are taken out. */
static inline int remote_splice(struct decant_remote *r, const struct criu_entry *e, int pipe_fd,
				struct err *reterr)
{
	return r->ops->splice(r, e, pipe_fd, reterr);
}

/*
 * Nothing more from b: what was put is sent, and b is given out again when the
 * kernel has let go of it.  One buffer at a time is filled.
 */
static inline int remote_done(struct decant_remote *r, struct remote_buffer *b,
			      struct err *reterr)
{
	return r->ops->done(r, b, reterr);
}

static inline int remote_commit(struct decant_remote *r, struct err *reterr)
{
	return r->ops->commit(r, reterr);
}

static inline void remote_abort(struct decant_remote *r)
{
	r->ops->abort(r);
}

#endif
