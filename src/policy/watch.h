/* SPDX-License-Identifier: MIT */
/*
 * Looks whether a program changes a buffer while its bytes are still in the
 * pipe: memory is summed at the vmsplice and again until the pipe is read; where
 * it differs, so must what is in the pipe.
 * Not a proof of innocence: what changes and is read between two looks, or
 * changes back, is not seen.
 */
#ifndef POLICY_WATCH_H
#define POLICY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct report;
struct report_site;
struct watch; /* a thread of its own that looks every millisecond while there is something */

#define WATCH_PIECES 8

struct watch_call {
	pid_t tgid, tid;
	int pidfd;            /* of the thread; not kept */
	int fd;
	uint64_t ino;
	struct report_site *site; /* whom to blame */
	bool is_32bit;
	bool is_fifo;         /* not looked at: who opens one is seen by others; a hole */
	uint64_t iov;         /* address of the vector */
	uint64_t iov_n;
	uint64_t bytes;       /* that the call took */
};

int watch_create(struct watch **ret, struct report *r, struct err *reterr);
void watch_destroy(struct watch *w);
/* The thread stands behind a vmsplice that put bytes into the pipe. */
void watch_add(struct watch *w, const struct watch_call *c);
/*
 * The thread stands in front of a vmsplice that the kernel will carry out, and
 * nobody will see what it returns.  bytes: that were asked for; where it takes
 * less, or somebody reads before we look, it is not looked at any more.
 */
void watch_expect(struct watch *w, const struct watch_call *c);
/* A call was made that put so many bytes into a pipe (0: it took some out). */
void watch_appended(struct watch *w, uint64_t ino, uint64_t bytes);
/* The process is about to make a call: look now. */
void watch_look(struct watch *w, pid_t tgid);
/* Its memory is another one now, or none. */
void watch_forget(struct watch *w, pid_t tgid);

#endif
