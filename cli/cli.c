/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decant.h"

void (*cli_sigpipe_was)(int);

/* A name may hold anything: what is no text stays on its line and off the terminal. */
static void cli_put(const char *fmt, va_list ap)
{
	char *text;

	(void)fflush(stdout);
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	(void)fputs("decant: ", stderr);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '\n')
			(void)fputs("\\n", stderr);
		else if (*p < 0x20 || *p == 0x7f)
			(void)fprintf(stderr, "\\x%02x", *p);
		else
			(void)fputc(*p, stderr);
	}
	(void)fputc('\n', stderr);
	free(text);
}

void cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cli_put(fmt, ap);
	va_end(ap);
}

void cli_hint(const char *text)
{
	if (text)
		(void)fprintf(stderr, "  hint: %s\n", text);
}

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cli_put(fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "  hint: decant help%s%s lists what can be said\n",
		      command ? " " : "", command ? command : "");
	return CLI_USAGE;
}

bool cli_mask_ok(const char *mask)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant *d = NULL;
	bool ok;

	if (!mask)
		return true;
	options.mask = mask;
	options.backend = DECANT_BACKEND_THREADS;
	ok = decant_open(&d, &options) != -EINVAL;
	decant_close(d);
	if (!ok) {
		cli_error("--%s", decant_strerror(NULL));
		cli_hint("decant probe lists the facts");
	}
	return ok;
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
	{ -EHOSTDOWN, "is the name right?  `getent hosts NAME` asks in the same way" },
	{ -EADDRNOTAVAIL, "that address is not one of this host's" },
	{ -ENETUNREACH, "there is no way to that network" },
	{ -EHOSTUNREACH, "there is no way to that host" },
	{ -ENOENT, "nothing has that name; a directory must be there before its files" },
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
