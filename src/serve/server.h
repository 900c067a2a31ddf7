/* SPDX-License-Identifier: MIT */
/*
 * What the files of this directory share: a server, its workers, connections
 * and the requests in flight.  Not for other layers: those have <decant.h>.
 *
 * A worker is one thread in one loop.  It shares nothing that changes with the
 * others but struct serve_shared, which lies in memory that processes made by
 * fork() share, too: a worker may be a thread or a process, and may die.
 *
 *	idle --recv--> head complete --exchange_begin--> sending --> idle
 *	                                  |   ^
 *	                     cold, engine +---+ ENDED
 */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "decant.h"
#include "serve/head.h"
#include "serve/limit.h"
#include "serve/mime.h"
#include "serve/names.h"
#include "serve/path.h"
#include "serve/request.h"

#define SERVE_WORKERS_MAX 256
/* One turn of one connection: others wait no longer than this takes. */
#define SERVE_QUANTUM_BYTES (256u << 10)
/* Of one whom nobody waits for: a larger send wakes up fewer people. */
#define SERVE_ALONE_BYTES (1u << 20)
/* Requests of one connection in one turn. */
#define SERVE_QUANTUM_REQUESTS 16
#define SERVE_INPUT_BYTES (64u << 10)
/* One transfer of the engine, for what is not in memory. */
#define SERVE_ENGINE_BYTES (8u << 20)
/* Pages of our own that wait to be sent, in all. */
#define SERVE_TEXT_MAX_BYTES (64u << 20)

struct engines;
struct keep;
struct journal;

/* In shared memory; a worker writes only its own, but for the limits. */
struct serve_worker_state {
	_Atomic uint32_t connections;
	_Atomic uint64_t requests, sent_bytes;
	_Atomic uint64_t log_lost;
};

struct serve_shared {
	struct limit limit;
	struct serve_worker_state workers[SERVE_WORKERS_MAX];
};

struct decant_server {
	struct decant_serve_options o;
	int dir_fd;                   /* of what is served, O_PATH */
	char *single;                 /* the name of the one file; NULL: the directory */
	char *mask;
	uint32_t workers_n;
	int listen_fds[SERVE_WORKERS_MAX]; /* -1: none yet */
	struct mime *mime;
	struct limits limits;
	struct serve_shared *shared;
	struct sockaddr_storage address; /* as bound */
	/* Of this process. */
	_Atomic int wake_fds[SERVE_WORKERS_MAX]; /* -1: that worker does not run here */
	_Atomic uint32_t stopping;    /* 1: finish what is in flight; 2: now */
	_Atomic uint64_t stop_ns;     /* when 1 becomes 2 */
};

/* A request and how far its answer is. */
struct exchange {
	struct list link;             /* free ones of the worker */
	struct request request;
	uint64_t begun_ns;
	uint16_t status;
	bool keep_alive;
	bool cut;
	uint32_t head_len;
	uint64_t sent;                /* head and all */
	/* Text that goes first: head, page, head of a part. */
	char head[HEAD_BYTES_MAX];
	const char *text;             /* head, page.data or a constant */
	size_t text_len, text_at;
	struct buf page;
	uint32_t page_held;           /* counted in worker.text_bytes */
	/* Then bytes of the file, [at, end). */
	int fd;                       /* -1: none */
	struct name *name;            /* whose fd is; NULL: ours */
	uint64_t dev, ino, size;
	bool quiet;                   /* it was not changed lately */
	uint64_t at, end;
	uint32_t read;                /* all of it, and in the scratch, until the first turn ends */
	uint32_t want;                /* how much to read ahead of a send */
	/* Then the next part, if there are several. */
	struct range *parts;
	unsigned parts_n, parts_at;
	const char *type;
	char boundary[HEAD_BOUNDARY_BYTES];
	struct decant *engine;        /* that has it, where engine_id is not 0 */
	uint64_t engine_id;           /* 0: not with an engine */
	int error;                    /* why the file could not be read; 0: it could */
	uint64_t error_at;
	struct limit_client *client;
};

enum conn_list { LIST_IDLE, LIST_HEAD, LIST_SEND, LIST_LINGER, LISTS_N };

