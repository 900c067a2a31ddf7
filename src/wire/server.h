/* SPDX-License-Identifier: MIT */
/*
 * A page server and its connections: what server.c, connection.c and store.c
 * share.  Not the public face (decant.h), nor the protocol (frame.h).
 *
 * One thread accepts, and one is there for each connection, so that nobody
 * waits for anybody.  Memory is shared out: each connection has a little of
 * its own, and may borrow more while there is.
 */
#ifndef WIRE_SERVER_H
#define WIRE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/err.h"
#include "base/list.h"
#include "decant.h"
#include "dump/dir.h"
#include "wire/channel.h"
#include "wire/tls.h"

#define SERVER_MEMORY_BYTES (40u << 20)
#define SERVER_CONNECTIONS 64u
#define SERVER_CONNECTIONS_MAX 256u
#define SERVER_PATIENCE_NS UINT64_C(60000000000)

/* CRIU's page server begins here, so that images of shared memory do not meet it. */
#define SERVER_PAGES_ID 0x10001u

struct decant_page_server {
	struct decant *d;
	struct decant_page_server_options o;
	char *path;              /* NULL: DISCARD */
	int listen_fd;
	int wake_fd, cancel_fd;  /* eventfds: look again; give up */
	atomic_bool stop;
	struct tls *tls;
	struct dir *house;       /* keeps others out, and holds the parent link */
	struct decant_page_server_report report;
	uint64_t number;
	struct list connections; /* of the accepting thread */
	unsigned active;

	pthread_mutex_t lock;    /* of what is below */
	bool kept;               /* something was committed: house stays */
	uint64_t lent_bytes;
	unsigned last;           /* image of a chain that is complete */
};

/* Where the pages of a connection go: one pagemap after the other. */
struct store {
	struct decant_page_server *s;
	struct dir *d;           /* NULL: nothing was opened yet, or DISCARD */
	struct dir_pages *pages; /* NULL: none is open */
	enum dir_kind kind;
	uint64_t id;
	bool open, parent;
	unsigned image;          /* of a chain; 0: not looked for yet, or no chain */
	struct writer *writer;
	struct writer_buffer *buffer;
	uint32_t buffer_bytes, at;
	unsigned buffers;
	uint64_t lent_bytes;
	uint64_t offset, ahead;  /* in the file: of buffer; room that was made */
	uint64_t stored_bytes;
	uint32_t pagemaps;
	uint64_t present_pages, parent_pages;
	unsigned char *own;      /* DISCARD: where bytes go */
};

struct connection {
	struct list link;
	struct decant_page_server *s;
	struct channel channel;
	struct store store;
	pthread_t thread;
	atomic_bool over;
	uint64_t begin_ns;
	struct decant_page_connection told;
};

/* connection.c: all of one, on its own thread; told says how it ended. */
void connection_serve(struct connection *c);

/* store.c */
void store_init(struct store *t, struct decant_page_server *s);
/* A pagemap begins; *ret_parent: the image before has one, too. */
int store_open(struct store *t, enum dir_kind kind, uint64_t id, bool *ret_parent,
	       struct err *reterr);
/* Has the image before one of that? */
int store_has_parent(struct store *t, enum dir_kind kind, uint64_t id, bool *ret,
		     struct err *reterr);
/* An entry of the pagemap that is open; PRESENT: its pages are read from the stream. */
int store_entry(struct store *t, const struct criu_entry *e, struct channel *from,
		struct err *reterr);
/* All is there. */
int store_commit(struct store *t, struct err *reterr);
/* Throws away what was not committed. */
void store_close(struct store *t);

/* server.c: memory that is not a connection's own; 0: none is left. */
uint64_t server_borrow(struct decant_page_server *s, uint64_t most_bytes);
void server_give_back(struct decant_page_server *s, uint64_t bytes);
/* Of each connection. */
uint32_t server_own_bytes(const struct decant_page_server *s);
/* An image is complete; 0: it has no number. */
void server_kept(struct decant_page_server *s, unsigned image);
/* Of a chain: the last that became complete; 0: none. */
unsigned server_last(struct decant_page_server *s);

/* house.c: opens s->house, if there is to be one. */
int server_house(struct decant_page_server *s, struct err *reterr);
/* The highest number that is there. */
int server_images(struct decant_page_server *s, unsigned *ret);

#endif
