/* SPDX-License-Identifier: MIT */
/*
 * The shim: a library that is preloaded into a program and takes the place of
 * libc's vmsplice, splice, tee, sendfile and copy_file_range under a policy.
 * Not a sandbox: a program that makes system calls by itself is not seen.
 *
 * After the start nothing here allocates, takes a lock or waits for another
 * process, so that it can be called from signal handlers, after fork() and in
 * the child of vfork(), in any thread.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "policy/decide.h"
#include "policy/move.h"
#include "policy/shared.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

/* libc's own, for what passes: they are cancellation points. */
struct shim_next {
	ssize_t (*vmsplice)(int fd, const struct iovec *iov, size_t n, unsigned flags);
	ssize_t (*splice)(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
			  unsigned flags);
	ssize_t (*tee)(int in, int out, size_t len, unsigned flags);
	ssize_t (*copy_file_range)(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
				   unsigned flags);
	long (*ptrace)(enum __ptrace_request request, ...);
};

struct shim {
	struct policy policy;
	bool on;                /* there is a policy: else all passes */
	bool counted;
	struct shared *shared;  /* NULL: nobody counts */
	uint32_t program;       /* index in shared->programs; SHARED_PROGRAMS: none */
	uint64_t pipe_dev;      /* st_dev of pipes that have no name */
	void *no_access;        /* a page that cannot be read or written */
	struct shim_next next;
};

/* Set up before main(), or by the first call that comes even earlier. */
extern struct shim shim;
void shim_start(void);

/* -------------------------------------------------------------- ends.c */

struct shim_end {
	struct policy_end end;
	uint64_t size_bytes;  /* of a file */
	uint64_t ino;         /* of a pipe */
	bool stream;          /* a socket: of type SOCK_STREAM */
};
void shim_look(int fd, struct shim_end *ret);
/* The same, quicker where it is a socket. */
void shim_look_socket(int fd, struct shim_end *ret);
/* Pipe ends that went through the kernel's splice(). */
void shim_spliced(const struct shim_end *e, bool write_end);

/* ------------------------------------------------------------- count.c */

/* One call, from its first instruction on. */
struct shim_call {
	struct policy_event event;
	struct policy_verdict verdict;
	const void *ip;       /* where it returns to */
	int fd;               /* that sentences name */
	uint64_t start_ns;
};
void shim_begin(struct shim_call *c, enum policy_call call, const void *ip);
/* r: bytes or a negative errno. */
void shim_count(const struct shim_call *c, uint64_t asked_bytes, int64_t r);

/* ------------------------------------------------------------ buffer.c */

/* Sets m->buf and m->size; the slot to give back, or -1: none is free. */
int shim_buffer_begin(struct move *m);
void shim_buffer_end(int slot);

/* -------------------------------------------------------------- wait.c */

/* How the calling thread waits and makes system calls. */
void shim_move_init(struct move *m);
/* 0, or -EFAULT; safe for any address.  They look at 8 bytes. */
int shim_read_off(int64_t *ret, const int64_t *off);
int shim_write_off(int64_t *off, int64_t value);

/* ------------------------------------------------- wrap.c, vmsplice.c */

/* The calls; ip: where they return to in the program.  Bytes or a negative errno. */
int64_t shim_sendfile(int out, int in, int64_t *off, size_t count, const void *ip);
int64_t shim_splice(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
		    unsigned flags, const void *ip);
int64_t shim_tee(int in, int out, size_t len, unsigned flags, const void *ip);
int64_t shim_range(int in, int64_t *off_in, int out, int64_t *off_out, size_t len,
		   unsigned flags, const void *ip);
int64_t shim_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags, const void *ip);

/* Nothing is to be done with such a call. */
bool shim_passes(enum policy_call call);

/* libc's way to say it. */
static inline ssize_t shim_return(int64_t r)
{
	if (r >= 0)
		return (ssize_t)r;
	errno = (int)-r;
	return -1;
}

/* And back, errno as it was before. */
static inline int64_t shim_raw_return(ssize_t r, int error_before)
{
	int error = errno;

	errno = error_before;
	return r < 0 ? -error : r;
}

/* ----------------------------------------------------------- numbers.c */

void shim_numbers_start(void);

/* -------------------------------------------------------------- exec.c */

/* What children need, from this process's own start. */
void shim_exec_start(const char *library, const char *env, const char *env_policy);

#endif
