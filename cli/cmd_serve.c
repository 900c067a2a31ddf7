/* SPDX-License-Identifier: MIT */
/* decant serve: opens what needs rights, gives them up, and lets the workers run. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "serve_master.h"
#include "serve_options.h"
#include "text.h"

/* -1: none, -2: could not be opened. */
static int serve_log(const char *log)
{
	int fd;

	if (strcmp(log, "none") == 0)
		return -1;
	if (strcmp(log, "-") == 0)
		return STDOUT_FILENO;
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd >= 0)
		return fd;
	cli_error("log: %s: %s", log, strerror(errno));
	cli_hint(cli_advice(-errno));
	return -2;
}

/* Descriptors are what connections are made of. */
static void serve_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static int serve_user_failed(const char *user, const char *what)
{
	cli_error("user: %s: %s: %s", user, what, strerror(errno));
	if (errno == EPERM)
		cli_hint("only root can become somebody else");
	return -1;
}

/* For good: all three identities, and the groups. */
static int serve_become(const char *spec)
{
	char *user = strdup(spec), *colon;
	const struct passwd *pw;
	const struct group *gr = NULL;
	int r = -1;

	if (!user)
		return serve_user_failed(spec, "memory");
	colon = strchr(user, ':');
	if (colon)
		*colon++ = '\0';
	pw = getpwnam(user);
	if (colon)
		gr = getgrnam(colon);
	if (!pw || (colon && !gr))
		cli_error("user: %s: there is no such %s", spec, pw ? "group" : "user");
	else if (initgroups(pw->pw_name, gr ? gr->gr_gid : pw->pw_gid) < 0)
		r = serve_user_failed(spec, "groups");
	else if (setgid(gr ? gr->gr_gid : pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		r = serve_user_failed(spec, "cannot become it");
	else if (pw->pw_uid != 0 && setuid(0) == 0)
		cli_error("user: %s: the old rights can be had again", spec);
	else
		r = 0;
	free(user);
	return r;
}

static void serve_tell(const struct serve_options *o, const struct decant_serve_report *report)
{
	char *path = realpath(o->path, NULL);

	(void)fprintf(stderr, "Serving %s at http://%s/ (%u worker%s; Ctrl-C ends it)\n",
		      path ? path : o->path, report->address, report->workers,
		      report->workers == 1 ? "" : "s");
	free(path);
}

static void serve_tell_end(const struct decant_server *server)
{
	struct decant_serve_report report = DECANT_SERVE_REPORT_INIT;
	char sent[TEXT_NUMBER_MAX];

	if (decant_serve_status(server, &report) < 0)
		return;
	(void)fprintf(stderr, "%llu request%s, %s sent\n", (unsigned long long)report.requests,
		      report.requests == 1 ? "" : "s", text_bytes(sent, report.sent_bytes));
	if (report.lost_lines)
		(void)fprintf(stderr, "%llu lines of the log are lost: its reader was too slow\n",
			      (unsigned long long)report.lost_lines);
}

static int serve_open_failed(int r, const char *message)
{
	if (r == -EINVAL)
		return cli_usage("serve", "%s", message);
	cli_error("%s", message);
	if (r == -EACCES && strncmp(message, "listen: ", strlen("listen: ")) == 0)
		cli_hint("ports below 1024 need CAP_NET_BIND_SERVICE, or root and then --user");
	else if (r != -ENOTSUP)
		cli_hint(cli_advice(r));
	return CLI_FAILED;
}

static int serve_command(const struct serve_options *o)
{
	struct decant_serve_report report = DECANT_SERVE_REPORT_INIT;
	struct serve_master m = { .grace_ms = o->grace_ms, .quiet = o->quiet };
	struct decant_serve_options options;
	bool worker = false;
	int r, status = CLI_FAILED;

	m.log_fd = serve_log(o->log);
	if (m.log_fd == -2)
		return CLI_FAILED;
	m.log = m.log_fd > STDERR_FILENO ? o->log : NULL;
	serve_descriptors();
	serve_options_library(o, m.log_fd, &options);
	r = decant_serve_open(&m.server, &options, &report);
	if (r < 0) {
		status = serve_open_failed(r, report.message);
	} else if (!o->user || serve_become(o->user) == 0) {
		m.workers_n = report.workers;
		if (!o->quiet)
			serve_tell(o, &report);
		status = serve_master_run(&m, &worker);
		if (!worker && !o->quiet)
			serve_tell_end(m.server);
	}
	decant_serve_close(m.server);
	if (m.log_fd > STDERR_FILENO)
		(void)close(m.log_fd);
	return status;
}

int cmd_serve(int argc, char **argv)
{
	struct serve_options o;
	struct err e = { "" };

	if (serve_options_parse(&o, argc, argv, &e) < 0)
		return cli_usage("serve", "%s", e.text);
	if (o.help) {
		serve_options_help();
		return CLI_OK;
	}
	if (!cli_mask_ok(o.mask))
		return CLI_USAGE;
	return serve_command(&o);
}
