/* SPDX-License-Identifier: MIT */
/* The command table of decant(1).  What a command does is in its cmd_*.c. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "decant.h"
#include "guess.h"

static const struct command commands[] = {
	{ "copy", cmd_copy, "move bytes from any end to any end" },
	{ "core", cmd_core, "write a core of a running process, which hardly notices" },
	{ "dirty", cmd_dirty, "show how fast a process writes to its memory, and where" },
	{ "explain", cmd_explain, "show the plan of a copy without moving anything" },
	{ "images", cmd_images, "show, check, merge and compare CRIU memory images" },
	{ "page-server", cmd_page_server, "take memory images over the network, as CRIU's does" },
	{ "predump", cmd_predump, "copy a process's memory into CRIU images while it runs" },
	{ "probe", cmd_probe, "show what this kernel and machine can do" },
	{ "run", cmd_run, "run a program under another vmsplice and splice, and audit it" },
	{ "serve", cmd_serve, "serve a directory's files over HTTP" },
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

static const struct command *main_find(const char *name)
{
	for (size_t i = 0; i < COMMANDS_N; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int main_unknown(const char *what, const char *name)
{
	struct guess g = GUESS_INIT(name, strlen(name));

	for (size_t i = 0; i < COMMANDS_N; i++)
		guess_try(&g, commands[i].name);
	guess_try(&g, "--version");
	guess_try(&g, "--help");
	return cli_usage(NULL, "no %s is called '%s'%s%s%s", what, name,
			 g.best ? "; did you mean " : "", g.best ? g.best : "",
			 g.best ? "?" : "");
}

static void main_help(FILE *f)
{
	(void)fputs("Usage: decant COMMAND [OPTION]... [FROM TO | PID | DIR]\n\n"
		    "Move bulk data with at most one CPU copy, and say when the source may "
		    "change.\n\n"
		    "Commands:\n", f);
	for (size_t i = 0; i < COMMANDS_N; i++)
		(void)fprintf(f, "  %-12s %s\n", commands[i].name, commands[i].what);
	(void)fputs("  help         show the usage of a command\n\n"
		    "Options:\n"
		    "  -h, --help  show this\n"
		    "  --version   show the version\n\n"
		    "Examples:\n"
		    "  decant copy disk.img backup.img\n"
		    "  there$ decant copy tcp-listen:0.0.0.0:9000 disk.img --checksum\n"
		    "  here$  decant copy disk.img tcp:there:9000 --checksum --progress\n"
		    "  here$  decant explain disk.img tcp:there:9000\n"
		    "  decant core 1234 -o server.core\n"
		    "  decant run --policy=audit -- pv -q disk.img >copy\n"
		    "  decant serve /srv/www\n\n"
		    "See `decant help COMMAND`, decant(1) and, for ends, routes and guarantees,\n"
		    "decant(7).\n", f);
}

static int main_help_for(char *name)
{
	const struct command *c = main_find(name);
	char option[] = "--help", *argv[] = { name, option, NULL };

	if (strcmp(name, "help") == 0) {
		main_help(stdout);
		return CLI_OK;
	}
	return c ? c->run(2, argv) : main_unknown("command", name);
}

static int main_run(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		main_help(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("decant %s\n", decant_version());
		return CLI_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		if (argc > 2)
			return argc == 3 ? main_help_for(argv[2]) :
					   cli_usage(NULL, "help takes one command");
		main_help(stdout);
		return CLI_OK;
	}
	c = main_find(argv[1]);
	if (!c)
		return main_unknown(argv[1][0] == '-' ? "option" : "command", argv[1]);
	return c->run(argc - 1, argv + 1);
}

/*
 * Where 0, 1 or 2 is closed, our own files would take its number and be taken
 * for standard output.  Open it the wrong way round: its use is an error.
 */
static void main_fill_fds(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null",
				   (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	main_fill_fds();
	/* A reader that goes away is an error with a sentence, not a silent death. */
	cli_sigpipe_was = signal(SIGPIPE, SIG_IGN);
	return cli_flush(main_run(argc, argv));
}
