/* SPDX-License-Identifier: MIT */
/*
 * The receiver: a process of its own, so that its CPU time is not ours.
 * Not a checker: it reads everything into 256 KiB and looks at nothing.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stdint.h>

/* Before any thread is started. */
void peer_start(void);
void peer_stop(void);

/* Where this thread, and what it starts, may run: the receiver's CPU or ours. */
void peer_on_its_cpus(bool there);

/*
 * Receive from n descriptors, which the caller may close afterwards.  sleeping:
 * block for data; else poll, so that no sender pays for waking it up.
 */
void peer_receive(const int *fds, unsigned n, uint64_t total, bool sleeping);
/* Until it has got the total. */
void peer_wait(void);
/* Until it has seen the end of all descriptors and closed them. */
void peer_over(void);

#endif
