/* SPDX-License-Identifier: MIT */
/*
 * How a predump ended: told to people or as JSON.  Not the predump itself
 * (cmd_predump.c).
 */
#ifndef CLI_PREDUMP_REPORT_H
#define CLI_PREDUMP_REPORT_H

#include <stdio.h>

#include "decant.h"
#include "predump_options.h"

#define PREDUMP_IMAGES_MAX 256

struct predump_result {
	int status;            /* what the command returns */
	int error;             /* 0, or a negative errno */
	char message[256];     /* "what: why" */
	struct decant_predump_report report;
	struct decant_predump_round images[PREDUMP_IMAGES_MAX];
	size_t images_n;
	bool watched;          /* made by the watcher: one image of a longer chain */
};

/* Remember the first failure. */
void predump_result_fail(struct predump_result *r, int error, const char *message);
/* One line for people; more of them with verbose. */
void predump_report_print(FILE *f, const struct predump_result *r,
			  const struct predump_options *o);
/* The object of --json, in one line. */
void predump_report_json(FILE *f, const struct predump_result *r,
			 const struct predump_options *o);
/* The error, and what can be done; nothing after success. */
void predump_report_failure(const struct predump_result *r, const struct predump_options *o);

#endif
