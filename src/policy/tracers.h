/* SPDX-License-Identifier: MIT */
/*
 * Looks whether somebody from outside traces what runs under a filter: a tracer
 * can suspend the filter (CRIU does), and then nobody sees what is called.
 * Not a guard: it only makes that a hole in the report, and looks every few
 * milliseconds, so that who is quicker is missed.
 */
#ifndef POLICY_TRACERS_H
#define POLICY_TRACERS_H

#include <sys/types.h>

#include "base/err.h"
#include "policy/board.h"

struct report;
struct tracers; /* a thread of its own */

/* root: it and what it starts are looked at.  board: who made calls meanwhile was seen. */
int tracers_create(struct tracers **ret, struct report *r, const struct board *board, pid_t root,
		   struct err *reterr);
void tracers_destroy(struct tracers *t);

#endif
