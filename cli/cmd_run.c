/* SPDX-License-Identifier: MIT */
/* decant run: a program under another vmsplice and splice, and its report. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "decant.h"
#include "run_options.h"


/* As env(1) and its like: apart from what programs usually return. */
enum { RUN_FAILED = 125, RUN_NO_EXEC = 126, RUN_NOT_FOUND = 127 };

/* ------------------------------------------------------------------ signals */

static volatile sig_atomic_t run_pid;

/*
 * Signals that somebody sends to us are meant for the program.  Those that a
 * terminal sends reach it anyway.
 */
static void run_forward(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (run_pid > 0 && info->si_code <= 0)
		(void)kill((pid_t)run_pid, sig);
}

static void run_signals(void)
{
	static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
	struct sigaction act = { .sa_flags = SA_SIGINFO | SA_RESTART }, old;

	act.sa_sigaction = run_forward;
	(void)sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		if (sigaction(forwarded[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaction(forwarded[i], &act, NULL);
	(void)signal(SIGPIPE, cli_sigpipe_was);
}

static void run_started(void *arg, pid_t pid)
{
	(void)arg;
	run_pid = pid;
}

/* Die as the program died, but without a core of ours. */
static int run_pass_on(int status)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;
	int sig;

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	(void)fflush(NULL);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, sig);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(sig);
	return CLI_SIGNAL + sig;
}

/* ------------------------------------------------------------------- output */

static void run_line(void *arg, const char *text)
{
	(void)arg;
	(void)fprintf(stderr, "decant: %s\n", text);
}

/* Opened before the program runs, so that what is wrong shows then. */
static int run_open(const struct run_options *o, FILE **ret)
{
	int fd;

	*ret = NULL;
	if (!o->report)
		return 0;
	if (strcmp(o->report, "-") == 0) {
		*ret = stderr;
		return 0;
	}
	fd = open(o->report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd >= 0)
		*ret = fdopen(fd, "w");
	if (!*ret) {
		cli_error("report: %s: %s", o->report, strerror(errno));
		return -errno;
	}
	return 0;
}

static int run_write(FILE *f, const struct run_options *o, const char *text)
{
	int bad = 0;

	if (text)
		bad = fputs(text, f) < 0;
	bad |= f == stderr ? fflush(f) != 0 : fclose(f) != 0;
	if (bad)
		cli_error("report: %s: %s", o->report, strerror(errno));
	return bad ? -EIO : 0;
}

static void run_help(void)
{
	(void)printf("Usage: decant run --policy=POLICY [OPTION]... -- CMD [ARG]...\n\n"
		     "Run an unmodified program under another vmsplice, splice, tee and sendfile,\n"
		     "and report what it does with them.\n\n"
		     "Options:\n");
	options_help(stdout, run_option_rows, run_option_rows_n);
	(void)printf("\nExamples:\n"
		     "  decant run --policy=audit -- fio job.fio\n"
		     "  decant run --policy=copy-v2,nowait=kernel --report=r.txt -- make check\n\n"
		     "See decant-run(1).\n");
}

static int run_command(const struct run_options *o)
{
	struct decant_run_options options = DECANT_RUN_OPTIONS_INIT;
	struct decant_run_result result = DECANT_RUN_RESULT_INIT;
	FILE *report;
	int r;

	options.policy = o->policy;
	options.mechanism = o->mechanism;
	options.line = run_line;
	options.started = run_started;
	options.flags = o->criu ? DECANT_RUN_DUMPER : 0;
	if (run_open(o, &report) < 0)
		return RUN_FAILED;
	if (report)
		options.report = o->json ? DECANT_REPORT_JSON : DECANT_REPORT_TEXT;
	run_signals();
	r = decant_run(&options, (const char *const *)o->command, &result);
	(void)signal(SIGPIPE, SIG_IGN);
	if (r < 0)
		cli_error("%s", result.message);
	if (report && run_write(report, o, result.report) < 0 && r == 0)
		r = -EIO;
	free(result.report);
	if (r == 0)
		return run_pass_on(result.status);
	return r == -ENOENT ? RUN_NOT_FOUND : r == -EACCES || r == -ENOEXEC ? RUN_NO_EXEC :
	       r == -EINVAL ? CLI_USAGE : RUN_FAILED;
}

int cmd_run(int argc, char **argv)
{
	struct err e = { "" };
	struct run_options o;

	if (run_options_parse(&o, argc, argv, &e) < 0)
		return cli_usage("run", "%s", e.text);
	if (o.help) {
		run_help();
		return CLI_OK;
	}
	return run_command(&o);
}
