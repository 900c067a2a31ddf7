/* SPDX-License-Identifier: MIT */
#include "serve_options.h"


#define SERVE_GRACE_MS 30000

static const char *const serve_formats[] = { "common", "json", NULL };

#define AT(member) OPTION_AT(serve_options, member)

const struct option_row serve_option_rows[] = {
	{ 'l', "listen", "ADDRESS", false, OPTION_TEXT, AT(listen), NULL, 0,
	  "ADDR:PORT (default 127.0.0.1:8080); :PORT is everywhere, port 0 any that is free" },
	{ 'w', "workers", "N", false, OPTION_NUMBER, AT(workers), NULL, 256,
	  "so many processes (default: one per CPU)" },
	{ 'u', "user", "USER", false, OPTION_TEXT, AT(user), NULL, 0,
	  "USER or USER:GROUP: as whom, when all is open that needs more rights" },
	{ 0, "no-listing", NULL, false, OPTION_FLAG, AT(no_listing), NULL, 0,
	  "no lists of directories without index.html" },
	{ 0, "hidden", NULL, false, OPTION_FLAG, AT(hidden), NULL, 0,
	  "names that begin with a dot, too" },
	{ 0, "follow", NULL, false, OPTION_FLAG, AT(follow), NULL, 0,
	  "symbolic links that lead out of the directory, too" },
	{ 0, "no-precompressed", NULL, false, OPTION_FLAG, AT(no_precompressed), NULL, 0,
	  "never send x.zst or x.gz in place of x" },
	{ 0, "types", "FILE", false, OPTION_TEXT, AT(types), NULL, 0,
	  "media types that come before those of /etc/mime.types, written alike" },
	{ 0, "log", "FILE", false, OPTION_TEXT, AT(log), NULL, 0,
	  "the access log: - is standard output (default), none is none" },
	{ 0, "log-format", "FORM", false, OPTION_CHOICE, AT(log_format), serve_formats, 0,
	  "common (default, with referer and agent) or json" },
	{ 0, "limit-rate", "RATE", false, OPTION_RATE, AT(rate_bytes), NULL, 0,
	  "send at most so many bytes a second in all, such as 100M" },
	{ 0, "client-rate", "RATE", false, OPTION_RATE, AT(client_rate_bytes), NULL, 0,
	  "and so many to one address" },
	{ 0, "max-connections", "N", false, OPTION_NUMBER, AT(connections_max), NULL, 0,
	  "at most so many at a time (default: as many as there can be descriptors)" },
	{ 0, "idle-timeout", "DURATION", false, OPTION_DURATION, AT(idle_ms), NULL, 0,
	  "how long a connection may wait for its next request (default 60s)" },
	{ 0, "header-timeout", "DURATION", false, OPTION_DURATION, AT(head_ms), NULL, 0,
	  "how long a request may take to come (default 15s)" },
	{ 0, "stall-timeout", "DURATION", false, OPTION_DURATION, AT(stall_ms), NULL, 0,
	  "how long a client may take nothing of its answer (default 60s)" },
	{ 0, "grace", "DURATION", false, OPTION_DURATION, AT(grace_ms), NULL, 0,
	  "how long answers may go on after SIGTERM or SIGINT (default 30s)" },
	OPTION_ROW_MASK,
	OPTION_ROW_QUIET,
	OPTION_ROW_HELP,
};

const size_t serve_option_rows_n = sizeof(serve_option_rows) / sizeof(serve_option_rows[0]);

int serve_options_parse(struct serve_options *ret, int argc, char *const *argv,
			struct err *reterr)
{
	struct serve_options o = { .log = "-", .grace_ms = SERVE_GRACE_MS };
	const char *path[1] = { "." };
	int r = options_parse(serve_option_rows, serve_option_rows_n, argc, argv, &o, path, 1,
			      reterr);

	if (r < 0)
		return r;
	o.path = path[0];
	*ret = o;
	return 0;
}

void serve_options_library(const struct serve_options *o, int log_fd,
			   struct decant_serve_options *ret)
{
	*ret = (struct decant_serve_options)DECANT_SERVE_OPTIONS_INIT;
	ret->flags = (o->no_listing ? DECANT_SERVE_NO_LISTING : 0u) |
		     (o->hidden ? DECANT_SERVE_HIDDEN : 0u) |
		     (o->follow ? DECANT_SERVE_FOLLOW : 0u) |
		     (o->no_precompressed ? DECANT_SERVE_NO_PRECOMPRESSED : 0u) |
		     (o->log_format ? DECANT_SERVE_LOG_JSON : 0u);
	ret->path = o->path;
	ret->listen = o->listen;
	ret->workers = o->workers;
	ret->connections_max = o->connections_max;
	ret->idle_ms = o->idle_ms;
	ret->head_ms = o->head_ms;
	ret->stall_ms = o->stall_ms;
	ret->log_fd = log_fd;
	ret->rate_bytes = o->rate_bytes;
	ret->client_rate_bytes = o->client_rate_bytes;
	ret->mime_file = o->types;
	ret->mask = o->mask;
}

void serve_options_help(void)
{
	(void)printf("Usage: decant serve [OPTION]... [DIR | FILE]\n\n"
		     "Serve the files of a directory (this one) over HTTP, or one file.\n\n"
		     "Options:\n");
	options_help(stdout, serve_option_rows, serve_option_rows_n);
	(void)printf("\nExamples:\n"
		     "  decant serve\n"
		     "  decant serve --listen :80 --user www-data "
		     "--log /var/log/serve.log /srv/www\n"
		     "  decant serve --listen 192.0.2.1:8000 disk.img\n\n"
		     "See decant-serve(1).\n");
}
