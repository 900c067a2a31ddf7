/* SPDX-License-Identifier: MIT */
/*
 * Starts a program under a policy and stays until nobody is left who needs the
 * supervisor.  Not a mechanism: it carries out one.
 */
#ifndef POLICY_SUPERVISE_H
#define POLICY_SUPERVISE_H

#include <sys/types.h>

#include "policy/mechanism.h"

struct supervise_request {
	struct policy policy;
	bool counted, dumper;
	const char *const *argv;
	const struct mechanism *mechanism;
	const struct program *program;
	struct report *report;
	/* Called when the program runs, on the supervisor's thread; may be NULL. */
	void (*started)(void *arg, pid_t pid);
	void *arg;
};

/*
 * Blocks.  0 and *ret; or a negative errno with a sentence, and the program
 * does not run (any more).  -ENODATA: it has ended as *ret says, and what a
 * dumper did was not seen.
 */
int supervise(const struct supervise_request *q, struct ended *ret, struct err *reterr);

#endif
