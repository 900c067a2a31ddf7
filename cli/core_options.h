/* SPDX-License-Identifier: MIT */
/* What `core` is asked for.  Not the capture: the library's. */
#ifndef CLI_CORE_OPTIONS_H
#define CLI_CORE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "decant.h"
#include "end_spec.h"
#include "options.h"

/* core_options.filter: the target's own. */
#define CORE_FILTER_NONE UINT32_MAX

struct core_options {
	pid_t pid;
	const char *output;        /* NULL: core.PID */
	char own_name[24];         /* that */
	struct end_spec to;
	uint32_t strategy;         /* enum decant_strategy */
	uint64_t pause_max_ns, timeout_ns, rate_bytes; /* 0: not said */
	uint32_t filter;           /* bits of coredump_filter, or CORE_FILTER_NONE */
	uint32_t compress;         /* 0: none, 1: zstd */
	bool all, best_effort, unsafe, force, explain;
	int progress_fd;           /* OPTION_FD_NONE: the bar; -1: none */
	const char *mask;
	bool json, quiet, verbose, help;
};

extern const struct option_row core_option_rows[];
extern const size_t core_option_rows_n;

/*
 * Parse a whole command line.  0; -EINVAL with a sentence.  With help set
 * nothing else is.  Pure; *ret is not to be moved afterwards.
 */
int core_options_parse(struct core_options *ret, int argc, char *const *argv,
		       struct err *reterr);

/* As the library wants them; the callback is the caller's. */
void core_options_capture(const struct core_options *o, struct decant_capture_options *ret);

/* The name of enum decant_strategy. */
const char *core_strategy_name(uint32_t strategy);

void core_options_help(void);

#endif
