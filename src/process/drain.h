/* SPDX-License-Identifier: MIT */
/*
 * The memory of a shadow in a pipe, without a copy: the shadow's own vmsplice()
 * puts its pages there, whoever holds the other end splices them on.  Not for
 * a target that runs: its pages would change in the pipe.
 */
#ifndef PROCESS_DRAIN_H
#define PROCESS_DRAIN_H

#include <stdint.h>

#include "process/ranges.h"
#include "process/shadow.h"

/* Ranges that go into the pipe by one system call of the shadow. */
#define DRAIN_RANGES_MAX 256

struct drain {
	struct shadow *shadow;
	int fd;                  /* the end that is read, ours, not blocking */
	uint32_t size;           /* of the pipe; what begins within a page takes one of it */
	int write_fd;            /* the other end, in the shadow */
	uint64_t iov;            /* in the shadow */
};

/* In the tracer.  After an error there is nothing to close. */
int drain_open(struct drain *ret, struct shadow *s, struct err *reterr);
/*
 * Fill the pipe from [addr, addr + len), or from n ranges, one behind the
 * other; in the tracer.  Returns the bytes that went in: fewer when it is full
 * or a page cannot be read.  -EAGAIN: full from the start; -EFAULT: the first
 * page cannot be read.
 */
int64_t drain_fill(struct drain *d, uint64_t addr, uint64_t len, struct err *reterr);
int64_t drain_fill_ranges(struct drain *d, const struct range *v, size_t n, struct err *reterr);
/* Our end; the shadow's goes with it.  On any thread. */
void drain_close(struct drain *d);

#endif
