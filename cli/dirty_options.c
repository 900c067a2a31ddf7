/* SPDX-License-Identifier: MIT */
#include "dirty_options.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"

#define DIRTY_INTERVAL_NS UINT64_C(1000000000)
#define DIRTY_INTERVAL_MIN_NS UINT64_C(1000000)
#define DIRTY_FOR_NS UINT64_C(10000000000)

#define AT(member) OPTION_AT(dirty_options, member)

const struct option_row dirty_option_rows[] = {
	{ 'i', "interval", "DURATION", false, OPTION_TIME, AT(interval_ns), NULL, 0,
	  "look so often (default 1s)" },
	{ 'd', "for", "DURATION", false, OPTION_TEXT, AT(for_text), NULL, 0,
	  "look so long (default 10s); 0: until interrupted" },
	{ 'o', "svg", "FILE", false, OPTION_TEXT, AT(svg), NULL, 0,
	  "draw a heat map, time by address, into a new file" },
	{ 'f', "force", NULL, false, OPTION_FLAG, AT(force), NULL, 0,
	  "replace the file of --svg if it exists" },
	{ 'b', "bandwidth", "RATE", false, OPTION_RATE, AT(bandwidth_bytes), NULL, 0,
	  "predict captures that are written so fast, such as 500M (default: as the disk of the "
	  "working directory is)" },
	{ 0, "max-pause", "DURATION", false, OPTION_PAUSE, AT(pause_max_ns), NULL, 0,
	  "predict captures that may stop the process for so long (default 5ms)" },
	OPTION_ROW_TRACK,
	OPTION_ROW_UNSAFE,
	OPTION_ROW_MASK,
	{ 0, "json", NULL, false, OPTION_FLAG, AT(json), NULL, 0,
	  "print a line of JSON for each interval, and one for the result" },
	{ 'r', "ranges", NULL, false, OPTION_FLAG, AT(ranges), NULL, 0,
	  "with --json: the pages themselves, too" },
	{ 'q', "quiet", NULL, false, OPTION_FLAG, AT(quiet), NULL, 0,
	  "print the result only, not the intervals" },
	OPTION_ROW_HELP,
};

const size_t dirty_option_rows_n = sizeof(dirty_option_rows) / sizeof(dirty_option_rows[0]);

static int dirty_check(struct dirty_options *o, struct err *e)
{
	o->for_ns = DIRTY_FOR_NS;
	if (o->for_text && parse_duration(o->for_text, &o->for_ns, e) < 0)
		return err_wrap(e, -EINVAL, "--for");
	if (!o->interval_ns)
		o->interval_ns = DIRTY_INTERVAL_NS;
	if (o->interval_ns < DIRTY_INTERVAL_MIN_NS)
		return err_set(e, -EINVAL, "--interval: less than 1ms");
	if (o->ranges && !o->json)
		return err_set(e, -EINVAL, "--ranges: goes with --json");
	if (o->quiet && o->json)
		return err_set(e, -EINVAL, "--quiet and --json: say one of them");
	if (o->svg && !o->svg[0])
		return err_set(e, -EINVAL, "--svg: is empty");
	if (o->force && !o->svg)
		return err_set(e, -EINVAL, "--force: goes with --svg");
	return 0;
}

int dirty_options_parse(struct dirty_options *ret, int argc, char *const *argv,
			struct err *reterr)
{
	struct dirty_options o = { .pid = 0 };
	const char *pid[1] = { NULL };
	int r = options_parse(dirty_option_rows, dirty_option_rows_n, argc, argv, &o, pid, 1,
			      reterr);

	if (r >= 0 && !o.help)
		r = options_pid(pid[0], &o.pid, reterr);
	if (r >= 0 && !o.help)
		r = dirty_check(&o, reterr);
	if (r < 0)
		return r;
	*ret = o;
	return 0;
}

void dirty_options_library(const struct dirty_options *o, struct decant_dirty_options *ret)
{
	*ret = (struct decant_dirty_options)DECANT_DIRTY_OPTIONS_INIT;
	ret->flags = o->unsafe ? DECANT_DIRTY_UNSAFE : 0u;
	ret->track = o->track;
	ret->bandwidth_bytes = o->bandwidth_bytes;
	ret->pause_max_ns = o->pause_max_ns;
	ret->dir = ".";
}

void dirty_options_help(void)
{
	(void)printf("Usage: decant dirty [OPTION]... PID\n\n"
		     "Show how fast a process writes to its memory, by mapping, and what a\n"
		     "capture of it would take.\n\n"
		     "Options:\n");
	options_help(stdout, dirty_option_rows, dirty_option_rows_n);
	(void)printf("\nSee decant-dirty(1).\n");
}
