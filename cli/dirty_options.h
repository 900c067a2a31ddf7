/* SPDX-License-Identifier: MIT */
/* What `dirty` is asked for.  Not the tracking: the library's. */
#ifndef CLI_DIRTY_OPTIONS_H
#define CLI_DIRTY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "decant.h"
#include "options.h"

struct dirty_options {
	pid_t pid;
	uint64_t interval_ns;
	const char *for_text;
	uint64_t for_ns;         /* 0: until it is interrupted */
	const char *svg;         /* NULL: none */
	uint64_t bandwidth_bytes, pause_max_ns; /* 0: not said */
	uint32_t track;          /* enum decant_track */
	bool force, ranges, unsafe, json, quiet, help;
	const char *mask;
};

extern const struct option_row dirty_option_rows[];
extern const size_t dirty_option_rows_n;

/* Parse a whole command line.  0; -EINVAL with a sentence.  With help set nothing else is. */
int dirty_options_parse(struct dirty_options *ret, int argc, char *const *argv,
			struct err *reterr);
/* As the library wants them. */
void dirty_options_library(const struct dirty_options *o, struct decant_dirty_options *ret);
void dirty_options_help(void);

#endif
