/* SPDX-License-Identifier: MIT */
/* What `serve` is asked for.  Not the serving: the library's. */
#ifndef CLI_SERVE_OPTIONS_H
#define CLI_SERVE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "decant.h"
#include "options.h"

struct serve_options {
	const char *path;
	const char *listen;
	uint32_t workers, connections_max;         /* 0: not said */
	uint32_t idle_ms, head_ms, stall_ms, grace_ms;
	uint64_t rate_bytes, client_rate_bytes;
	const char *user;
	const char *log;                           /* "-": standard output; "none" */
	uint32_t log_format;                       /* 0: common, 1: json */
	const char *types;
	bool no_listing, hidden, follow, no_precompressed;
	const char *mask;
	bool quiet, help;
};

extern const struct option_row serve_option_rows[];
extern const size_t serve_option_rows_n;

/*
 * Parse a whole command line.  0; -EINVAL with a sentence.  With help set
 * nothing else is.  Pure.
 */
int serve_options_parse(struct serve_options *ret, int argc, char *const *argv,
			struct err *reterr);

/* As the library wants them. */
void serve_options_library(const struct serve_options *o, int log_fd,
			   struct decant_serve_options *ret);

void serve_options_help(void);

#endif
