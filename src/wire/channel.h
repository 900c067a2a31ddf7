/* SPDX-License-Identifier: MIT */
/*
 * One connection, plain or in TLS: all of so many bytes, or why not.  Not a
 * buffer, and not the protocol: frame.h knows what the bytes mean.
 *
 * Nothing here waits longer than the stream's patience, whatever the peer
 * does, and a cancel_fd ends every wait.
 */
#ifndef WIRE_CHANNEL_H
#define WIRE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "wire/frame.h"
#include "wire/tls.h"

struct channel {
	int fd;                  /* -1: none */
	int cancel_fd;           /* readable: give up; -1: none */
	uint64_t patience_ns;    /* for each call below, and each MiB of it */
	uint64_t deadline_ns;    /* for all; 0: none */
	struct tls_session *tls; /* NULL: plain */
	bool tcp;
	uint64_t in_bytes, out_bytes;
	/* Takes what is in the socket's error queue (MSG_ZEROCOPY); NULL: nothing is. */
	void (*on_error)(void *arg);
	void *on_error_arg;
	/* Read with what came before it: the next header, mostly. */
	unsigned char ahead[FRAME_MAX];
	unsigned ahead_at, ahead_n;
};

#define CHANNEL_INIT { .fd = -1, .cancel_fd = -1 }

/*
 * fd becomes the stream's, also after an error.  tls NULL: plain; else the
 * handshake is made.
 */
int channel_open(struct channel *s, int fd, struct tls *tls, struct err *reterr);
void channel_close(struct channel *s);

/*
 * Errors of all: -ETIMEDOUT, -ECANCELED (cancel_fd), -ECONNRESET (the peer
 * went away within it), -EPROTO (TLS), others of sockets.
 */

/* 1: all of len; 0: the peer had ended before. */
int channel_read(struct channel *s, void *buf, size_t len, struct err *reterr);
/* As channel_read(), but the end is an error, too. */
int channel_need(struct channel *s, void *buf, size_t len, struct err *reterr);
/* As channel_need(), but nobody wants them; buf: len bytes, which it may use. */
int channel_skip(struct channel *s, void *buf, size_t len, struct err *reterr);
/* The vector is used up by it.  flags: 0 or MSG_ZEROCOPY (plain only; -ENOBUFS). */
int channel_write(struct channel *s, struct iovec *iov, unsigned n, int flags,
		 struct err *reterr);
/* Out of a pipe; plain only. */
int channel_splice(struct channel *s, int pipe_fd, uint64_t len, struct err *reterr);
/* 1: bytes came, or the end; 0: nothing within wait_ns. */
int channel_poll(struct channel *s, uint64_t wait_ns, struct err *reterr);
/* TLS: after channel_poll(): it was bytes, not the end. */
static inline bool channel_has(const struct channel *s)
{
	return s->ahead_at < s->ahead_n;
}
/* All was said; the peer sees an end, not a break. */
int channel_end(struct channel *s, struct err *reterr);
/* The peer sees a break, not an end. */
void channel_break(struct channel *s);

#endif
