/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void (*cli_sigpipe_was)(int);

void cli_error(const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout);
	(void)fputs("decant: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

void cli_hint(const char *text)
{
	if (text)
		(void)fprintf(stderr, "  hint: %s\n", text);
}

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout);
	(void)fputs("decant: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n  hint: decant help%s%s lists what can be said\n",
		      command ? " " : "", command ? command : "");
	return CLI_USAGE;
}

int cli_flush(int status)
{
	int error;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	error = errno ? errno : EIO;
	(void)fprintf(stderr, "decant: standard output: %s\n", strerror(error));
	return status == CLI_OK ? CLI_FAILED : status;
}

static const struct {
	int code;
	const char *advice;
} cli_advices[] = {
	{ -ENOSPC, "make room, or write to another file system" },
	{ -EDQUOT, "the quota is used up: make room, or write elsewhere" },
	{ -EFBIG, "the sink's file system or `ulimit -f` allows no larger file" },
	{ -EPIPE, "the reader went away before it had everything; look at its own message" },
	{ -ECONNRESET, "the peer broke off; look at its own message" },
	{ -ECONNREFUSED, "nobody listens there yet: start the receiver first" },
	{ -ETIMEDOUT, "the other side stands still or is absent; --timeout sets the patience" },
	{ -ENODATA, "the source is shorter than asked, or shrank meanwhile; without --length "
		    "decant copies what there is" },
	{ -ENOTSUP, "`decant explain` with the same words shows every route and its reason" },
	{ -EEXIST, "--force replaces it, --in-place writes into it" },
	{ -EACCES, "the permissions of the file or of its directory forbid it" },
	{ -EROFS, "the file system is mounted read-only" },
	{ -ENOMEM, "raise `ulimit -l`, or move less at once" },
	{ -EMFILE, "raise `ulimit -n`" },
	{ -ENXIO, "a socket's path needs unix:PATH; a device may be absent" },
	{ -EBUSY, "it is mounted or otherwise in use; --force writes to it nevertheless" },
	{ -EADDRINUSE, "another program listens there; take another port, or remove the stale "
		       "socket file" },
	{ -EADDRNOTAVAIL, "that address is not one of this host's" },
	{ -ENETUNREACH, "there is no way to that network" },
	{ -EHOSTUNREACH, "there is no way to that host" },
	{ -EISDIR, "name the file in the directory" },
	{ -ETXTBSY, "the file is being executed; without --in-place it can be replaced" },
};

const char *cli_advice(int code)
{
	for (size_t i = 0; i < sizeof(cli_advices) / sizeof(cli_advices[0]); i++)
		if (cli_advices[i].code == code)
			return cli_advices[i].advice;
	return NULL;
}
