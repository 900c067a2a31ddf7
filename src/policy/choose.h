/* SPDX-License-Identifier: MIT */
/*
 * Which mechanism carries a policy out for a program, and why.
 * Not the mechanisms: each has a file of its own.
 */
#ifndef POLICY_CHOOSE_H
#define POLICY_CHOOSE_H

#include "policy/mechanism.h"

#define CHOOSE_WHY_MAX 160

/*
 * name: "trace", ...; NULL: by need.  *ret and why, or -ENOTSUP with a
 * sentence.  command: argv[0].
 */
int choose_mechanism(const char *name, const struct policy *p, bool counted, const char *command,
		     const struct program *program, const struct mechanism **ret,
		     char why[CHOOSE_WHY_MAX], struct err *reterr);

#endif
