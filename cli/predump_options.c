/* SPDX-License-Identifier: MIT */
#include "predump_options.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"

#define PREDUMP_ROUNDS_MAX 200

static const char *const predump_modes[] = { "auto", "read", "vmsplice", NULL };
static const char *const predump_leaves[] = { "running", "stopped", NULL };
static const char *const predump_headers[] = { "auto", "24", "32", NULL };

#define AT(member) OPTION_AT(predump_options, member)

const struct option_row predump_option_rows[] = {
	{ 'D', "dir", "DIR", false, OPTION_TEXT, AT(dir), NULL, 0,
	  "where the images go: one into DIR, several into DIR/1, DIR/2, ..." },
	{ 0, "parent", "DIR", false, OPTION_TEXT, AT(parent), NULL, 0,
	  "an earlier image of the process, which becomes the first one's parent: pages that are "
	  "the same there are not written again" },
	{ 'r', "rounds", "N", false, OPTION_TEXT, AT(rounds_text), NULL, 0,
	  "make so many images while it runs (default 1), or auto: until little is left to write" },
	{ 0, "final", NULL, false, OPTION_FLAG, AT(final), NULL, 0,
	  "stop the process and make one image more: the chain is then of one instant, with "
	  "registers (default rounds: auto)" },
	{ 0, "leave", "STATE", false, OPTION_CHOICE, AT(leave), predump_leaves, 0,
	  "how the process is after --final: running (default) or stopped, by SIGSTOP" },
	{ 0, "watch", "DURATION", false, OPTION_TIME, AT(watch_ns), NULL, 0,
	  "go on tracking in the background until nobody has asked for an image for so long: "
	  "later calls for the same process have what was written since" },
	{ 0, "stop", NULL, false, OPTION_FLAG, AT(stop), NULL, 0,
	  "end --watch; no image is made" },
	OPTION_ROW_TRACK,
	{ 0, "mode", "HOW", false, OPTION_CHOICE, AT(mode), predump_modes, 0,
	  "how pages are read: auto (default), read (a copy; the process is not stopped for it) or "
	  "vmsplice (without a copy, from a fork of the process, which stops for that)" },
	{ 0, "tree", NULL, false, OPTION_FLAG, AT(tree), NULL, 0,
	  "the process and all its descendants; with --final of one instant" },
	{ 0, "to", "END", false, OPTION_TEXT, AT(to), NULL, 0,
	  "send the pages to a page server, ours or CRIU's, at tcp:HOST:PORT or unix:PATH; "
	  "what is no memory goes into DIR" },
	{ 0, "tls-cert", "FILE", false, OPTION_TEXT, AT(tls_cert), NULL, 0,
	  "speak TLS with it, with this certificate (PEM); needs --tls-key and --tls-ca" },
	{ 0, "tls-key", "FILE", false, OPTION_TEXT, AT(tls_key), NULL, 0,
	  "its key" },
	{ 0, "tls-ca", "FILE", false, OPTION_TEXT, AT(tls_ca), NULL, 0,
	  "who signs the page server's certificate" },
	{ 0, "tls-name", "NAME", false, OPTION_TEXT, AT(tls_name), NULL, 0,
	  "what that certificate must name (default: HOST; -: anything)" },
	{ 0, "header", "BYTES", false, OPTION_CHOICE, AT(header), predump_headers, 0,
	  "what the page server awaits: 24 (CRIU up to 4.1), 32 (since 4.2) or auto (default)" },
	{ 0, "insecure", NULL, false, OPTION_FLAG, AT(insecure), NULL, 0,
	  "send memory to another machine in plain" },
	{ 't', "timeout", "DURATION", false, OPTION_TIME, AT(timeout_ns), NULL, 0,
	  "give up when it is not done after so long" },
	{ 0, "limit-rate", "RATE", false, OPTION_RATE, AT(rate_bytes), NULL, 0,
	  "read at most so many bytes a second, such as 100M" },
	{ 0, "clean", NULL, false, OPTION_FLAG, AT(clean), NULL, 0,
	  "remove what a killed run left there; complete images stay" },
	{ 0, "sync", NULL, false, OPTION_FLAG, AT(sync), NULL, 0,
	  "an image is done when it is on the disk" },
	OPTION_ROW_UNSAFE,
	OPTION_ROW_MASK,
	OPTION_ROW_PROGRESS,
	OPTION_ROW_JSON,
	OPTION_ROW_QUIET,
	{ 'v', "verbose", NULL, false, OPTION_FLAG, AT(verbose), NULL, 0,
	  "tell of each image, and what it took" },
	OPTION_ROW_HELP,
};

