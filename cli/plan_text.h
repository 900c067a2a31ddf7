/* SPDX-License-Identifier: MIT */
/* A plan told to people, or as JSON.  Not the planner: the library's. */
#ifndef CLI_PLAN_TEXT_H
#define CLI_PLAN_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "decant.h"

struct plan_text {
	const char *from, *to;       /* as they were given */
	const char *from_assumed;    /* what stands in for an end, or "" */
	const char *to_assumed;
	const struct decant_plan *plan;
	bool verbose;                /* list routes for other kinds of ends, too */
	int error;                   /* no route fits: plan holds only refusals */
	const char *message;
};

void plan_text_print(FILE *f, const struct plan_text *t);
void plan_text_json(FILE *f, const struct plan_text *t);

#endif
