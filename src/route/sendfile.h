/* SPDX-License-Identifier: MIT */
/*
 * sendfile(2) into a socket, and what it and splice(2) have in common: pages
 * on their way are the file's own, and there is no MSG_DONTWAIT.
 * Not a promise about the pages: that is each route's.
 */
#ifndef ROUTE_SENDFILE_H
#define ROUTE_SENDFILE_H

#include "engine/job.h"
#include "route/route.h"

/*
 * One sendfile(2) of the transfer's next bytes from fd; never blocks for the
 * peer, raises no SIGPIPE.  The bytes, 0 at the file's end, or negative errno.
 */
int64_t sendfile_piece(struct job *j, int fd, uint64_t want);
/* Account for that result: STEP_*, or the job's error. */
int sendfile_result(struct job *j, int64_t n);
/*
 * All was taken, or the source gave no more.  Where its own pages are on their
 * way, a file that has shrunk by now is an error, though it may be too late for
 * the reader and too early for a cut that is still to come: LIVE.
 */
int sendfile_end(struct job *j);
/* sendfile(2) or splice(2) do not work on such descriptors; a copy will. */
bool sendfile_cannot(int64_t n);

/* Refuses sockets in blocking mode: one call could wait for the peer for hours. */
bool sendfile_fits_sink(const struct query *q, struct fit *fit, const char *call);
/*
 * LIVE, or STABLE where the source cannot change; refuses otherwise when
 * STABLE was asked for.
 *
 * A read lease does not help.  It keeps writers away from the file while we
 * hold it, and we would have to hold it until the peer has read the last byte:
 * until then the pages are in a queue (ours, or on this host, behind loopback
 * or veth, the peer's), and what is written to the file shows in them.  The
 * kernel tells when bytes are acknowledged, not when they are read.  And a
 * writer gets the file after lease-break-time, whoever still needs it.
 */
bool sendfile_fits_source(const struct query *q, struct fit *fit);

#endif
