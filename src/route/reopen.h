/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of our own for the file behind an end, through /proc/self/fd.
 * Not duplicates: flags and position are not shared with the caller's.
 *
 * Closing one drops the POSIX record locks (fcntl F_SETLK) that this process
 * holds on the file, as any close of any of its descriptors does; OFD locks
 * stay.  So they are opened only by routes that cannot do without.
 */
#ifndef ROUTE_REOPEN_H
#define ROUTE_REOPEN_H

#include "engine/job.h"

/* For reading, nothing special. */
int reopen_read(const struct end *e);
/*
 * With O_DIRECT; for reading a source, for writing a sink.  -EOPNOTSUPP, with
 * the job's sentence, whatever the reason: another route may do.
 */
int reopen_direct(struct job *j, const struct end *e);

#endif
