/* SPDX-License-Identifier: MIT */
/*
 * What became of the processes that a dumper took over, told in words and
 * judged.  Not how that is found out: the shim does it, inside of the dumper.
 */
#ifndef POLICY_VICTIMS_H
#define POLICY_VICTIMS_H

#include "policy/mechanism.h"
#include "policy/shared.h"

/*
 * 0: each one's calls were caught, or there was none; else -ENODATA with a
 * sentence: a dump whose calls nobody saw says nothing about the policy.
 */
int victims_judge(struct report *r, const struct shared *m, struct err *reterr);

#endif
