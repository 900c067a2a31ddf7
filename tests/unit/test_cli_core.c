/* SPDX-License-Identifier: MIT */
/* The command lines of core, and what it tells, without running anything. */
#include <errno.h>

#include "core_options.h"
#include "core_report.h"
#include "tap.h"

#define WORDS_MAX 32

static int parse(struct core_options *o, const char *text, struct err *e)
{
	static char line[1024]; /* the result points into it */
	char *words[WORDS_MAX];
	int n = 0;

	snprintf(line, sizeof(line), "core %s", text);
	for (char *word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		words[n++] = word;
	return core_options_parse(o, n, words, e);
}

static const struct {
	const char *line, *says;
} refused[] = {
	{ "", "PID is missing" },
	{ "1 2", "one word too many" },
	{ "redis", "PID: \"redis\": is not a whole number" },
	{ "0", "PID: \"0\": must be from 1" },
	{ "-- -1", "PID: \"-1\": is not" },
	{ "2147483648", "PID: " },
	{ "1 -o", "-o: FILE is missing" },
	{ "1 --output=", "--output: is empty" },
	{ "1 -o mem:1M", "needs a file or a stream" },
	{ "1 -o null:", "needs a file or a stream" },
	{ "1 -o zero:", "can only be a source" },
	{ "1 -o nowhere:", "no kind of end" },
	{ "1 --strategy snapshot", "none of auto, precopy, fork, stop" },
	{ "1 --compress gzip", "none of none, zstd" },
	{ "1 --max-pause 0", "more than 0" },
	{ "1 --max-pause 5parsecs", "no unit" },
	{ "1 --max-pause 99999999999h", "too large" },
	{ "1 --timeout 0ms", "more than 0" },
	{ "1 --limit-rate 0", "more than 0" },
	{ "1 --filter 033", "no mask such as 0x33" },
	{ "1 --filter 0x", "no mask" },
	{ "1 --filter 0xfg", "no mask" },
	{ "1 --filter -1", "no mask" },
	{ "1 --filter 33h", "no mask" },
	{ "1 --filter 0x100000000", "too large" },
	{ "1 --filter 4294967295", "" },
	{ "1 --filter 0x200", "no bits above 0x1ff" },
	{ "1 --filter 0x33 --all", "say one of them" },
	{ "1 -q -v", "say one of them" },
	{ "1 -o - --progress=1", "descriptor 1 is the output" },
	{ "1 -o fd:7 --progress=7", "descriptor 7 is the output" },
	{ "1 --explain=yes", "takes no argument" },
	{ "1 --nonsense", "no such option" },
};

static void test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct core_options o = { .pid = 77 };
		struct err e = { "" };
		int r = parse(&o, refused[i].line, &e);

		/* The largest mask means "not said": it is as good as that. */
		if (!refused[i].says[0]) {
			is_int(r, 0, "core %s: nothing said", refused[i].line);
			continue;
		}
		is_int(r, -EINVAL, "core %s: refused", refused[i].line);
		ok(strstr(e.text, refused[i].says), "  says \"%s\": %s", refused[i].says, e.text);
		is_int(o.pid, 77, "  nothing is set");
	}
}

static void test_defaults(void)
{
	struct decant_capture_options c;
	struct core_options o;

	is_int(parse(&o, "1234", NULL), 0, "a process");
	ok(o.pid == 1234 && o.to.kind == END_SPEC_PATH, "  its number, and a file");
	is_str(o.to.path, "core.1234", "  of its name");
	is_int(o.progress_fd, -1, "  no bar");
	core_options_capture(&o, &c);
	ok(c.size == sizeof(c) && c.flags == 0 && c.strategy == DECANT_STRATEGY_AUTO &&
		   c.filter == 0 && c.pause_max_ns == 0 && c.timeout_ns == 0 && c.rate_bytes == 0,
	   "  everything is left to the library");
	is_int(parse(&o, "2147483647", NULL), 0, "the largest one");
	is_str(o.to.path, "core.2147483647", "  has a name, too");
	is_int(parse(&o, "--help nonsense", NULL), 0, "--help needs nothing else");
	ok(o.help, "  it was said");
}

static void test_all(void)
{
	struct decant_capture_options c;
	struct core_options o;

	is_int(parse(&o, "-o x.core --strategy fork --max-pause 1.5ms --timeout 250us --all "
		     "--compress zstd --limit-rate 10M 5 --best-effort --unsafe", NULL), 0,
	       "many words");
	core_options_capture(&o, &c);
	is_str(o.to.path, "x.core", "output");
	is_int(c.strategy, DECANT_STRATEGY_FORK, "strategy");
	is_int(c.pause_max_ns, 1500000, "max-pause");
	is_int(c.timeout_ns, 250000, "timeout");
	is_int(c.rate_bytes, 10 << 20, "limit-rate");
	is_int(c.flags, DECANT_CAPTURE_ALL | DECANT_CAPTURE_BEST_EFFORT | DECANT_CAPTURE_ZSTD |
			DECANT_CAPTURE_UNSAFE, "flags");
	is_int(parse(&o, "5 --filter 0x1FF -fq -p --json --explain --mask io_uring", NULL), 0,
	       "the others");
	core_options_capture(&o, &c);
	is_int(c.filter, 0x1ff, "filter");
	is_int(c.flags, DECANT_CAPTURE_FILTER, "  was said");
	ok(o.force && o.quiet && o.json && o.explain && o.progress_fd == OPTION_FD_NONE,
	   "the command's own");
	is_str(o.mask, "io_uring", "mask");
	is_int(parse(&o, "5 --filter 51 -p", NULL), 0, "a decimal filter");
	is_int(o.filter, 0x33, "  is one");
	is_int(parse(&o, "5 --filter 0", NULL), 0, "nothing at all");
	core_options_capture(&o, &c);
	ok(c.filter == 0 && c.flags == DECANT_CAPTURE_FILTER, "  is a filter");
	is_int(parse(&o, "-o tcp:host:9000 5", NULL), 0, "a peer");
	ok(end_spec_is_socket(&o.to), "  is one");
	is_int(parse(&o, "-o fd:7 5", NULL), 0, "a descriptor");
	is_int(o.to.fd, 7, "  is one");
}

