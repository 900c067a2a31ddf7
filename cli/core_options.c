/* SPDX-License-Identifier: MIT */
#include "core_options.h"

#include <errno.h>
#include <string.h>


/* core(5) knows bits 0 to 8. */
#define CORE_FILTER_MAX 0x1ffu

static const char *const core_strategies[] = { "auto", "precopy", "fork", "stop", NULL };
static const char *const core_compressions[] = { "none", "zstd", NULL };

#define AT(member) OPTION_AT(core_options, member)

const struct option_row core_option_rows[] = {
	{ 'o', "output", "FILE", false, OPTION_TEXT, AT(output), NULL, 0,
	  "where the core goes: a new file (default core.PID), a FIFO, - or another stream" },
	{ 's', "strategy", "NAME", false, OPTION_CHOICE, AT(strategy), core_strategies, 0,
	  "auto (default), precopy, fork or stop" },
	{ 0, "max-pause", "DURATION", false, OPTION_PAUSE, AT(pause_max_ns), NULL, 0,
	  "stop the process for at most so long (default 5ms), or leave it alone" },
	{ 0, "best-effort", NULL, false, OPTION_FLAG, AT(best_effort), NULL, 0,
	  "go on even when that cannot be kept, or the disk seems too full" },
	{ 't', "timeout", "DURATION", false, OPTION_TIME, AT(timeout_ns), NULL, 0,
	  "give up when it is not done after so long" },
	{ 0, "filter", "MASK", false, OPTION_BITS, AT(filter), NULL, 0,
	  "take these kinds of memory, as in core(5), instead of the process's own choice" },
	{ 'a', "all", NULL, false, OPTION_FLAG, AT(all), NULL, 0,
	  "take all readable memory: files' text and what was marked DONTDUMP, too" },
	{ 0, "compress", "KIND", false, OPTION_CHOICE, AT(compress), core_compressions, 0,
	  "none (default) or zstd" },
	{ 0, "limit-rate", "RATE", false, OPTION_RATE, AT(rate_bytes), NULL, 0,
	  "read at most so many bytes a second, such as 100M" },
	{ 'f', "force", NULL, false, OPTION_FLAG, AT(force), NULL, 0,
	  "replace a file that exists" },
	{ 0, "explain", NULL, false, OPTION_FLAG, AT(explain), NULL, 0,
	  "predict pause and time of each strategy; nothing is stopped or written" },
	OPTION_ROW_UNSAFE,
	OPTION_ROW_MASK,
	OPTION_ROW_PROGRESS,
	OPTION_ROW_JSON,
	OPTION_ROW_QUIET,
	{ 'v', "verbose", NULL, false, OPTION_FLAG, AT(verbose), NULL, 0,
	  "tell the strategy, why that one, and what it took" },
	OPTION_ROW_HELP,
};

const size_t core_option_rows_n = sizeof(core_option_rows) / sizeof(core_option_rows[0]);

const char *core_strategy_name(uint32_t strategy)
{
	return strategy <= DECANT_STRATEGY_STOP ? core_strategies[strategy] : "?";
}

static int core_check_output(const struct core_options *o, const struct end_spec *to,
			     struct err *e)
{
	if (to->kind == END_SPEC_MEMORY || to->kind == END_SPEC_NULL)
		return err_set(e, -EINVAL, "--output: %.40s: a core needs a file or a stream",
			       to->text);
	if (to->fd >= 0 && to->fd == o->progress_fd)
		return err_set(e, -EINVAL, "--progress: descriptor %d is the output",
			       o->progress_fd);
	return 0;
}

static int core_check(const struct core_options *o, struct err *e)
{
	if (o->quiet && o->verbose)
		return err_set(e, -EINVAL, "--quiet and --verbose: say one of them");
	if (o->all && o->filter != CORE_FILTER_NONE)
		return err_set(e, -EINVAL, "--all and --filter: say one of them");
	if (o->filter != CORE_FILTER_NONE && o->filter > CORE_FILTER_MAX)
		return err_set(e, -EINVAL, "--filter: %#x: there are no bits above %#x", o->filter,
			       CORE_FILTER_MAX);
	return 0;
}

int core_options_parse(struct core_options *ret, int argc, char *const *argv,
		       struct err *reterr)
{
	struct core_options o = { .progress_fd = -1, .filter = CORE_FILTER_NONE };
	const char *pid[1] = { NULL };
	int r = options_parse(core_option_rows, core_option_rows_n, argc, argv, &o, pid, 1,
			      reterr);

	if (r < 0)
		return r;
	if (o.help) {
		*ret = o;
		return 0;
	}
	r = options_pid(pid[0], &o.pid, reterr);
	if (r < 0)
		return r;
	(void)snprintf(o.own_name, sizeof(o.own_name), "core.%d", (int)o.pid);
	r = core_check(&o, reterr);
	if (r == 0 && o.output)
		r = end_spec_parse(o.output, true, &o.to, reterr);
	if (r == 0 && o.output)
		r = core_check_output(&o, &o.to, reterr);
	if (r < 0)
		return r;
	*ret = o;
	/* The name lies in the structure, and so the end is parsed in its place. */
	return ret->output ? 0 : end_spec_parse(ret->own_name, true, &ret->to, reterr);
}

void core_options_capture(const struct core_options *o, struct decant_capture_options *ret)
{
	*ret = (struct decant_capture_options)DECANT_CAPTURE_OPTIONS_INIT;
	ret->flags = (o->all ? DECANT_CAPTURE_ALL : 0u) |
		     (o->best_effort ? DECANT_CAPTURE_BEST_EFFORT : 0u) |
		     (o->filter != CORE_FILTER_NONE ? DECANT_CAPTURE_FILTER : 0u) |
		     (o->compress ? DECANT_CAPTURE_ZSTD : 0u) |
		     (o->unsafe ? DECANT_CAPTURE_UNSAFE : 0u);
	ret->strategy = o->strategy;
	ret->filter = o->filter != CORE_FILTER_NONE ? o->filter : 0;
	ret->pause_max_ns = o->pause_max_ns;
	ret->timeout_ns = o->timeout_ns;
	ret->rate_bytes = o->rate_bytes;
}

void core_options_help(void)
{
	(void)printf("Usage: decant core [OPTION]... PID\n\n"
		     "Write an ELF core of a running process, for gdb and its like: memory and\n"
		     "registers of one instant, for which it stands still for about a "
		     "millisecond.\n"
		     "The process goes on as if nothing had been.\n\n"
		     "Options:\n");
	options_help(stdout, core_option_rows, core_option_rows_n);
	(void)printf("\nSee decant-core(1).\n");
}
