/* SPDX-License-Identifier: MIT */
/*
 * A child of the test as a victim: it runs one function of the test's, and both
 * see the same counters.  Not told what to do, as lib/forked.h's is; not a
 * program of its own, as those of lib/victims.h are.
 */
#ifndef LIB_CHILD_H
#define LIB_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* Runs fn (NULL: nothing), then waits to be killed; it is there when this returns. */
pid_t child_of(void (*fn)(void));

struct child_shared {
	_Atomic int ready, rounds, wrong;
	_Atomic int eintr, handled, other, want;
	_Atomic long gap_us;
};

/* Of the child that was begun last; the descriptor stays open over exec. */
extern struct child_shared *shared;
extern int shared_fd;
void child_map_shared(int fd);

/* Runs fn, which says that it is ready and never returns. */
pid_t child_begin(void (*fn)(void));
void child_end(pid_t pid);

/* For child_begin(): rounds of a millisecond, each counted. */
void child_rounds(void);
/* For pthread_create(): sleeps for ever, a millisecond at a time. */
void *child_sleeper(void *arg);
/* For pthread_create(): writes its TID to *arg and waits for ever. */
void *child_waiter(void *arg);

/* Within so many milliseconds: that many at least; two rounds more. */
bool child_counts_to(_Atomic int *counter, int value, unsigned ms);
bool child_goes_on(unsigned ms);
/* Nobody traces it, and it does not stand. */
bool child_is_free(pid_t pid);

#endif
