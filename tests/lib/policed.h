/* SPDX-License-Identifier: MIT */
/*
 * Runs programs of tests/programs/ under a policy, by `decant run`, and the
 * cases that have to hold under every mechanism that copies by itself.
 * Not the policies' own tables: those are unit tests.
 */
#ifndef LIB_POLICED_H
#define LIB_POLICED_H

#include <stdbool.h>
#include <sys/types.h>

#define POLICED_TEXT 65536

struct policed {
	int status;               /* as of waitpid() */
	char *out;                /* standard output; ended by 0; free() */
	char *report;             /* "" where none was asked for; likewise */
};

/*
 * mechanism NULL: natively, without decant.  words: "stab arguments": a
 * program of tests/programs/ ("/..." or "sh ..." any other), split at blanks.
 */
void policed_run(struct policed *ret, const char *mechanism, const char *policy, const char *words);
void policed_free(struct policed *p);
/* Where program-NAME is; static storage. */
const char *policed_path(const char *name);
/* `decant run ... words` as a child, standard output to *ret_out. */
pid_t policed_start(const char *mechanism, const char *policy, const char *words, int *ret_out);

/* A case for each of these. */
void policed_cases(const char *mechanism);
/* What a program prints of its last call, when the supervisor was killed before. */
void policed_orphan(const char *mechanism, const char *want, const char *what);

#endif
