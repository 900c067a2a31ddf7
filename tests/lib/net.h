/* SPDX-License-Identifier: MIT */
/*
 * Connected pairs to send through: TCP over loopback, over veth between two
 * network namespaces, the same slowed down, AF_UNIX, pipes, FIFOs.
 * Not the machine's network: the namespaces have no name, are made here, and
 * go with the last descriptor into them; loopback is that of a namespace too.
 */
#ifndef LIB_NET_H
#define LIB_NET_H

#include <stdbool.h>
#include <stdint.h>

enum pair_kind { PAIR_LOOPBACK, PAIR_VETH, PAIR_SLOW, PAIR_UNIX, PAIR_PIPE, PAIR_FIFO, PAIR_KINDS };

extern const char *const pair_names[PAIR_KINDS];

struct pair_options {
	uint64_t holds;     /* bytes the kernel shall hold unread (pipes: if they
			     * may); 0: its default */
	bool small;         /* the smallest buffers instead */
	bool blocking;      /* out without O_NONBLOCK */
	uint32_t rate_kbit; /* PAIR_SLOW; 0: 8 Mbit/s */
};

struct pair {
	enum pair_kind kind;
	int out; /* written to: a transfer's sink */
	int in;  /* read from; never O_NONBLOCK (use MSG_DONTWAIT or poll) */
};

/* options may be NULL.  Dies when the machine cannot make one. */
void pair_open(struct pair *ret, enum pair_kind kind, const struct pair_options *options);
void pair_close(struct pair *p);
/* The namespaces of PAIR_VETH, made now, so that all that fork later share them. */
void pair_veth_ready(void);
bool pair_is_tcp(enum pair_kind kind);
bool pair_is_pipe(enum pair_kind kind);

/* The reading side: how much there is now, and read what there is. */
uint64_t pair_waiting(const struct pair *p);
/* Up to len bytes, waiting at most wait_ms; 0: none came, -1: the end. */
int64_t pair_read(const struct pair *p, void *buf, uint64_t len, int wait_ms);
/* Close out with a reset instead of an orderly end (TCP: SO_LINGER 0). */
void pair_reset_in(struct pair *p);

#endif
