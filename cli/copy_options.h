/* SPDX-License-Identifier: MIT */
/*
 * What `copy` and `explain` are asked for: both take the same words, so that
 * one can be put in the place of the other.
 * Not the ends themselves: those are parsed by end_spec.c, opened by end_open.c.
 */
#ifndef CLI_COPY_OPTIONS_H
#define CLI_COPY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "decant.h"
#include "end_spec.h"
#include "options.h"

#define COPY_NOT_SAID UINT64_MAX
/* The library takes no more. */
#define COPY_WORKERS_MAX 64
/* copy_options.mode: as cp does. */
#define COPY_MODE_DEFAULT (OPTION_MODE_KEEP - 1)

struct copy_options {
	bool live, direct, sync, verify;
	const char *route;
	uint64_t offset, length, to_offset; /* COPY_NOT_SAID */
	uint64_t rate_bytes;                /* 0: no limit */
	uint32_t checksum;                  /* enum decant_checksum */
	uint32_t until;                     /* enum decant_until */
	uint32_t backend;                   /* enum decant_backend */
	uint32_t workers, timeout_ms;       /* 0: not said */
	uint32_t mode;                      /* permission bits, KEEP or DEFAULT */
	bool force, in_place, partial;
	int progress_fd;                    /* OPTION_FD_NONE: the bar; -1: none */
	int events_fd;                      /* -1: none */
	const char *mask;
	bool json, quiet, verbose, help;

	struct end_spec from, to;
};

extern const struct option_row copy_option_rows[];
extern const size_t copy_option_rows_n;

/*
 * Parse a whole command line (argv[0] is the command).  0; -EINVAL with a
 * sentence.  With help set the ends may be missing.  Pure.
 */
int copy_options_parse(struct copy_options *ret, int argc, char *const *argv, struct err *reterr);

/* The fields of a transfer that do not depend on opened ends. */
void copy_options_transfer(const struct copy_options *o, struct decant_transfer *ret);

/* The names of all routes, for --route help. */
void copy_options_routes(void);

/* The first line and the options, for --help. */
void copy_options_help(const char *command, const char *what);

#endif
