/* SPDX-License-Identifier: MIT */
#include "lib/facts.h"

#include "tap.h"

struct caps *facts_masked(const char *mask)
{
	struct err e = { "" };
	struct caps *c = NULL;
	int r = caps_create(&c, mask, &e);

	need(r == 0, "caps_create(%s): %d %s", mask ? mask : "NULL", r, e.text);
	return c;
}

const char *facts_state(enum fact_state s)
{
	return s == FACT_YES ? "yes" : s == FACT_NO ? "no" : "unknown";
}
