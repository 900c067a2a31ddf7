/* SPDX-License-Identifier: MIT */
/*
 * A victim that is a fork of the test and does what it is told, call by call:
 * addresses and functions are the same on both sides.  Not for victims that
 * have a life of their own: those are programs, tests/victims.
 */
#ifndef LIB_FORKED_H
#define LIB_FORKED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/target.h"

/* Room for mappings at a fixed address, far from all others (and AddressSanitizer's). */
#define FORKED_AT ((char *)0x200000000000)

struct forked {
	pid_t pid;
	int ask, answer;
	struct caps *caps;
	struct target *target;   /* after forked_open() */
};

/* mask: of the facts, as $DECANT_MASK; NULL for none. */
void forked_start(struct forked *f, const char *mask);
/* fn(arg) in the victim; what it returns.  arg: in memory from before the fork, or a number. */
long forked_do(struct forked *f, long (*fn)(uintptr_t arg), uintptr_t arg);
/* The same without waiting; forked_wait() is for its result. */
void forked_begin(struct forked *f, long (*fn)(uintptr_t arg), uintptr_t arg);
long forked_wait(struct forked *f);
/* target_open(), which must succeed. */
struct target *forked_open(struct forked *f);
void forked_end(struct forked *f);

/* In the victim: a mapping at FORKED_AT + at; else it exits. */
char *forked_put(size_t at, size_t len, int prot, int flags);

#endif
