/* SPDX-License-Identifier: MIT */
/* The command line of serve, without running anything. */
#include <errno.h>

#include "serve_options.h"
#include "tap.h"

#define WORDS_MAX 16

static int parse(struct serve_options *o, const char *text, struct err *e)
{
	static char line[512]; /* the result points into it */
	char *words[WORDS_MAX];
	int n = 0;

	snprintf(line, sizeof(line), "serve %s", text);
	for (char *word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		words[n++] = word;
	return serve_options_parse(o, n, words, e);
}

static const struct {
	const char *line, *says;
} refused[] = {
	{ "a b", "one word too many" },
	{ "--workers 0", "must be from 1" },
	{ "--limit-rate 0", "more than 0" },
	{ "--idle-timeout never", "--idle-timeout: " },
	{ "--log-format apache", "none of common, json" },
	{ "--log=", "--log: " },
	{ "--user=", "--user: is empty" },
	{ "--listing", "no such option" },
};

int main(void)
{
	struct decant_serve_options l;
	struct serve_options o;
	struct err e = { "" };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		is_int(parse(&o, refused[i].line, &e), -EINVAL, "refused: %s", refused[i].line);
		ok(strstr(e.text, refused[i].says), "  %s", e.text);
	}
	is_int(parse(&o, "", NULL), 0, "nothing has to be said");
	serve_options_library(&o, -1, &l);
	is_str(l.path, ".", "this directory");
	ok(!l.listen && l.flags == 0 && l.workers == 0 && l.log_fd == -1 && !l.mime_file &&
	   l.rate_bytes == 0, "the library's defaults");
	is_str(o.log, "-", "the log goes to standard output");
	is_int(o.grace_ms, 30000, "half a minute of grace");
	is_int(parse(&o, "-l :80 x --no-listing --hidden --follow --no-precompressed -w 3 "
			 "--log-format json --client-rate 1M --stall-timeout 2s", NULL), 0,
	       "a long line");
	serve_options_library(&o, 5, &l);
	is_int(l.flags, DECANT_SERVE_NO_LISTING | DECANT_SERVE_HIDDEN | DECANT_SERVE_FOLLOW |
	       DECANT_SERVE_NO_PRECOMPRESSED | DECANT_SERVE_LOG_JSON, "flags");
	is_str(l.listen, ":80", "where");
	is_str(l.path, "x", "what");
	ok(l.workers == 3 && l.log_fd == 5 && l.client_rate_bytes == 1 << 20 && l.stall_ms == 2000,
	   "numbers");
	return done();
}
