/* SPDX-License-Identifier: MIT */
/* What `run` is asked for.  Not the policy: the library reads that. */
#ifndef CLI_RUN_OPTIONS_H
#define CLI_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "options.h"

struct run_options {
	const char *policy, *report; /* report NULL: not said */
	uint32_t mechanism;          /* enum decant_mechanism */
	bool json, criu, help;
	char *const *command;        /* the program and its arguments; NULL with help only */
};

extern const struct option_row run_option_rows[];
extern const size_t run_option_rows_n;

/* 0; -EINVAL with a sentence.  Pure. */
int run_options_parse(struct run_options *ret, int argc, char *const *argv, struct err *reterr);

#endif
