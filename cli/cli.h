/* SPDX-License-Identifier: MIT */
/*
 * What the commands of decant(1) share: the table, exit statuses, messages.
 * Not a library: everything here may print, nothing here is linked elsewhere.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

enum {
	CLI_OK = 0,
	CLI_FAILED = 1,  /* fewer bytes than promised, or an error */
	CLI_USAGE = 2,   /* the command line was wrong; nothing was touched */
	CLI_SIGNAL = 128, /* + the signal's number */
};

struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the status */
	const char *what;                  /* one line for `decant help` */
};

int cmd_copy(int argc, char **argv);
int cmd_core(int argc, char **argv);
int cmd_dirty(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_images(int argc, char **argv);
int cmd_page_server(int argc, char **argv);
int cmd_predump(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);

/* What SIGPIPE did before main() had it ignored; a program that we start gets that back. */
extern void (*cli_sigpipe_was)(int);

/* "decant: what: why" on stderr. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What to do about it, on a line of its own; NULL prints nothing. */
void cli_hint(const char *text);
/* cli_error(), then where the usage is told.  Returns CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether --mask names facts only; says it where not.  NULL: it was not given. */
bool cli_mask_ok(const char *mask);
/*
 * Write out what stdio still holds for stdout.  A full disk or a closed pipe
 * shows only here: returns CLI_FAILED (and says why) then, else status.
 */
int cli_flush(int status);

/* What a person can do about a negative errno, or NULL. */
const char *cli_advice(int code);

#endif
