/* SPDX-License-Identifier: MIT */
/*
 * One piece in the deep queue, for deep.c (order and accounts), deep_fill.c and
 * deep_receive.c (where pieces come from) and deep_slot.c (one piece's reads and
 * writes).  Not for routes.
 */
#ifndef ROUTE_DEEP_SLOT_H
#define ROUTE_DEEP_SLOT_H

#include "engine/job.h"
#include "route/deep.h"
#include "route/holes.h"

#define DEEP_SLOTS 16u
/* With memory of ours; the caller's costs nothing, and more of it is faster. */
#define DEEP_SLOTS_BUFFERED 8u
#define DEEP_PIECE_BYTES (1u << 20)
#define DEEP_PIECE_MEMORY_BYTES (4u << 20) /* of the caller's: fewer calls, fewer interrupts */
#define DEEP_NO_MEMORY 0 /* beside enum step */

enum slot_state {
	SLOT_FILLING, /* bytes of a stream come in */
	SLOT_READING,
	SLOT_READ,
	SLOT_WRITING,
	SLOT_TAIL,    /* the whole blocks are written, the rest waits for its turn */
	SLOT_WRITTEN,
	SLOT_FAILED,
};

struct slot {
	struct request req;
	struct buffer *buffer; /* NULL: the caller's memory, a hole, the scratch */
	unsigned char *data;
	uint32_t room;         /* bytes at data */
	enum slot_state state;
	bool hole;
	bool cut;              /* the source ended before it */
	bool scratch;          /* this thread's memory: over before the step is */
	uint64_t pos;          /* of the transfer */
	uint32_t len;          /* bytes wanted, then held */
	uint32_t done;         /* of them read, then written */
	uint32_t plain_from;   /* from here they went through the page cache */
	int error;
	bool read_failed;      /* not the write */
};

struct deep {
	enum deep_how how;
	int from_fd, to_fd;    /* our own, O_DIRECT; -1: none */
	uint64_t block;
	uint64_t limit;        /* of the transfer: the source had so many bytes at the start */
	unsigned copies;
	unsigned head, n, depth;
	bool stop;             /* a write failed: nothing new */
	bool plain;            /* read on through the page cache: the end, or an error is there */
	bool ended;            /* the stream gave no more */
	int ended_error;       /* and why */
	unsigned char *carry;  /* received, less than a block: begins the next piece */
	uint32_t carry_len;
	uint64_t idle_ns;      /* the stream is silent since; 0: it is not */
	bool snapshotted;
	struct holes holes;
	struct slot slots[DEEP_SLOTS];
};

static inline struct slot *deep_slot(struct deep *d, unsigned i)
{
	return &d->slots[(d->head + i) % DEEP_SLOTS];
}

static inline uint64_t deep_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t deep_down(const struct deep *d, uint64_t v)
{
	return v & ~(d->block - 1);
}

/*
 * Take what happened to the slot and start what comes next, as far as that
 * goes.  in_order: all earlier slots are read, so its write may start.
 * is_head: all earlier slots are written.
 */
void slot_advance(struct job *j, struct deep *d, struct slot *s, bool in_order, bool is_head);
void slot_read(struct job *j, struct deep *d, struct slot *s);
void slot_drop(struct job *j, struct slot *s);

/*
 * A new piece with memory, behind the others; when the engine has none, and
 * there are no others, with this thread's scratch.  NULL: no memory.
 */
struct slot *deep_new_buffered(struct job *j, struct deep *d);
/* New pieces of a stream: enum step, DEEP_NO_MEMORY. */
int deep_fill_stream(struct job *j, struct deep *d);
/* New pieces, or one plain step: enum step or a negative errno. */
int deep_fill(struct job *j, struct deep *d);

#endif
