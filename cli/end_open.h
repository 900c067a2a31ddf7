/* SPDX-License-Identifier: MIT */
/*
 * Opening of ends, in two steps: what is here first (files, listening
 * sockets), then what must be waited for (peers, the other side of a FIFO).
 * Not their syntax (end_spec.c), not the bytes (the library).
 */
#ifndef CLI_END_OPEN_H
#define CLI_END_OPEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "copy_options.h"
#include "decant.h"
#include "memory.h"
#include "net.h"
#include "out_file.h"
#include "wait.h"

struct end_open {
	const struct end_spec *spec;
	bool sink;
	bool plan_only;        /* for explain: create, connect and change nothing */

	int fd;                /* -1: none (yet) */
	bool own_fd;           /* close it */
	int listen_fd;         /* -1: none */
	bool unlink_socket;    /* unix-listen: the path is ours to remove */
	char listening[NET_NAME_MAX]; /* tcp-listen: "127.0.0.1:40001"; else "" */
	uint16_t listen_port;
	bool wait_fifo;        /* a sink to be opened when somebody reads it */
	bool truncate;         /* in place: empty the file before the first byte */
	struct stat st;        /* of fd, or of what is at the path; st_mode 0: unknown */
	struct memory memory;
	struct out_file out;   /* out.fd >= 0: fd is its */
	int stand_in;          /* explain: the other side of a connection of our own */
	char assumed[160];     /* explain: what was assumed, a sentence, or "" */

	struct decant_end end; /* after end_open_connect() */
};

/*
 * Step one.  0 or a negative errno with a sentence; end_open_close() is to be
 * called in any case.  o must outlive *ret.
 */
int end_open_prepare(struct end_open *ret, const struct end_spec *spec, bool sink, bool plan_only,
		     const struct copy_options *o, struct waiter *w, struct err *reterr);

/*
 * Both are the same file and would be overwritten while it is read: -EINVAL.  The
 * source ends before --offset: -ENODATA.
 */
int end_open_check_same(const struct end_open *from, const struct end_open *to,
			const struct copy_options *o, struct err *reterr);

/* Step two.  Also -ETIMEDOUT and -ECANCELED. */
int end_open_connect(struct end_open *e, const struct copy_options *o, struct waiter *w,
		     struct err *reterr);

/* Bytes that the source will give as far as can be told now, or DECANT_TO_END. */
uint64_t end_open_expected(const struct end_open *from, const struct copy_options *o);

/*
 * Errors that some file systems (NFS) keep until a descriptor is closed.
 * Devices and streams have none.
 */
int end_open_flush(const struct end_open *e, struct err *reterr);

/*
 * Let go of everything, from any state; unfinished files vanish.  aborted: the
 * transfer did not succeed, so a TCP peer is shown a reset.
 */
void end_open_close(struct end_open *e, bool aborted);

/* --- end_path.c */

/* Paths: step one, and what is left of step two. */
int end_path_prepare(struct end_open *e, const struct copy_options *o, struct err *reterr);
int end_path_connect(struct end_open *e, struct waiter *w, struct err *reterr);

/* --- end_plan.c */

/* What stands in for peers and FIFOs when nothing may be touched. */
int end_plan_socket(struct end_open *e, struct err *reterr);
int end_plan_pipe(struct end_open *e, struct err *reterr);
int end_plan_file(struct end_open *e, struct err *reterr);

#endif
