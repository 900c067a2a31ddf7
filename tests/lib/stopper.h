/* SPDX-License-Identifier: MIT */
/*
 * Stop a process again and again, by the library's own stop or barely, and look
 * at it while it stands.  Not a capture: nothing is read from it.
 */
#ifndef LIB_STOPPER_H
#define LIB_STOPPER_H

#include <stdint.h>
#include <sys/types.h>

#include "process/stop.h"
#include "process/tracer.h"

struct stopper {
	struct caps *caps;
	struct tracer *tracer;
	struct target *target;
	struct stop stop;
	struct err err;
	uint64_t timeout_ns;      /* 100 ms */
	/* Called in the tracer while all stand still; not 0 ends stopper_run(). */
	int (*look)(struct stopper *k, void *arg);
	void *look_arg;
	unsigned stops, late;     /* that stood; that timed out */
	uint64_t pause_min_ns, pause_max_ns, pauses_ns;
};

/* Dies where the target cannot be opened. */
void stopper_open(struct stopper *k, pid_t pid);
/* One stop; its error. */
int stopper_once(struct stopper *k);
/* So many stops, gap_us apart on average, late ones tried again; the first other error. */
int stopper_run(struct stopper *k, unsigned times, unsigned gap_us);
void stopper_close(struct stopper *k);

/* SEIZE, INTERRUPT, DETACH of a process of one thread, and no more. */
int stopper_bare(struct stopper *k, pid_t pid);

/* State letter of a thread, 0: there is none. */
char stopper_state(pid_t pid, pid_t tid);
/* Wait until a thread is in that state. */
bool stopper_becomes(pid_t pid, pid_t tid, char state, unsigned ms);

#endif
