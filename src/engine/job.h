/* SPDX-License-Identifier: MIT */
/*
 * A transfer on its way: what a route sees of the engine.
 * Not the engine itself: queues, threads and backends are behind engine.h.
 *
 * A route is a state machine.  The engine calls step() again and again, never
 * on two threads at once, until it returns STEP_DONE or a negative errno:
 *
 *	STEP_MORE  there is more to do now; others get their turn first
 *	STEP_WAIT  nothing to do before what was said by job_wait_*() happens
 *	STEP_DONE  every byte is with the sink's kernel and every request is over
 *
 * A step moves at most `quantum` bytes (see job_want), so that transfers share
 * the workers fairly.  It may block for a disk, never for a peer.
 */
#ifndef ENGINE_JOB_H
#define ENGINE_JOB_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "caps/caps.h"
#include "decant.h"
#include "end/end.h"

struct engine;
struct job;

enum step { STEP_MORE = 1, STEP_WAIT = 2, STEP_DONE = 3 };

struct job_ops {
	const char *name;
	/* Allocate job->priv, open what is needed.  0 or negative errno. */
	int (*start)(struct job *j);
	/* enum step, or a negative errno; job_fail() sets the sentence. */
	int (*step)(struct job *j);
	/* Free job->priv, from any state; no request is in flight.  May be NULL. */
	void (*finish)(struct job *j);
	/*
	 * The job failed, and its requests now have their results: account for
	 * the bytes that they moved all the same.  May be NULL.
	 */
	void (*drain)(struct job *j);
};

/* ---------------------------------------------------------------- requests */

enum request_op {
	REQUEST_POLL,    /* flags: POLLIN or POLLOUT; result: revents */
	REQUEST_READ,    /* pread(fd, addr, len, off) */
	REQUEST_WRITE,   /* pwrite(fd, addr, len, off) */
	REQUEST_SEND_ZC, /* send(fd, addr, len, flags) without a copy; uring only */
	REQUEST_FSYNC,   /* fdatasync(fd) */
};

/*
 * One asynchronous system call.  Both backends take it; the job is stepped
 * again when it completes.  Must stay in place until `done` and, for SEND_ZC,
 * `released`; the engine waits for that before finish().
 */
struct request {
	enum request_op op;
	int fd;
	void *addr;
	uint32_t len_bytes;
	uint32_t flags;     /* send flags, poll events */
	uint64_t offset;
	int buffer_index;   /* registered buffer that addr is in, or -1 */
	int64_t result;     /* bytes or negative errno, once done */
	/* Stored last, by another thread: read them with the functions below. */
	bool done;
	bool released;      /* SEND_ZC: the notification came (or none will) */
	bool copied;        /* SEND_ZC: the kernel says that it copied */
	/* engine's */
	struct job *job;
	struct request *next;
	struct list link;   /* the backend's */
	int injected;       /* tests: fails with this, and nothing is sent */
	bool in_flight;
};

#define REQUEST_INIT { .fd = -1, .buffer_index = -1 }

