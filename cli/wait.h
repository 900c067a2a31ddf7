/* SPDX-License-Identifier: MIT */
/*
 * Waiting that a signal or a time-out can end: what the steps before and after
 * a transfer (connecting, accepting, a FIFO's other side) wait with.
 * Not the main loop of copy, which has more to listen to.
 */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <stddef.h>
#include <stdint.h>

struct waiter {
	int signal_fd;       /* SIGINT, SIGTERM, SIGHUP; -1: none */
	uint32_t timeout_ms; /* 0: no limit */
	int signal;          /* the one that came, or 0 */
};

/*
 * Block the signals and open the signalfd.  Those that were ignored when we
 * were started (nohup, a shell's background jobs) stay ignored.  Call it
 * before any thread is made.  0 or a negative errno.
 */
int waiter_open(struct waiter *w);
void waiter_close(struct waiter *w);

/* Take a signal that is pending, without waiting; 1 when there was one, else 0. */
int waiter_signal(struct waiter *w);

/*
 * Wait until fd (may be -1: nothing to wait for but the others) is ready.
 * 0, -ETIMEDOUT, or -ECANCELED when a signal came (w->signal names it).
 * deadline_ns: from waiter_deadline(); 0: none.
 */
int waiter_fd(struct waiter *w, int fd, short events, uint64_t deadline_ns);

/*
 * Write everything to fd, as long as a slow reader needs: no time-out, but a
 * signal ends it (-ECANCELED).  Or a negative errno.
 */
int waiter_write(struct waiter *w, int fd, const void *data, size_t len_bytes);

/* The time at which patience that starts now ends; 0: never. */
uint64_t waiter_deadline(const struct waiter *w);

/* CLOCK_MONOTONIC. */
uint64_t waiter_now_ns(void);

#endif
