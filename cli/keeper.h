/* SPDX-License-Identifier: MIT */
/*
 * A process in the background that keeps track of what another one writes, so
 * that later calls of `predump` are incremental; and talking to it, by a socket
 * whose name follows from the user and the process.  Not for other users: both
 * sides look at who the other is.
 */
#ifndef CLI_KEEPER_H
#define CLI_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "decant.h"
#include "predump_options.h"

/* Of this layout of questions and answers. */
#define KEEPER_MAGIC (0xdeca1000u + (unsigned)sizeof(struct keeper_answer))

enum keeper_what { KEEPER_IMAGE, KEEPER_STOP };

struct keeper_ask {
	uint32_t magic, what;    /* enum keeper_what */
	uint32_t flags;          /* enum decant_predump_flags */
	uint32_t mode;           /* enum decant_predump_mode */
	uint64_t timeout_ns, rate_bytes;
	char dir[4000];          /* absolute */
	char parent[4000];       /* the same; "": as it follows */
};

enum keeper_kind { KEEPER_PROGRESS, KEEPER_DONE };

struct keeper_answer {
	uint32_t magic, kind;    /* enum keeper_kind */
	int32_t result;
	uint32_t reserved;
	uint64_t bytes, expected_bytes;
	struct decant_predump_round round;
	struct decant_predump_report report;
};

/* The socket of the one that watches pid; -ENOENT: nobody does. */
int keeper_find(pid_t pid, struct err *reterr);
/*
 * Become one: forks, and in the child never returns.  *ret: a socket to it.
 * It watches when that says so: the first answer is of no image.
 */
int keeper_start(const struct predump_options *o, int *ret, struct err *reterr);
int keeper_send(int fd, const struct keeper_ask *ask, struct err *reterr);
/* The next answer; -EPIPE: it has gone. */
int keeper_answer(int fd, struct keeper_answer *ret, struct err *reterr);
/* dir, which need not exist, from the root.  -ENAMETOOLONG, -ENOENT, ... */
int keeper_path(char *ret, size_t size, const char *dir);

#endif
