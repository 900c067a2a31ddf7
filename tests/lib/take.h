/* SPDX-License-Identifier: MIT */
/*
 * Have a core taken by a program (decant, or gcore as the control), wait for
 * it for so long and no longer, and keep what it said.
 * Not the library: a tool that is killed must be a process of its own.
 */
#ifndef LIB_TAKE_H
#define LIB_TAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct take {
	pid_t pid;                /* while it runs */
	int out_fd;
	int status;               /* wait status */
	bool late;                /* it did not end in time and was killed */
	uint64_t took_ns;
	char path[300];           /* the core */
	char text[4000];          /* stdout and stderr */
	uint64_t began_ns;
};

/*
 * "decant core PID -o path" with more words (may be "") and environment
 * ("NAME=value NAME=value", may be "").  $DECANT_TEST_TAKER=gcore: gcore does
 * it instead, and words and environment are nothing.
 */
void take_begin(struct take *t, pid_t pid, const char *path, const char *words,
		const char *environment);
/* A name for a core of this process in that directory, free; static. */
const char *take_path(const char *dir);
/* Wait for it.  true: exit status 0. */
bool take_end(struct take *t);
/* Both. */
bool take_core(struct take *t, pid_t pid, const char *path, const char *words,
	       const char *environment);
/* The number behind "key": in the JSON that it printed; otherwise: not there. */
uint64_t take_number(const struct take *t, const char *key, uint64_t otherwise);
/* gcore takes the cores. */
bool take_by_gcore(void);

#endif
