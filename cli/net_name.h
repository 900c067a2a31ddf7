/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses with a limit in time, which getaddrinfo() itself lacks.
 * Not a resolver: getaddrinfo() does the work, on a thread of its own.
 */
#ifndef CLI_NET_NAME_H
#define CLI_NET_NAME_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wait.h"

/*
 * Addresses of a TCP host; *ret is the caller's, for freeaddrinfo().
 * passive: for listening.  -ETIMEDOUT, -ECANCELED, -EHOSTDOWN (no such
 * name), -ENOMEM.
 */
int net_name_resolve(struct addrinfo **ret, const char *host, uint16_t port, bool passive,
		     struct waiter *w, struct err *reterr);

#endif
