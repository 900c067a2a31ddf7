/* SPDX-License-Identifier: MIT */
/*
 * How a capture ended, and what one would take: told to people or as JSON.
 * Not the capture itself (cmd_core.c).
 */
#ifndef CLI_CORE_REPORT_H
#define CLI_CORE_REPORT_H

#include <stdio.h>

#include "core_options.h"
#include "decant.h"

struct core_result {
	int status;            /* what the command returns */
	int error;             /* 0, or a negative errno */
	char message[256];     /* "what: why" */
	const char *output;    /* where the core went */
	struct decant_capture_report report;
};

/* Remember the first failure. */
void core_result_fail(struct core_result *r, int error, const char *message);

/* One line for people; more of them with verbose. */
void core_report_print(FILE *f, const struct core_result *r, const struct core_options *o);
/* The object of --json, in one line. */
void core_report_json(FILE *f, const struct core_result *r, const struct core_options *o);
/* The error, and what can be done; nothing after success. */
void core_report_failure(const struct core_result *r, const struct core_options *o);

/* --explain. */
void core_plan_print(FILE *f, const struct decant_capture_plan *p, const struct core_options *o);
void core_plan_json(FILE *f, const struct decant_capture_plan *p, const struct core_options *o);

#endif