struct conn {
	struct list timed;            /* of one list of the worker, oldest first */
	struct list ready;            /* has work to do now, or sleeps for the rate */
	uint64_t deadline_ns;
	uint64_t wake_ns;             /* of a sleeper */
	int fd;
	bool readable;                /* there may be input that was not read */
	bool ended;                   /* the client will send no more */
	bool partial;                 /* what was kept is no whole head */
	bool broken;                  /* close as soon as the engine has let go of it */
	bool sleeping, closing, dead;
	uint8_t on;                   /* enum conn_list */
	uint16_t port;
	uint8_t family;               /* AF_INET, AF_INET6 */
	unsigned char address[16];
	uint32_t in_len, in_at;
	size_t scanned;
	char *in;                     /* bytes that were read and not used yet; NULL: none */
	struct exchange *x;           /* NULL: between requests */
};

struct worker {
	struct decant_server *server;
	struct serve_worker_state *state;
	uint32_t number;
	int epoll_fd, listen_fd, wake_fd;
	struct engines *engines;
	struct keep *keep;
	struct names *names;          /* NULL: files are opened each time */
	struct journal *journal;
	struct list lists[LISTS_N];   /* by deadline: each list has one time-out */
	struct list ready;            /* turns to be had now */
	struct list sleepers;         /* for the rate */
	struct list dead;             /* closed in this turn of the loop */
	struct list free_exchanges;
	unsigned free_exchanges_n;
	unsigned conns_n, conns_max;
	bool listening, stopping;
	uint64_t accept_again_ns;     /* 0: not waiting for descriptors */
	uint64_t now_ns;              /* of this turn */
	int64_t real_ns;              /* by the wall clock */
	int64_t real_base_ns;
	uint64_t real_at_ns;          /* when it was asked for */
	char date[32];
	int64_t date_s;
	uint64_t text_bytes;          /* pages of our own in flight */
	uint64_t boundaries;          /* that were made, from a number that nobody knows */
	char *input;                  /* SERVE_INPUT_BYTES and a head */
	char *scratch;                /* SERVE_QUANTUM_BYTES */
	bool reads;                   /* all of what is asked for now is wanted: read it at once */
	struct err err;
};

/* Of the loop: worker.c */
/* It moves to the end of that list, with a new deadline. */
void worker_time(struct worker *w, struct conn *c, enum conn_list on);
void worker_ready(struct worker *w, struct conn *c);
void worker_sleep(struct worker *w, struct conn *c, uint64_t wait_ns);
/* Closes one that waits for its next request, or only for its end; false: there is none. */
bool worker_make_room(struct worker *w);

/* conn.c */
void conn_accept(struct worker *w);
void conn_event(struct worker *w, struct conn *c, uint32_t events);
/* Its turn: read, answer, send on. */
void conn_turn(struct worker *w, struct conn *c);
void conn_engine_ended(struct worker *w, struct conn *c, const struct decant_event *e);
void conn_expired(struct worker *w, struct conn *c);
void conn_close(struct worker *w, struct conn *c);
/* "127.0.0.1", "::1". */
void conn_address(const struct conn *c, char ret[INET6_ADDRSTRLEN]);

/* exchange.c */
/*
 * Decide on the answer to a request and make its head.  data: where the head
 * lies.  NULL: no memory, close.
 */
struct exchange *exchange_begin(struct worker *w, struct conn *c, const struct request *r);
/* An answer without a request that could be read: 408 and the like. */
struct exchange *exchange_refuse(struct worker *w, struct conn *c, unsigned status);
/* Logs it and frees it. */
void exchange_end(struct worker *w, struct conn *c);
void exchange_free(struct worker *w, struct exchange *x);
/* Instead of what was to be sent; 0 or negative errno. */
int exchange_fail(struct worker *w, struct exchange *x);

/* body.c */
enum body_step {
	BODY_DONE,      /* all is with the kernel */
	BODY_MORE,      /* could go on; others have their turn first */
	BODY_WAIT,      /* for room in the socket */
	BODY_SLEEP,     /* for the rate; the sleep is armed */
	BODY_ENGINE,    /* for the engine */
	BODY_FAILED,    /* it cannot be read, and nothing has been sent yet */
	BODY_BROKEN,    /* close: the peer is gone, or the file is not what was promised */
};
enum body_step body_step(struct worker *w, struct conn *c);

#endif