const size_t predump_option_rows_n = sizeof(predump_option_rows) / sizeof(predump_option_rows[0]);

static int predump_rounds(struct predump_options *o, struct err *e)
{
	uint64_t n = 0;

	o->rounds = o->final ? DECANT_PREDUMP_AUTO : 1;
	if (!o->rounds_text)
		return 0;
	if (strcmp(o->rounds_text, "auto") == 0) {
		o->rounds = DECANT_PREDUMP_AUTO;
		return 0;
	}
	if (parse_u64(o->rounds_text, o->final ? 0 : 1, PREDUMP_ROUNDS_MAX, &n, e) < 0)
		return err_wrap(e, -EINVAL, "--rounds");
	o->rounds = (uint32_t)n;
	return 0;
}

static int predump_check(const struct predump_options *o, struct err *e)
{
	if (o->stop && (o->dir || o->parent || o->final || o->rounds_text || o->watch_ns))
		return err_set(e, -EINVAL, "--stop: makes no image");
	if (o->stop)
		return 0;
	if (o->watch_ns && (o->final || o->rounds_text))
		return err_set(e, -EINVAL, "--watch: begins with one image");
	if (!o->dir || !o->dir[0])
		return err_set(e, -EINVAL, "--dir: where do the images go?");
	if (o->quiet && (o->verbose || o->json))
		return err_set(e, -EINVAL, "--quiet and --%s: say one of them",
			       o->json ? "json" : "verbose");
	if (o->leave && !o->final)
		return err_set(e, -EINVAL, "--leave: goes with --final");
	return 0;
}

int predump_options_parse(struct predump_options *ret, int argc, char *const *argv,
			  struct err *reterr)
{
	struct predump_options o = { .progress_fd = -1 };
	const char *pid[1] = { NULL };
	int r = options_parse(predump_option_rows, predump_option_rows_n, argc, argv, &o, pid, 1,
			      reterr);

	if (r >= 0 && !o.help)
		r = options_pid(pid[0], &o.pid, reterr);
	if (r >= 0 && !o.help)
		r = predump_check(&o, reterr);
	if (r >= 0 && !o.help)
		r = predump_rounds(&o, reterr);
	if (r < 0)
		return r;
	*ret = o;
	return 0;
}

void predump_options_library(const struct predump_options *o, struct decant_predump_options *ret)
{
	*ret = (struct decant_predump_options)DECANT_PREDUMP_OPTIONS_INIT;
	ret->flags = (o->final ? DECANT_PREDUMP_FINAL : 0u) |
		     (o->leave ? DECANT_PREDUMP_STOPPED : 0u) |
		     (o->clean ? DECANT_PREDUMP_CLEAN : 0u) |
		     (o->sync ? DECANT_PREDUMP_SYNC : 0u) |
		     (o->tree ? DECANT_PREDUMP_TREE : 0u) |
		     (o->unsafe ? DECANT_PREDUMP_UNSAFE : 0u);
	ret->rounds = o->rounds;
	ret->track = o->track;
	ret->parent = o->parent;
	ret->mode = o->mode;
	ret->timeout_ns = o->timeout_ns;
	ret->rate_bytes = o->rate_bytes;
}

void predump_options_help(void)
{
	(void)printf("Usage: decant predump -D DIR [OPTION]... PID\n"
		     "       decant predump --stop PID\n\n"
		     "Copy the memory of a process into CRIU's images while it runs, again and\n"
		     "again what it has written since; or, with --final, up to one instant.\n\n"
		     "Options:\n");
	options_help(stdout, predump_option_rows, predump_option_rows_n);
	(void)printf("\nSee decant-predump(1).\n");
}
