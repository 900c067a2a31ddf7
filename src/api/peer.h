/* SPDX-License-Identifier: MIT */
/*
 * A thread at the other side of a pipe or socket that takes bytes in, or gives
 * some out, for calibration.
 * Not part of any transfer: it has nothing to do with the engine.
 */
#ifndef API_PEER_H
#define API_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct peer;

enum peer_way {
	PEER_GIVES,  /* writes */
	PEER_TAKES,  /* reads */
	PEER_DROPS,  /* TCP: has the kernel throw the bytes away */
};

/* Takes over fd, which must block. */
int peer_create(struct peer **ret, int fd, enum peer_way way);
/* Close our side of fd first: the thread ends when its call does. */
void peer_destroy(struct peer *p);

/* Move so many bytes; the next call must be peer_wait(). */
void peer_ask(struct peer *p, uint64_t bytes);
/* 0 or negative errno: how that went. */
int peer_wait(struct peer *p);

/* CPU time of the thread up to now. */
uint64_t peer_cpu_ns(const struct peer *p);

#endif
