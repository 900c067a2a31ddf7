/* SPDX-License-Identifier: MIT */
/*
 * splice(2) and vmsplice(2) that never block for the other end of a pipe and
 * never raise SIGPIPE.  Not for sockets in blocking mode.
 */
#ifndef ROUTE_QUIET_H
#define ROUTE_QUIET_H

#include <stdbool.h>
#include <stdint.h>

#include "end/end.h"

/* -EPIPE without a signal, -EAGAIN. */
int64_t quiet_splice(int from_fd, uint64_t *from_off, int to_fd, uint64_t *to_off, uint64_t len);
int64_t quiet_vmsplice(int fd, const void *addr, uint64_t len);
/*
 * From a socket into a pipe.  The kernel looks at the socket's own mode there,
 * not at SPLICE_F_NONBLOCK (tcp_splice_read): one in blocking mode is asked
 * before.
 */
int64_t quiet_splice_socket(const struct end *from, int to_fd, uint64_t len);
bool quiet_readable(int fd);

#endif