/* ------------------------------------------------------------------ telling */

static char *told(void (*tell)(FILE *, const struct core_result *, const struct core_options *),
		  const struct core_result *r, const struct core_options *o)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	need(f, "memory");
	tell(f, r, o);
	fclose(f);
	return text;
}

static void test_line(void)
{
	struct core_result r = {
		.output = "core.5",
		.report = {
			.strategy = DECANT_STRATEGY_PRECOPY, .rounds = 3, .threads = 1,
			.mappings = 20, .stops = 2, .pause_ns = 812345, .pauses_ns = 1000000,
			.total_ns = 2340000000, .memory_bytes = 1 << 30, .residue_bytes = 40960,
			.copied_bytes = 1 << 30, .message = "little is written",
		},
	};
	struct core_options o;
	char *text;

	(void)parse(&o, "5", NULL);
	text = told(core_report_print, &r, &o);
	is_str(text, "core.5: 1.0 GiB in 2.34 s; the process stood still for 812.3 us (precopy, "
	       "3 rounds, 40.0 KiB residue)\n", "one line for people");
	free(text);
	r.report.pause_ns = 6000000;
	r.report.unreadable_bytes = 4096;
	r.report.rounds = 0;
	r.report.strategy = DECANT_STRATEGY_FORK;
	text = told(core_report_print, &r, &o);
	is_str(text, "core.5: 1.0 GiB in 2.34 s; the process stood still for 6.0 ms (fork)\n"
	       "  4.0 KiB could not be read and are missing\n"
	       "  that is longer than --max-pause\n", "what is not as wished is said");
	free(text);
	(void)parse(&o, "5 -v --strategy fork", NULL);
	text = told(core_report_print, &r, &o);
	ok(strstr(text, "strategy fork: little is written\n") &&
		   strstr(text, "1 thread, stopped 2") &&
		   !strstr(text, "longer"),
	   "--verbose; who asked for a strategy is told of no limit that he did not set");
	free(text);
}

static void test_json(void)
{
	struct core_result r = { .output = "a\"b", .report = { .strategy = 1 } };
	struct core_options o;
	char *text;

	(void)parse(&o, "5", NULL);
	core_result_fail(&r, -E2BIG, "too long");
	core_result_fail(&r, -EIO, "later");
	text = told(core_report_json, &r, &o);
	ok(strstr(text, "\"status\":1,\"pid\":5,\"output\":\"a\\\"b\",\"strategy\":\"precopy\"") &&
		   strstr(text, "\"error\":{\"code\":\"E2BIG\",\"message\":\"too long\"}}\n"),
	   "JSON, with the first failure: %s", text);
	free(text);
}

static void test_plan(void)
{
	struct decant_capture_plan p = {
		.strategy = DECANT_STRATEGY_AUTO, .memory_bytes = 1 << 30, .threads = 2,
		.mappings = 9, .stopped_bytes = 4096, .dirty_bytes_per_s = UINT64_MAX,
		.stopped_why = "shared mappings",
		.forecasts = { { .strategy = 1, .why = "cannot be" },
			       { .strategy = 2, .possible = 1, .pause_ns = 14000000 },
			       { .strategy = 3, .possible = 1, .pause_ns = 900000000 } },
	};
	struct core_options o;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)parse(&o, "5 --explain --max-pause 15ms", NULL);
	core_plan_print(f, &p, &o);
	core_plan_json(f, &p, &o);
	fclose(f);
	ok(strstr(text, "max pause  15.0 ms: nothing keeps it\n") &&
		   strstr(text, "cannot be seen from outside") &&
		   strstr(text, "4.0 KiB whatever the strategy: shared mappings"),
	   "the plan's head");
	ok(strstr(text, "precopy          -") && strstr(text, "cannot be\n") &&
		   strstr(text, "14.0 ms") && strstr(text, "short enough\n") &&
		   strstr(text, "longer than --max-pause\n"),
	   "a row for each strategy");
	ok(strstr(text, "\"strategy\":null,\"max_pause_ns\":15000000") &&
		   strstr(text, "\"dirty_bytes_per_s\":null") &&
		   strstr(text, "{\"strategy\":\"precopy\",\"possible\":false"),
	   "as JSON");
	if (tap_shared->failed)
		diag("%s", text);
	free(text);
}

int main(void)
{
	test_refused();
	test_defaults();
	test_all();
	test_line();
	test_json();
	test_plan();
	return done();
}
