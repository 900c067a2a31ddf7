/* SPDX-License-Identifier: MIT */
/*
 * Sockets as ends: connecting, listening for one peer, names to addresses.
 * Not a protocol: the bytes that go over them are not looked at.
 */
#ifndef CLI_NET_H
#define CLI_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wait.h"

/* "[ffff:...:ffff%interface]:65535" */
#define NET_NAME_MAX 96

/*
 * All of these return a non-blocking, close-on-exec socket, or a negative
 * errno with a sentence.  Waiting ends with -ETIMEDOUT or -ECANCELED (wait.h).
 */
int net_tcp_connect(const char *host, uint16_t port, struct waiter *w, struct err *reterr);
int net_unix_connect(const char *path, struct waiter *w, struct err *reterr);

/* host "": loopback.  port 0: any; name (may be NULL): what it became. */
int net_tcp_listen(const char *host, uint16_t port, char name[NET_NAME_MAX], uint16_t *ret_port,
		   struct waiter *w, struct err *reterr);
int net_unix_listen(const char *path, struct err *reterr);

/* One peer; the listening socket stays the caller's. */
int net_accept(int listen_fd, struct waiter *w, struct err *reterr);

/*
 * Two connected TCP sockets over loopback, for planning: nothing is sent.
 */
int net_tcp_pair(int ret[2], struct err *reterr);

/* Whose address it is.  Names other than localhost are not looked up. */
enum net_locality { NET_LOCAL, NET_REMOTE, NET_ASSUMED_REMOTE };
enum net_locality net_locality(const char *host);

/* The kernel's own limit of a socket's rate; harmless where it has none. */
void net_pace(int fd, uint64_t rate_bytes);

/*
 * All was sent: say so.  What the peer said meanwhile (a request, say) is
 * thrown away: else the kernel would answer our close() with a reset, and the
 * peer take what it has for a part.
 */
void net_finish(int fd);

/*
 * Break the connection so that a TCP peer sees a reset instead of an end: a
 * part must not look like the whole.
 */
void net_abort(int fd);

#endif