/* result is valid. */
static inline bool request_done(const struct request *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

/* The kernel has let go of the memory; copied is valid. */
static inline bool request_is_released(const struct request *r)
{
	return __atomic_load_n(&r->released, __ATOMIC_ACQUIRE);
}

/* A piece of the engine's buffer memory; aligned to 4096. */
struct buffer {
	unsigned char *data;
	uint32_t size_bytes;
	int index;          /* registered with the ring, or -1 */
	struct list link;
};

/* ---------------------------------------------------------------- the job */

struct job {
	struct engine *engine;
	const struct job_ops *ops;
	void *priv;             /* the route's */

	/* What was asked for; constant after submission. */
	struct end from, to;
	uint64_t len;           /* promised bytes; DECANT_TO_END: unknown */
	bool len_exact;         /* fewer than len is an error */
	uint32_t flags;         /* enum decant_transfer_flags */
	uint32_t asked;         /* guarantee that was asked for */
	uint32_t guarantee;     /* what the route gives here */
	uint32_t until;
	uint32_t copies;        /* CPU copies of the route, for the account */
	uint64_t rate_bytes;
	uint32_t stall_ms;
	uint64_t id, user_data;

	/* How far it is; bytes from the start of the transfer. */
	uint64_t taken;         /* taken from the source */
	uint64_t sent;          /* with the sink's kernel */
	uint64_t arrived;       /* known to be there, once it ended */
	uint64_t copied_bytes, cpu_copies;
	bool pages_held;        /* finish() left pages with the kernel: not certain */
	bool kernel_copied;     /* a zero-copy route was made to copy */
	uint32_t checksum;      /* enum decant_checksum */
	struct hash *hash;      /* NULL: no checksum */
	uint8_t digest[32];

	struct err err;
	int error;

	/* The engine's own; routes do not touch what is below. */
	struct job_queue *q;
};

/* --------------------------------------------------- what a route may call */

struct caps *job_caps(struct job *j);
/* io_uring is there (REQUEST_SEND_ZC, registered buffers). */
bool job_has_uring(struct job *j);

/*
 * How many bytes this step may take from the source: what is left of the
 * promised length, of the step's quantum and of the rate limit, at most max.
 * 0 with taken == len: all taken.  0 otherwise: the rate is used up, and the
 * wait for it is armed: return STEP_WAIT.
 */
uint64_t job_want(struct job *j, uint64_t max);
/* All promised bytes were taken. */
bool job_all_taken(const struct job *j);

/* Account for bytes.  job_sent: copies = CPU copies that they cost here. */
void job_took(struct job *j, uint64_t bytes);
void job_sent(struct job *j, uint64_t bytes, unsigned copies);
/*
 * MSG_MORE for a send of so many bytes?  It spares a small packet between two
 * small pieces.  Large ones it only delays (up to 200 ms, when the next piece
 * waits for room, for a notification or for the rate limit), so not for them.
 */
bool job_more(const struct job *j, uint64_t len_bytes);
/* The next bytes in order, as moved; no-op without a checksum. */
void job_hash(struct job *j, const void *data, uint64_t len_bytes);
/*
 * From now on the source may change: emits SNAPSHOTTED (once).  Routes for
 * which this is the moment the last byte was sent need not call it: STEP_DONE
 * does.  flags: 0 or DECANT_NOT_CERTAIN.
 */
void job_snapshotted(struct job *j, uint32_t flags);

/*
 * The source gave no more.  STEP_DONE where that is all right; else the error
 * "source ended at offset N, M bytes short" (-ENODATA).
 */
int job_source_ended(struct job *j);
/* Set the sentence; returns code. */
int job_fail(struct job *j, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/*
 * The sentences for a failed read of the source or write to the sink; they
 * tell a file that shrank (EFAULT from a mapping included) from a real error.
 */
int job_fail_source(struct job *j, int code);
int job_fail_sink(struct job *j, int code);

/* Say what to wait for, then return STEP_WAIT; several may be combined. */
void job_wait_source(struct job *j);   /* from.io_fd readable */
void job_wait_sink(struct job *j);     /* to.io_fd writable */
void job_wait_fd(struct job *j, int fd, short events);
void job_wait_ns(struct job *j, uint64_t ns);
/* Requests need no job_wait: each completion steps the job again. */

/* Start an asynchronous request; 0 or negative errno (then nothing is in flight). */
int job_request(struct job *j, struct request *r);
/* Requests of this job that are not over (notifications included). */
unsigned job_requests(const struct job *j);

/*
 * Memory.  job_scratch: this thread's own buffer (1 MiB, aligned), valid until
 * the step returns.  job_buffer_get: a buffer that outlives the step, NULL when
 * the engine's memory is used up (then use the scratch, or wait: put wakes).
 */
void *job_scratch(struct job *j, uint64_t *ret_size);
struct buffer *job_buffer_get(struct job *j);
void job_buffer_put(struct job *j, struct buffer *b);
/* Wait for a buffer, after job_buffer_get() gave NULL; then STEP_WAIT. */
void job_wait_buffer(struct job *j);

/* Reserve pinned bytes; false: no room now, move this piece with a copy. */
bool job_pin(struct job *j, uint64_t bytes);
void job_unpin(struct job *j, uint64_t bytes);

/*
 * A pipe from the pool: one descriptor, both ends.  -EMFILE and the like when
 * there is none.  A pipe that is put back with bytes in it is destroyed.
 */
struct pipe {
	int fd;
	uint32_t size_bytes;  /* capacity */
	uint32_t used_bytes;  /* the route keeps count */
	struct list link;
};
int job_pipe_get(struct job *j, struct pipe **ret);
void job_pipe_put(struct job *j, struct pipe *p);

/*
 * One plain piece, read into the scratch and written to the sink, which every
 * route may fall back on when a resource is used up.  Leftover of sources that
 * cannot be read again is kept by the engine and goes first next time.
 * STEP_MORE, STEP_WAIT (wait is armed), STEP_DONE, or negative errno.
 * Steps of the read-write routes are nothing but this.
 */
int job_plain_step(struct job *j, uint64_t chunk_bytes);

/*
 * A read-only shared mapping of the source, [pos, pos + *len) of the transfer,
 * kept for the next transfer of the same file.  *len_bytes: wanted, then got
 * (at least 1).  Valid until job_unmap().  NULL: *reterr negative errno.
 */
struct mapping;
const void *job_map(struct job *j, uint64_t pos, uint64_t *len_bytes, struct mapping **ret,
		    int *reterr);
void job_unmap(struct job *j, struct mapping *m);

#endif
