/* SPDX-License-Identifier: MIT */
/*
 * target_open() of one process after another, and what came of it.
 * Not for targets that must open: see forked_open().
 */
#ifndef LIB_OPENING_H
#define LIB_OPENING_H

#include "process/target.h"

/* Made by the first that needs them, gone by opening_end(). */
extern struct caps *opening_caps;

/* Open and close; its result.  Points: a sentence with an error, no descriptor left. */
int opening_try(pid_t pid, struct err *e);
/* Points: this error, and each of the words between bars. */
void opening_refused(pid_t pid, int code, const char *words);
/* child_end(), and the facts. */
void opening_end(pid_t pid);

#endif
