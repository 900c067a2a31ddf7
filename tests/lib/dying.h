/* SPDX-License-Identifier: MIT */
/*
 * Cases of a tool that dies, or fails, at each step of what it does to a victim
 * by calls of its own: remote_sweep() and its verdict.
 */
#ifndef LIB_DYING_H
#define LIB_DYING_H

#include "lib/remote.h"

typedef int dying_act(struct remote *, struct call *);

/* It dies, at each fifth step or at all; quick: few looks at the victim. */
void dying_sweep(const char *victim, unsigned habits, dying_act *act, bool quick);
/* Not a death, but an error at each step. */
void dying_errors(dying_act *act);
/* Registers changed in place: if this did no harm the sweep would see none. */
void dying_control(dying_act *act);

#endif
