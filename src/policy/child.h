/* SPDX-License-Identifier: MIT */
/*
 * The child between fork and exec.  Not the parent's part: supervise.c's.
 * The functions for mechanisms are in mechanism.h.
 */
#ifndef POLICY_CHILD_H
#define POLICY_CHILD_H

#include <signal.h>

#include "policy/mechanism.h"

#define CHILD_FAILED_STATUS 127

enum child_stage { CHILD_STAGE_MECHANISM = 1, CHILD_STAGE_EXEC };

struct child {
	struct supervise *s;
	const struct mechanism *mechanism;
	const sigset_t *mask;        /* the caller's */
	const char **script;         /* room for argv and two more */
	bool ignores_chld;           /* what the caller does, and the program then, too */
};

/* Async-signal-safe. */
void child_main(const struct child *c) __attribute__((noreturn));

#endif
