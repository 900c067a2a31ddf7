/* SPDX-License-Identifier: MIT */
/*
 * Options of a command: one table from which the parser and --help are made.
 * Not getopt: it keeps no global state and prints nothing by itself, and a
 * long option may not be abbreviated (scripts outlive new options).
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"

enum option_type {
	OPTION_FLAG,     /* bool */
	OPTION_TEXT,     /* const char * (points into argv) */
	OPTION_SIZE,     /* uint64_t bytes: 1048576, 1M, 1MB */
	OPTION_RATE,     /* the same, but more than 0; "/s" may follow */
	OPTION_DURATION, /* uint32_t ms: 10, 1.5s, 200ms, 2m */
	OPTION_TIME,     /* uint64_t ns, likewise */
	OPTION_PAUSE,    /* the same, but the unit must be said */
	OPTION_NUMBER,   /* uint32_t, more than 0 */
	OPTION_BITS,     /* uint32_t: 51, 0x33 */
	OPTION_FD,       /* int */
	OPTION_MODE,     /* uint32_t: octal permission bits, or keep */
	OPTION_CHOICE,   /* uint32_t: index into choices */
};

/* OPTION_FD with an optional argument: none was given. */
#define OPTION_FD_NONE (-2)
/* OPTION_MODE: "keep". */
#define OPTION_MODE_KEEP UINT32_MAX

struct option_row {
	char letter;             /* 0: no short form */
	const char *name;        /* without the dashes */
	const char *arg;         /* the argument's name in --help; NULL: takes none */
	bool optional;           /* the argument is given with = or not at all */
	enum option_type type;
	size_t field;            /* offset in the command's structure */
	const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
	uint32_t fallback;       /* optional choice: the one meant without argument;
				  * number: the largest, 0: any */
	const char *help;
};

/* Short for tables: the offset of a member. */
#define OPTION_AT(type, member) offsetof(struct type, member)

/* Rows of more than one command: the same words everywhere.  AT() is the table's own. */
#define OPTION_ROW_TRACK \
	{ 0, "track", "HOW", false, OPTION_CHOICE, AT(track), option_tracks, 0, \
	  "how written pages are found: auto (default), wp (write protection) or soft-dirty" }
#define OPTION_ROW_UNSAFE \
	{ 0, "unsafe", NULL, false, OPTION_FLAG, AT(unsafe), NULL, 0, \
	  "where there is no safe way into the process take one in which decant's own death " \
	  "would kill it" }
#define OPTION_ROW_MASK \
	{ 0, "mask", "FACTS", false, OPTION_TEXT, AT(mask), NULL, 0, \
	  "do as if the kernel lacked these facts (see decant-probe(1))" }
#define OPTION_ROW_PROGRESS \
	{ 'p', "progress", "FD", true, OPTION_FD, AT(progress_fd), NULL, 0, \
	  "show a bar, on a terminal only; with FD: write N/TOTAL lines there" }
#define OPTION_ROW_JSON \
	{ 0, "json", NULL, false, OPTION_FLAG, AT(json), NULL, 0, "print the result as JSON" }
#define OPTION_ROW_QUIET \
	{ 'q', "quiet", NULL, false, OPTION_FLAG, AT(quiet), NULL, 0, "print errors only" }
#define OPTION_ROW_HELP \
	{ 'h', "help", NULL, false, OPTION_FLAG, AT(help), NULL, 0, "show this" }

/* As enum decant_track. */
extern const char *const option_tracks[];

/*
 * Parse argv[1..argc-1] into *target.  Operands are gathered, in their order,
 * in operands (room for operands_max); options may stand between them, "--"
 * ends the options, and "-" is an operand.  Returns the number of operands or
 * -EINVAL with a sentence.  Pure.
 */
int options_parse(const struct option_row *rows, size_t rows_n, int argc, char *const *argv,
		  void *target, const char **operands, int operands_max, struct err *reterr);

/* The operand PID; NULL is missing. */
int options_pid(const char *operand, pid_t *ret, struct err *reterr);

/* The options as an aligned list, wrapped at the terminal's width. */
void options_help(FILE *f, const struct option_row *rows, size_t rows_n);

#endif
