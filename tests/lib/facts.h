/* SPDX-License-Identifier: MIT */
/*
 * The facts of this machine for a test, some of them masked.
 * Not the facts themselves: those are caps/caps.h.
 */
#ifndef LIB_FACTS_H
#define LIB_FACTS_H

#include "caps/caps.h"

#define FACTS_EACH(f) (enum fact f = FACT_NONE + 1; f < FACT_MAX; f++)

/* mask: as $DECANT_MASK, NULL for none.  Must succeed; to be destroyed. */
struct caps *facts_masked(const char *mask);
const char *facts_state(enum fact_state s);

#endif
