/* SPDX-License-Identifier: MIT */
/*
 * Pages of a shadow on their way into a file without a copy: a few pipes, each
 * filled by the shadow's own vmsplice() and emptied by a splice() that goes on
 * meanwhile (io_uring), past the page cache where the file allows that.  Not
 * for pages that the shadow cannot read itself: those are read as usual.
 *
 *	while ((n = siphon_fill(s, v, k, &err)) > 0)
 *		siphon_put(s, offset, &err)
 *	siphon_flush(s, &err)
 */
#ifndef CAPTURE_SIPHON_H
#define CAPTURE_SIPHON_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "caps/caps.h"
#include "process/ranges.h"
#include "process/shadow.h"
#include "process/tracer.h"

/* Each is one descriptor of ours, whatever the size of the target. */
#define SIPHON_PIPES 4
/* Ranges of one siphon_fill() that count. */
#define SIPHON_RANGES 256

struct siphon;

/* fd: of a file, stays the caller's; -1: all goes by siphon_fd(). */
int siphon_open(struct siphon **ret, struct caps *caps, struct tracer *tr, struct shadow *s,
		int fd, struct err *reterr);
/*
 * Fill a pipe, waiting for a free one, from ranges one behind the other.
 * Returns the bytes that went in; 0: the first page cannot be had this way.
 */
int64_t siphon_fill(struct siphon *s, const struct range *v, size_t n, struct err *reterr);
/* What was filled last, to offset of the file; it need not be there yet. */
int siphon_put(struct siphon *s, uint64_t offset, struct err *reterr);
/* The pipe that was filled last, for a caller who empties it himself. */
int siphon_fd(const struct siphon *s);
/* How much a pipe takes at most. */
uint64_t siphon_size(const struct siphon *s);
/* All that was put is in the file. */
int siphon_flush(struct siphon *s, struct err *reterr);
/* Waits for what is in flight.  NULL is fine. */
void siphon_close(struct siphon *s);

#endif
