/* SPDX-License-Identifier: MIT */
/* The command lines of copy, explain and probe, without running anything. */
#include <errno.h>

#include "copy_options.h"
#include "guess.h"
#include "probe_options.h"
#include "tap.h"

#define WORDS_MAX 16

/* The words of a line that has no quotes. */
static int split(char *line, char **words)
{
	int n = 0;

	for (char *word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		words[n++] = word;
	return n;
}

static int parse(struct copy_options *o, const char *text, struct err *e)
{
	static char line[1024]; /* the result points into it */
	char *words[WORDS_MAX];

	snprintf(line, sizeof(line), "copy %s", text);
	return copy_options_parse(o, split(line, words), words, e);
}

static const struct {
	const char *line, *says;
} refused[] = {
	{ "", "FROM and TO are missing" },
	{ "a", "TO is missing" },
	{ "a b c", "one word too many" },
	{ "--checksum sha256 a b", "--checksum=KIND" },
	{ "a --progress 2 b", "--progress=FD" },
	{ "a b -p=2", "--progress=2" },
	{ "a b -f=2", "-=: no such option" },
	{ "a b --nonsense", "--nonsense: no such option" },
	{ "a b --len 5", "--len: no such option" },
	{ "a b -z", "-z: no such option" },
	{ "a b --live=yes", "--live: takes no argument" },
	{ "a b --length", "--length: SIZE is missing" },
	{ "a b -n", "-n: SIZE is missing" },
	{ "a b --length 5Q", "--length: " },
	{ "a b --length -5", "--length: " },
	{ "a b --offset 9E", "too large" },
	{ "a b --offset 6E --length 6E", "sum is too large" },
	{ "a b --limit-rate 0", "more than 0" },
	{ "a b --timeout 0", "more than 0" },
	{ "a b --timeout 5parsecs", "no unit" },
	{ "a b --timeout 9000000h", "too large" },
	{ "a b --workers 0", "must be from 1" },
	{ "a b --workers 65", "from 1 to 64" },
	{ "a b --lengthh 5", "did you mean --length?" },
	{ "a b --workers many", "whole number" },
	{ "a b --events x", "whole number" },
	{ "a b --progress=-1", "whole number" },
	{ "a b --checksum=md5", "none of none, xxh3, sha256" },
	{ "a b --until done", "none of delivered, sent" },
	{ "a b --backend kqueue", "none of auto, uring, threads" },
	{ "a b --mode 999", "neither keep nor octal" },
	{ "a b --mode 4755", "only the permission bits" },
	{ "a b --mode=", "neither keep nor octal" },
	{ "a b --route=", "--route: is empty" },
	{ "a b --route teleport", "no route is called" },
	{ "a b -q -v", "say one of them" },
	{ "a nowhere: --live", "no kind of end" },
	{ "zero: a", "never ends" },
	{ "zero:5 a --length 6", "gives less" },
	{ "zero:5 a --offset 1", "has no offsets" },
	{ "tcp:h:1 a --offset 1", "has no offsets" },
	{ "mem:5 a --offset 6", "has less" },
	{ "a tcp:h:1 --to-offset 1", "has no offsets" },
	{ "a mem:5 --to-offset 1", "has no offsets" },
	{ "a null: --force", "only for a file" },
	{ "a null: --in-place", "only for a file" },
	{ "a - --partial", "only for a file" },
	{ "a tcp:h:1 --mode keep", "only for a file" },
	{ "a b --partial --in-place", "stays anyway" },
	{ "a b --partial --to-offset 1", "stays anyway" },
	{ "a b --verify", "only for mem:" },
	{ "fd:5 fd:5", "source and sink" },
	{ "a - --events 1", "is the sink" },
	{ "a fd:7 --events 7", "is the sink" },
	{ "a - --progress=1", "is the sink" },
};

static void test_refused(size_t i)
{
	struct copy_options o;
	struct err e = { "" };

	is_int(parse(&o, refused[i].line, &e), -EINVAL, "refused: %s", refused[i].line);
	if (!ok(strstr(e.text, refused[i].says), "\"%s\": says \"%s\"", refused[i].line,
		refused[i].says))
		diag("it says \"%s\"", e.text);
}

static void test_defaults(void)
{
	struct copy_options o;
	struct decant_transfer t;

	is_int(parse(&o, "a b", NULL), 0, "two ends are enough");
	copy_options_transfer(&o, &t);
	ok(t.len == DECANT_TO_END && t.flags == 0 && t.rate_bytes == 0 && t.stall_ms == 0,
	   "the default transfer is all of it, without limits");
	is_int(t.guarantee, DECANT_STABLE, "stable by default");
	is_int(t.until, DECANT_UNTIL_DELIVERED, "until delivered by default");
	is_int(o.progress_fd, -1, "no progress by default");
	is_int(o.mode, COPY_MODE_DEFAULT, "permissions as cp gives them by default");
	ok(t.route == NULL && o.offset == COPY_NOT_SAID, "no route, no offset by default");
}

static void test_values(void)
{
	struct copy_options o;
	struct decant_transfer t;

	is_int(parse(&o, "--live a --offset 4K --length=1MB b --direct --sync", NULL), 0,
	       "options may stand between the ends");
	copy_options_transfer(&o, &t);
	is_int(o.offset, 4096, "--offset");
	is_int(t.len, 1000000, "--length");
	is_int(t.flags, DECANT_DIRECT | DECANT_SYNC, "--direct and --sync");
	is_int(t.guarantee, DECANT_LIVE, "--live");
	is_int(parse(&o, "a b --limit-rate 10M --timeout 1500ms --until sent --workers 3", NULL), 0,
	       "numbers");
	copy_options_transfer(&o, &t);
	is_int(t.rate_bytes, 10 << 20, "--limit-rate");
	is_int(t.stall_ms, 1500, "--timeout");
	is_int(t.until, DECANT_UNTIL_SENT, "--until");
	is_int(o.workers, 3, "--workers");
	is_int(parse(&o, "a b --timeout 1us", NULL), 0, "a tiny time-out");
	is_int(o.timeout_ms, 1, "is rounded up, not down to never");
	is_int(parse(&o, "zero:5K b", NULL), 0, "zero: with a size");
	copy_options_transfer(&o, &t);
	is_int(t.len, 5120, "which is the length");
	is_int(parse(&o, "zero:5K b -n 3", NULL), 0, "zero: with a size and a length");
	copy_options_transfer(&o, &t);
	is_int(t.len, 3, "the length counts");
}

static void test_optional(void)
{
	struct copy_options o;

	is_int(parse(&o, "--checksum a b --progress", NULL), 0, "optional arguments left out");
	is_int(o.checksum, DECANT_CHECKSUM_XXH3, "--checksum alone is xxh3");
	is_int(o.progress_fd, OPTION_FD_NONE, "--progress alone is the bar");
	is_int(parse(&o, "a b --checksum=sha256 --progress=5 --events 6", NULL), 0, "and given");
	is_int(o.checksum, DECANT_CHECKSUM_SHA256, "--checksum=sha256");
	is_int(o.progress_fd, 5, "--progress=5");
	is_int(o.events_fd, 6, "--events 6");
	is_int(parse(&o, "a b --checksum=none", NULL), 0, "--checksum=none");
	is_int(o.checksum, DECANT_CHECKSUM_NONE, "is none");
	is_int(parse(&o, "a b -fp -n5", NULL), 0, "short options together");
	ok(o.force && o.progress_fd == OPTION_FD_NONE && o.length == 5, "mean the same");
	is_int(parse(&o, "a b --mode 0640", NULL), 0, "--mode with octal digits");
	is_int(o.mode, 0640, "are octal");
	is_int(parse(&o, "a b --mode keep", NULL), 0, "--mode keep");
	is_int(o.mode, OPTION_MODE_KEEP, "is kept apart");
}

static void test_operands(void)
{
	struct copy_options o;

	is_int(parse(&o, "- -", NULL), 0, "- is an end, not an option");
	ok(o.from.fd == 0 && o.to.fd == 1, "from standard input to standard output");
	is_int(parse(&o, "-- --live -x", NULL), 0, "after -- all words are ends");
	is_str(o.from.path, "--live", "even those with dashes");
	ok(!o.live, "and no options");
	is_int(parse(&o, "--help", NULL), 0, "--help needs no ends");
	ok(o.help, "and is noticed");
	is_int(parse(&o, "--route help", NULL), 0, "--route help needs no ends");
}

static int parse_probe(struct probe_options *o, const char *text, struct err *e)
{
	static char line[256];
	char *words[WORDS_MAX];

	snprintf(line, sizeof(line), "probe %s", text);
	return probe_options_parse(o, split(line, words), words, e);
}

static void test_probe(void)
{
	struct probe_options o;
	struct err e = { "" };

	is_int(parse_probe(&o, "", NULL), 0, "probe alone");
	is_int(parse_probe(&o, "--calibrate --seconds 3 --dir /tmp --json --mask a,b", NULL), 0,
	       "probe with everything");
	ok(o.calibrate && o.json && o.seconds == 3, "flags and numbers");
	is_str(o.dir, "/tmp", "--dir");
	is_str(o.mask, "a,b", "--mask");
	is_int(parse_probe(&o, "--seconds 3", &e), -EINVAL, "--seconds without --calibrate");
	ok(strstr(e.text, "only with --calibrate"), "says so");
	is_int(parse_probe(&o, "--dir /tmp", &e), -EINVAL, "--dir without --calibrate");
	is_int(parse_probe(&o, "--calibrate --seconds 601", &e), -EINVAL, "too many seconds");
	is_int(parse_probe(&o, "word", &e), -EINVAL, "probe takes no words");
	ok(strstr(e.text, "one word too many"), "says so");
}

static void test_guess(void)
{
	static const struct {
		const char *word, *best;
	} guesses[] = {
		{ "lengthx", "length" }, { "length", "length" }, { "len", "length" },
		{ "prog", "progress" }, { "lengths", "length" }, { "legnht", "length" },
		{ "xyz", NULL }, { "x", NULL }, { "", NULL }, { "progressing", "progress" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
	};
	static const char *const words[] = { "force", "length", "progress", NULL };

	for (size_t i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++) {
		struct guess g = GUESS_INIT(guesses[i].word, strlen(guesses[i].word));

		for (size_t k = 0; words[k]; k++)
			guess_try(&g, words[k]);
		is_str(g.best ? g.best : "", guesses[i].best ? guesses[i].best : "",
		       "%s: what was meant", guesses[i].word);
	}
}

/* A table that is wrong would make an option unreachable or ambiguous. */
static void test_table(const struct option_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = i + 1; k < n; k++)
			ok(strcmp(rows[i].name, rows[k].name) != 0 &&
			   (!rows[i].letter || rows[i].letter != rows[k].letter),
			   "--%s and --%s are different", rows[i].name, rows[k].name);
		ok((rows[i].type == OPTION_FLAG) == (rows[i].arg == NULL),
		   "--%s: an argument if and only if it is no flag", rows[i].name);
		ok((rows[i].type == OPTION_CHOICE) == (rows[i].choices != NULL),
		   "--%s: choices if and only if it is one", rows[i].name);
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		test_refused(i);
	test_defaults();
	test_values();
	test_optional();
	test_operands();
	test_probe();
	test_guess();
	test_table(copy_option_rows, copy_option_rows_n);
	test_table(probe_option_rows, probe_option_rows_n);
	return done();
}
