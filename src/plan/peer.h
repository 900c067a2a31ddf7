/* SPDX-License-Identifier: MIT */
/*
 * A thread at the other side of a pipe or socket that takes bytes in, or gives
 * some out, for calibration.
 * Not part of any transfer: it has nothing to do with the engine.
 */
#ifndef PLAN_PEER_H
#define PLAN_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct peer;

/* Takes over fd, which must block.  gives: writes to it, else reads from it. */
int peer_create(struct peer **ret, int fd, bool gives);
/* Close our side of fd first: the thread ends when its call does. */
void peer_destroy(struct peer *p);

/* Move so many bytes; the next call must be peer_wait(). */
void peer_ask(struct peer *p, uint64_t bytes);
/* 0 or negative errno; the CPU time that it took the thread. */
int peer_wait(struct peer *p, uint64_t *ret_cpu_ns);

#endif
