/* SPDX-License-Identifier: MIT */
/*
 * Sends memory over TCP without a CPU copy, and keeps the book on what the
 * kernel still holds: what the routes with "zc" in their names are made of.
 * Not a route, and not a reader: the bytes are in memory already.
 *
 * Memory comes in pieces (a window of a mapped file, one of the engine's
 * buffers, the caller's own).  A piece is sent by one send after the other:
 * two in flight on one stream can change places.  A piece is given back when
 * it is over and the last notification for it has come:
 *
 *	piece   |####################|          over once all of it is sent
 *	sends   [--1--][---2---][-3--]
 *	notif.      1 ........... 2 . 3   -->   unmapped, put back
 *
 * Two ways to the same: IORING_OP_SEND_ZC, whose result and notification are
 * two completions of one request; and MSG_ZEROCOPY, whose send returns at once
 * and whose notifications wait in the socket's error queue.
 *
 * Where zero copies cannot be had (the pin budget is used up, the kernel has
 * no memory to lock, a small piece, or two notifications in a row that say
 * "copied", as loopback and veth do) the bytes are sent with a plain send()
 * from the same memory: one copy, and over when it returns.
 */
#ifndef ROUTE_ZEROCOPY_H
#define ROUTE_ZEROCOPY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/job.h"
#include "route/route.h"

#define ZEROCOPY_SENDS_MAX 16
#define ZEROCOPY_PIECES_MAX 8
#define ZEROCOPY_SEND_MAX_BYTES (1u << 20)

enum zerocopy_how { ZEROCOPY_RING, ZEROCOPY_MSG };

struct zerocopy_piece {
	const unsigned char *data;
	uint64_t len_bytes;
	uint64_t done_bytes;      /* the kernel has taken them */
	unsigned held;            /* sends that it has not released */
	bool used, over;
	struct mapping *mapping;  /* given back with the piece, or NULL */
	struct buffer *buffer;    /* likewise */
};

/* One send, from its start to its notification. */
struct zerocopy_send {
	struct request r;         /* ZEROCOPY_RING only */
	struct zerocopy_piece *piece;
	uint64_t bytes;           /* the kernel took */
	uint64_t end;             /* of them, from the start of the transfer */
	uint64_t pinned_bytes;
	uint32_t order;
	bool used;
};

struct zerocopy {
	struct job *job;
	enum zerocopy_how how;
	bool takes;               /* a byte that is sent is thereby taken from the source */
	unsigned copies;          /* CPU copies before the send */
	bool plain;               /* no zero copies any more */
	bool plain_once;          /* not this time */
	bool full;                /* the socket said EAGAIN */
	bool fault;               /* EFAULT: the memory is not there (any more) */
	bool ours;                /* ZEROCOPY_MSG: we set SO_ZEROCOPY */
	unsigned copied_run;      /* notifications in a row that said "copied" */
	unsigned idle_looks;      /* at an error queue with nothing in it */
	unsigned sends_n;
	uint32_t order;
	uint64_t seen_end;        /* end of the last bytes sent or released since it was 0 */
	struct zerocopy_send *flying; /* its result is not there yet */
	struct zerocopy_send sends[ZEROCOPY_SENDS_MAX];
	struct zerocopy_piece pieces[ZEROCOPY_PIECES_MAX];
};

/*
 * For a zeroed struct.  Where MSG_ZEROCOPY cannot be had on this socket all is
 * sent plainly.  deinit gives everything back, from any state; no request may
 * be in flight.
 */
void zerocopy_init(struct zerocopy *z, struct job *j, enum zerocopy_how how, bool takes,
		   unsigned copies);
void zerocopy_deinit(struct zerocopy *z);

/* First thing in a step: take in results and notifications.  0, or the job's error. */
int zerocopy_reap(struct zerocopy *z);
/* A result is outstanding: no other send may start, and no wait is needed. */
bool zerocopy_sending(const struct zerocopy *z);
/* The kernel holds nothing any more. */
bool zerocopy_idle(const struct zerocopy *z);
/* All bytes before this one of the transfer were sent and let go of. */
uint64_t zerocopy_released_to(const struct zerocopy *z);
/* Arm the wait for the next notification; returns STEP_WAIT, or the job's error. */
int zerocopy_wait(struct zerocopy *z);

/* A piece to be filled in; NULL: all are in use, zerocopy_wait(). */
struct zerocopy_piece *zerocopy_piece(struct zerocopy *z);
/* Nothing more will be sent from it. */
void zerocopy_piece_over(struct zerocopy *z, struct zerocopy_piece *p);
/*
 * Send some of the piece, at most len_max.  STEP_MORE: some was sent, or
 * z->fault; STEP_WAIT: a request was started, or a wait is armed.
 */
int zerocopy_push(struct zerocopy *z, struct zerocopy_piece *p, uint64_t len_max);

/* For fits(): this socket and engine can, else the reason; corrects the copies. */
bool zerocopy_fits(const struct query *q, struct fit *fit, enum zerocopy_how how);

/* ----------------- between zerocopy.c and zerocopy_msg.c (and a test) only */

struct sock_extended_err;

void zerocopy_released(struct zerocopy *z, struct zerocopy_send *s, bool copied);
struct zerocopy_send *zerocopy_oldest(struct zerocopy *z);
void zerocopy_msg_init(struct zerocopy *z);
void zerocopy_msg_deinit(struct zerocopy *z);
int zerocopy_msg_reap(struct zerocopy *z);
/* A range of numbers is over: the oldest of our sends.  0, or the job's error. */
int zerocopy_msg_range(struct zerocopy *z, const struct sock_extended_err *e);
int zerocopy_msg_wait(struct zerocopy *z);

#endif
