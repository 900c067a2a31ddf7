/* SPDX-License-Identifier: MIT */
/*
 * Pages on their way to a page server: decant_remote_open() makes one, and
 * dump/remote.h is how it is used.  What its two files share; not for others.
 *
 *	client.c       connections, messages, buffers
 *	client_zc.c    sends without a copy: what the kernel still holds
 */
#ifndef WIRE_CLIENT_H
#define WIRE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "api/api.h"
#include "decant.h"
#include "dump/remote.h"
#include "wire/frame.h"
#include "wire/channel.h"
#include "wire/tls.h"

#define CLIENT_BUFFERS 4
#define CLIENT_BATCH 256

struct client_buffer {
	struct remote_buffer b;
	bool used;               /* the caller has it */
	uint32_t held;           /* sends of it that the kernel has not let go of */
};

struct client {
	struct decant_remote remote;
	struct decant *d;
	struct decant_remote_options o;
	struct tls *tls;
	struct channel channel;
	unsigned header_bytes;   /* 0: not known yet */
	unsigned images;         /* that were committed */
	bool foreign;            /* the first one had a parent already: one that is not ours */
	enum dir_kind kind;      /* of the pagemap that is open */
	uint64_t id;

	/* Messages that are not sent yet, and the pages that go with them. */
	unsigned char headers[CLIENT_BATCH][FRAME_MAX];
	struct iovec iov[2 * CLIENT_BATCH];
	unsigned headers_n, iov_n;

	void *memory;
	struct client_buffer buffers[CLIENT_BUFFERS];

	bool zc;                 /* sends without a copy are worth a try */
	unsigned zc_copied;      /* notifications in a row that said "copied" */
	/* Whose they are, in the order in which they were sent. */
	struct client_buffer *zc_queue[64];
	unsigned zc_first, zc_n;
};

/* For a new connection. */
void client_zc_begin(struct client *c);
/* Send these bytes of b without a copy, or with one. */
int client_zc_send(struct client *c, struct client_buffer *b, void *data, uint64_t len,
		   struct err *reterr);
/* Take notifications that are there. */
void client_zc_reap(struct client *c);
/* Wait for one. */
int client_zc_wait(struct client *c, struct err *reterr);
/* The connection is gone, and with it whatever it held. */
void client_zc_end(struct client *c);

#endif
