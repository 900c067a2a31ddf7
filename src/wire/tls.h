/* SPDX-License-Identifier: MIT */
/*
 * TLS with certificates on both sides, by GnuTLS: what CRIU speaks with its
 * page server.  Not a stream: whoever uses it waits (wire/channel.h does).
 *
 * GnuTLS is loaded when it is asked for the first time; programs that never
 * speak TLS do not pay for it, nor need it.
 *
 * A struct tls is for any thread; a session for one.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "decant.h"

struct tls;
struct tls_session;

/* o: NULL is plain, and leaves *ret alone; names are not kept.  server: we are it. */
int tls_open(struct tls **ret, const struct decant_tls *o, bool server, struct err *reterr);
/* NULL is fine. */
void tls_close(struct tls *t);

/* fd: a connected socket that does not block; stays the caller's. */
int tls_session_open(struct tls_session **ret, struct tls *t, int fd, struct err *reterr);
void tls_session_close(struct tls_session *s);

/*
 * These give -EAGAIN where they must wait: for *ret_events (POLLIN or POLLOUT),
 * then call again with the same arguments.  Not to be called after an error.
 */
int tls_handshake(struct tls_session *s, short *ret_events, struct err *reterr);
/* 0: the peer has said that it ends.  -ECONNRESET: it ended without saying so. */
ssize_t tls_recv(struct tls_session *s, void *buf, size_t len, short *ret_events,
		 struct err *reterr);
ssize_t tls_send(struct tls_session *s, const void *buf, size_t len, short *ret_events,
		 struct err *reterr);
/* Say that we end. */
int tls_end(struct tls_session *s, short *ret_events, struct err *reterr);

#endif
