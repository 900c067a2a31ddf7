/* SPDX-License-Identifier: MIT */
/*
 * Is a core of the victim "counter" that of one instant?  Computes from its
 * counters what each page must hold, and from each writer's instruction
 * pointer which of its stores were done.
 * Not for other programs' cores.
 */
#ifndef LIB_ORACLE_H
#define LIB_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/corefile.h"

struct oracle {
	uint64_t pages;           /* looked at */
	uint64_t torn;            /* do not hold what they must */
	uint64_t missing;         /* are not in the core */
	uint64_t threads;
	uint64_t registers;       /* writers that stood in code where their registers are known */
	uint64_t between;         /* of them: in the middle of a step */
	uint64_t wrong;           /* registers that do not agree with memory */
	uint64_t churned;         /* 1: a mapping that comes and goes was there, and looked at */
	char what[200];           /* the first thing that is wrong */
};

/* true: nothing is wrong. */
bool oracle_check(const struct corefile *c, struct oracle *ret);
bool oracle_check_file(const char *path, struct oracle *ret);

#endif
