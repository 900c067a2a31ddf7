/* SPDX-License-Identifier: MIT */
/*
 * The file of a program that is to be started: where it is and what kind.
 * Not what it will do: it may execute any other.
 */
#ifndef POLICY_PROGRAM_H
#define POLICY_PROGRAM_H

#include "policy/mechanism.h"

/*
 * As execvp() would find it.  0, and ret->path: that file; or a negative errno
 * with a sentence (-ENOENT, -EACCES, ...).
 */
int program_find(const char *name, struct program *ret, struct err *reterr);

#endif
