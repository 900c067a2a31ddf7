/* SPDX-License-Identifier: MIT */
/* What `probe` is asked for.  Not the facts: the library's. */
#ifndef CLI_PROBE_OPTIONS_H
#define CLI_PROBE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "options.h"

struct probe_options {
	bool json, calibrate, help;
	uint32_t seconds;  /* 0: not said */
	const char *dir, *mask;
};

extern const struct option_row probe_option_rows[];
extern const size_t probe_option_rows_n;

/* 0; -EINVAL with a sentence.  Pure. */
int probe_options_parse(struct probe_options *ret, int argc, char *const *argv,
			struct err *reterr);

#endif
