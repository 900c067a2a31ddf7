/* SPDX-License-Identifier: MIT */
/*
 * sendfile, splice, tee and vmsplice as the kernel carries them out, but for one
 * thing: the bytes are copied while the call lasts.  Not a decision which calls
 * these are (decide.h), and not a way to make system calls: whoever is at work,
 * the preload shim in the program itself or the supervisor beside it, lends its
 * own.  No allocation, no libc, nothing static: safe in signal handlers.
 *
 * Results: bytes, or a negative errno, or MOVE_NATIVE: nothing has been done,
 * and the kernel itself has the right answer (an error of the arguments).
 * Nothing is taken from a source that did not reach the sink.
 */
#ifndef POLICY_MOVE_H
#define POLICY_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MOVE_NATIVE INT64_MIN
/* What the kernel moves in one call at most. */
#define MOVE_MAX 0x7ffff000u

struct move {
	/* A system call as it is: >= 0 or a negative errno. */
	long (*call)(long nr, long a, long b, long c, long d, long e, long f);
	/*
	 * Wait, as a blocking call of the program would: until the pipe has room
	 * (or no reader), has data (or no writer), until the socket takes more
	 * (-EAGAIN after timeout_ms; -1: no limit).  0, or -errno when the call is
	 * to end (-EINTR, or the restart that a signal asks for).
	 */
	int (*room)(struct move *m, int out);
	int (*data)(struct move *m, int in);
	int (*drain)(struct move *m, int out, int timeout_ms);
	/*
	 * Nobody reads any more, and the program gets a SIGPIPE for it; raised: the
	 * kernel has sent one to the thread that is at work here.
	 */
	void (*broken)(struct move *m, bool raised);
	unsigned char *buf;  /* aligned to 4096 */
	size_t size;         /* of it, a multiple of 4096 */
	bool waits;          /* a call may block: signals end or restart it as the program's own */
	void *private;
};

/*
 * The file's position is *pos, which is moved on; size_bytes as fstat says.
 * stream: it matters not how the bytes are cut (move_is_stream()).
 */
int64_t move_file_pipe(struct move *m, int in, int64_t *pos, int out, uint64_t len, bool nonblock);
int64_t move_file_socket(struct move *m, int in, int64_t *pos, int out, uint64_t len,
			 uint64_t size_bytes, bool stream);
bool move_is_stream(struct move *m, int out);
int64_t move_tee(struct move *m, int in, int out, uint64_t len, bool nonblock);

/*
 * What fits into the pipe now: pwritev2(RWF_NOWAIT).  ideal: also where the
 * kernel says EOPNOTSUPP to that (a FIFO, an end that went through splice).
 */
int64_t move_put(struct move *m, int out, const struct iovec *iov, unsigned n, bool ideal);
/* All slots are taken, though the last page may have room; and somebody reads. */
bool move_is_full(struct move *m, int out);
/* What the pipe has now: preadv2(RWF_NOWAIT). */
int64_t move_get(struct move *m, int in, const struct iovec *iov, unsigned n, bool ideal);

#endif
