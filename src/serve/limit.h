/* SPDX-License-Identifier: MIT */
/*
 * How many bytes may be sent now, in all and to one address.  Not a queue: who
 * may not, asks again at the time that it is told.  The table may lie in memory
 * that several processes share; there are no locks in it.
 */
#ifndef SERVE_LIMIT_H
#define SERVE_LIMIT_H

#include <stdint.h>

#define LIMIT_CLIENTS 4096

struct limit_client {
	_Atomic uint64_t key;       /* 0: free */
	_Atomic uint64_t due_ns;    /* when all that was sent would have been, at the rate */
};

struct limit {
	_Atomic uint64_t due_ns;    /* of all */
	struct limit_client clients[LIMIT_CLIENTS];
};

struct limits {
	struct limit *shared;
	uint64_t rate;              /* bytes per second in all; 0: no limit */
	uint64_t client_rate;       /* of one client; 0: no limit */
};

/*
 * The client's place; NULL: no limit for clients.  key: not 0.  When all places
 * are taken by others, one is shared.
 */
struct limit_client *limit_client(const struct limits *l, uint64_t key, uint64_t now_ns);
/* At most want.  0: not before *ret_wait_ns have gone by. */
uint64_t limit_take(const struct limits *l, struct limit_client *c, uint64_t want, uint64_t now_ns,
		    uint64_t *ret_wait_ns);
/* They were not sent after all. */
void limit_return(const struct limits *l, struct limit_client *c, uint64_t bytes);

#endif
