/* SPDX-License-Identifier: MIT */
/*
 * The table of facts: one row each, in the order of enum fact.
 * Not what was found out: that is in struct caps.
 */
#ifndef CAPS_FACTS_H
#define CAPS_FACTS_H

#include "caps/caps.h"

#define FACT_NEEDS_MAX 2

struct probe;

struct fact_row {
	const char *name, *what;
	void (*probe)(struct caps *c, struct probe *p);
	enum fact needs[FACT_NEEDS_MAX]; /* without these it is not even tried */
	bool no_is_a_promise;            /* and must not come from a lack of them */
};

extern const struct fact_row fact_table[FACT_MAX];

#endif
