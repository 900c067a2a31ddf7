/* SPDX-License-Identifier: MIT */
/*
 * What the parts of victim-blocker share.  Not of any other victim.
 */
#ifndef VICTIMS_BLOCKER_H
#define VICTIMS_BLOCKER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct block {
	uint64_t wait_ns;         /* of a call with a time-out, or until somebody wakes it */
	int fd[2];                /* read from the first */
	int id;                   /* of System V things, epoll, ... */
	uint32_t word;            /* a futex */
	uint64_t sent, received;  /* what a waker says */
};

extern struct block block;

struct blocker {
	const char *name;         /* NULL: the table's end */
	void (*setup)(void);
	int (*once)(void);
	bool timed;               /* never comes back before wait_ns */
	void (*end)(void);
};

/* Calls with a time-out; calls that somebody ends. */
extern const struct blocker blockers_timed[], blockers_woken[];

/* A call gave what it must not: EINTR is counted apart. */
int block_wrong(const char *call, long got, int error);
struct timespec block_time(void);
int block_ms(void);

/* What calls of both kinds need. */
void setup_epoll(void);
void setup_pipe(void);
void setup_usr1(void);

#endif
