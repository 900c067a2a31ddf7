/* SPDX-License-Identifier: MIT */
/* What `predump` is asked for.  Not the images: the library's. */
#ifndef CLI_PREDUMP_OPTIONS_H
#define CLI_PREDUMP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "decant.h"
#include "options.h"

struct predump_options {
	pid_t pid;
	const char *dir;
	const char *parent;        /* NULL: none */
	const char *rounds_text;   /* NULL: 1, or auto with --final */
	uint32_t rounds;
	uint32_t track;            /* enum decant_track */
	uint32_t mode;             /* enum decant_predump_mode */
	uint32_t leave;            /* 0: running, 1: stopped */
	uint64_t timeout_ns, rate_bytes; /* 0: not said */
	uint64_t watch_ns;         /* 0: no watcher */
	bool stop, final, tree, clean, sync, unsafe;
	int progress_fd;           /* OPTION_FD_NONE: the bar; -1: none */
	const char *to;            /* NULL: only to dir */
	const char *tls_cert, *tls_key, *tls_ca, *tls_name;
	uint32_t header;           /* 0: found out, 1: 24, 2: 32 */
	bool insecure;
	const char *mask;
	bool json, quiet, verbose, help;
};

extern const struct option_row predump_option_rows[];
extern const size_t predump_option_rows_n;

/*
 * Parse a whole command line.  0; -EINVAL with a sentence.  With help set
 * nothing else is.  Pure.
 */
int predump_options_parse(struct predump_options *ret, int argc, char *const *argv,
			  struct err *reterr);

/* As the library wants them; the callbacks are the caller's. */
void predump_options_library(const struct predump_options *o, struct decant_predump_options *ret);

void predump_options_help(void);

#endif
