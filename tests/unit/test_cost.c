/* SPDX-License-Identifier: MIT */
/* plan/cost*: estimates, and a file of costs that is never trusted. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "plan/cost.h"
#include "sys/fault.h"
#include "tap.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define HEAD "decant-cost 1\n"
#define ROW "one file tcp 1000 2000 30000 400000 1 2 3 4 5000 600\n"

static const struct route one = { .ops = { .name = "one" }, .copies = 1,
	.from_kinds = ROUTE_KIND(DECANT_END_FILE), .to_kinds = ROUTE_KIND(DECANT_END_SOCKET) };
static const struct route two = { .ops = { .name = "two" }, .copies = 2,
	.from_kinds = ROUTE_ANY, .to_kinds = ROUTE_ANY };
static const struct route two_again = { .ops = { .name = "two" }, .copies = 2,
	.from_kinds = ROUTE_ANY, .to_kinds = ROUTE_ANY };
static const struct route *const routes[] = { &one, &two, &two_again };

static struct cost_table table;

static void fresh(void)
{
	cost_init(&table, routes, 3);
}

static uint64_t estimate(uint64_t len, uint32_t cold)
{
	struct cost_estimate e;

	cost_estimate(&table, 0, COST_FROM_FILE, COST_TO_TCP, len, cold, &e);
	return e.ns;
}

/* ---------------------------------------------------------------- estimates */

static void test_estimate(void)
{
	struct cost c = { { 1000, 4000, 64000, 1000000 }, { 10, 20, 30, 40 }, 2000000, 7 };
	struct cost_estimate e, more;

	fresh();
	ok(cost_set(&table, "one", COST_FROM_FILE, COST_TO_TCP, &c), "a row is set");
	ok(!cost_set(&table, "three", COST_FROM_FILE, COST_TO_TCP, &c), "no such route");
	is_int(estimate(1, 0), 1000, "less than the smallest size costs as much");
	is_int(estimate(4 * KIB, 0), 1000, "the smallest");
	is_int(estimate(34 * KIB, 0), 2500, "half way to the next");
	is_int(estimate(64 * KIB, 0), 4000, "the next");
	is_int(estimate(MIB, 0), 64000, "the third");
	is_int(estimate(16 * MIB, 0), 1000000, "the last");
	is_int(estimate(16 * 1024 * MIB, 0), 1024000000, "beyond, in proportion");
	is_int(estimate(MIB, 1000), 2000000, "all of it cold");
	is_int(estimate(MIB, 500), 1032000, "half of it cold");
	is_int(estimate(MIB, 4000000), 2000000, "more than all is all");
	is_int(estimate(1, 1000), 1000, "never less than the start");
	c.cold_ns = 0;
	cost_set(&table, "one", COST_FROM_FILE, COST_TO_TCP, &c);
	is_int(estimate(MIB, 1000), 64000, "0: cold is as hot");
	c = (struct cost){ { COST_NS_MAX, 1, COST_NS_MAX, COST_NS_MAX },
			   { COST_NS_MAX, 1, COST_NS_MAX, COST_NS_MAX }, COST_NS_MAX, COST_NS_MAX };
	cost_set(&table, "one", COST_FROM_FILE, COST_TO_TCP, &c);
	is_int(estimate(64 * KIB - 1, 0) < COST_NS_MAX, 1, "falling lines are lines");
	cost_estimate(&table, 0, COST_FROM_FILE, COST_TO_TCP, UINT64_MAX - 1, 1000, &e);
	cost_estimate(&table, 0, COST_FROM_FILE, COST_TO_TCP, MIB, 1000, &more);
	ok(e.score == UINT64_MAX && more.score < e.score, "too large to compute is the most");
}

/* Time weighs more than CPU time, but CPU time decides between equals. */
static void test_score(void)
{
	struct cost fast = { { 1000, 1, 1, 1 }, { 1000, 1, 1, 1 }, 0, 0 };
	struct cost slow = { { 1200, 1, 1, 1 }, { 600, 1, 1, 1 }, 0, 0 };
	struct cost lean = { { 1050, 1, 1, 1 }, { 600, 1, 1, 1 }, 0, 0 };
	struct cost_estimate a, b;

	fresh();
	cost_set(&table, "one", COST_FROM_FILE, COST_TO_TCP, &fast);
	cost_set(&table, "two", COST_FROM_FILE, COST_TO_TCP, &slow);
	cost_estimate(&table, 0, COST_FROM_FILE, COST_TO_TCP, 1, 0, &a);
	cost_estimate(&table, 1, COST_FROM_FILE, COST_TO_TCP, 1, 0, &b);
	ok(a.score < b.score, "a fifth of the time is worth more than two fifths of the CPU");
	cost_set(&table, "two", COST_FROM_FILE, COST_TO_TCP, &lean);
	cost_estimate(&table, 1, COST_FROM_FILE, COST_TO_TCP, 1, 0, &b);
	ok(b.score < a.score, "a twentieth is not");
}

/* A default for a route that is gone, or named wrongly, would never be used. */
static void test_defaults(void)
{
	static struct cost_table real;
	unsigned i, k;

	cost_init(&real, route_table, route_table_n);
	for (i = 0; i < cost_defaults_n; i++) {
		const struct cost_default *d = &cost_defaults[i];

		if (!route_by_name(d->route) || d->from >= COST_FROM_MAX || d->to >= COST_TO_MAX)
			ok(false, "default %u is of no route: %s", i, d->route);
		for (k = 0; k < COST_SIZES; k++)
			if (d->cost.ns[k] == 0 || d->cost.ns[k] > COST_NS_MAX)
				ok(false, "default %u has a wrong number", i);
	}
	ok(i > 0, "%u shipped rows", i);
}

/* ------------------------------------------------------------------ parsing */

static int parse(const char *text, struct err *note, struct err *err)
{
	return cost_parse(&table, text, strlen(text), note, err);
}

static void refuse(const char *text, const char *words)
{
	static struct cost_table before;
	struct err err = { "" };

	fresh();
	before = table;
	is_int(parse(text, NULL, &err), -EINVAL, "refused: %s", words);
	ok(strstr(err.text, words), "the sentence \"%s\" has \"%s\"", err.text, words);
	is_mem(&table, &before, sizeof(table), "the table is as it was");
}

static void test_parse(void)
{
	struct err note = { "old" }, err = { "" };

	fresh();
	is_int(parse(HEAD "# a comment\n\n" ROW, &note, &err), 0, "a file: %s", err.text);
	is_str(note.text, "", "nothing to note");
	is_int(estimate(MIB, 0), 30000, "its numbers are used");
	is_int(estimate(MIB, 1000), 5000, "those for cold data too");
	is_int(parse(HEAD, NULL, NULL), 0, "an empty table");
	is_int(parse("decant-cost 1", NULL, NULL), 0, "without a newline at the end");
	is_int(parse(HEAD "  one\tfile tcp 7 7 7 7 0 0 0 0 0 0  ", NULL, NULL), 0, "blanks");
	is_int(estimate(MIB, 0), 7, "mean nothing");
	is_int(parse(HEAD "three file tcp 1 1 1 1 1 1 1 1 1 1\n" ROW, &note, NULL), 0,
	       "a route that is not here");
	ok(strstr(note.text, "1 lines are of routes that are not here"), "is noted: %s", note.text);
	is_int(estimate(MIB, 0), 30000, "and left out");
	is_int(parse(HEAD "two pipe null 1 1 1 1 1 1 1 1 1 1\n", NULL, NULL), 0, "two of a name");
	is_int(table.row[1][COST_FROM_PIPE][COST_TO_NULL].ns[0], 1, "the first has it");
	is_int(table.row[2][COST_FROM_PIPE][COST_TO_NULL].ns[0], 1, "and the second");
}

static void test_refusals(void)
{
	static char big[COST_FILE_MAX_BYTES + 2], line[COST_LINE_MAX_BYTES + 64];
	struct err err = { "" };

	refuse("", "line 1: not \"decant-cost 1\"");
	refuse("decant-cost 2\n", "line 1: not");
	refuse("\n" HEAD, "line 1: not");
	refuse(HEAD ROW "one file\n", "line 3: not \"route from to\" and 10 numbers");
	refuse(HEAD "one file tcp 1 1 1 1 1 1 1 1 1\n", "line 2: not");
	refuse(HEAD "one file tcp 1 1 1 1 1 1 1 1 1 1 1\n", "line 2: not");
	refuse(HEAD "one disk tcp 1 1 1 1 1 1 1 1 1 1\n", "\"disk\" is no kind of source");
	refuse(HEAD "one file udp 1 1 1 1 1 1 1 1 1 1\n", "\"udp\" is no kind of sink");
	refuse(HEAD "one file tcp 0 1 1 1 1 1 1 1 1 1\n", "line 2, number 1: \"0\"");
	refuse(HEAD "one file tcp 1 1 1 -1 1 1 1 1 1 1\n", "line 2, number 4: \"-1\"");
	refuse(HEAD "one file tcp 1 1 1 1 1x 1 1 1 1 1\n", "line 2, number 5: \"1x\"");
	refuse(HEAD "one file tcp 1 1 1 1 1 1 1 1 1 4000000001\n", "number 10: \"4000000001\"");
	refuse(HEAD "one file tcp 1 1 1 1 1 1 1 1 99999999999999999999999 1\n", "number 9");
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, HEAD "#", sizeof(HEAD));
	refuse(line, "line 2: longer than");
	memset(big, '\n', sizeof(big) - 1);
	refuse(big, "longer than 256 KiB");
	is_int(cost_parse(&table, "decant-cost 1\n#\0\n", 17, NULL, &err), -EINVAL, "a 0 byte");
	ok(strstr(err.text, "0 byte"), "is told: %s", err.text);
}

/* What is written is what is read, for every route and pair. */
static void test_round_trip(void)
{
	static struct cost_table before;
	struct cost c = { { 11, 22, 33, 44 }, { 55, 66, 77, 88 }, 99, COST_NS_MAX };
	struct buf text = BUF_INIT;
	struct err err = { "" };

	fresh();
	cost_set(&table, "two", COST_FROM_PROCESS, COST_TO_UNIX, &c);
	cost_set(&table, "one", COST_FROM_FILE, COST_TO_TCP_LOCAL, &c);
	before = table;
	cost_format(&table, &text);
	is_int(text.error, 0, "text");
	fresh();
	ok(memcmp(&table, &before, sizeof(table)) != 0, "control: the fresh table is another");
	is_int(cost_parse(&table, buf_str(&text), text.len, NULL, &err), 0, "read again: %s",
	       err.text);
	is_mem(&table, &before, sizeof(table), "the same");
	buf_free(&text);
}

/* -------------------------------------------------------------------- files */

static void is_path(const char *cache, const char *home, int code, const char *want)
{
	char path[COST_PATH_MAX] = "";
	struct err err = { "" };

	cache ? setenv("XDG_CACHE_HOME", cache, 1) : unsetenv("XDG_CACHE_HOME");
	home ? setenv("HOME", home, 1) : unsetenv("HOME");
	is_int(cost_path(path, &err), code, "path: %s", want ? want : err.text);
	if (want)
		is_str(path, want, "is that");
}

static void test_path(void)
{
	static char deep[COST_PATH_MAX];

	is_path("/cache", "/somebody", 0, "/cache/decant/cost");
	is_path(NULL, "/somebody", 0, "/somebody/.cache/decant/cost");
	is_path("", "/somebody", 0, "/somebody/.cache/decant/cost");
	is_path("here", "/somebody", 0, "/somebody/.cache/decant/cost");
	is_path(NULL, NULL, -ENOENT, NULL);
	is_path(NULL, "there", -ENOENT, NULL);
	memset(deep, '/', sizeof(deep) - 1);
	is_path(deep, NULL, -ENAMETOOLONG, NULL);
}

static void test_files(void)
{
	char dir[] = "/tmp/decant-cost-XXXXXX", path[64], inside[96], fifo[64];
	struct err err = { "" }, note = { "" };
	struct stat st;
	int fd;

	need(mkdtemp(dir), "directory");
	snprintf(path, sizeof(path), "%s/a/b/cost", dir);
	snprintf(inside, sizeof(inside), "%s/x", path);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	fresh();
	need(parse(HEAD ROW, NULL, NULL) == 0, "a table");
	is_int(cost_load(&table, path, &note, &err), -ENOENT, "there is none");
	is_int(cost_save(&table, path, &err), 0, "save makes directories: %s", err.text);
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "a file for the user only");
	fresh();
	is_int(cost_load(&table, path, &note, &err), 0, "load: %s", err.text);
	is_int(estimate(MIB, 0), 30000, "what was saved");
	is_int(cost_save(&table, path, NULL), 0, "save over it");
	is_int(cost_save(&table, inside, &err), -ENOTDIR, "where there is no directory");
	need(mkfifo(fifo, 0600) == 0, "fifo");
	is_int(cost_load(&table, fifo, NULL, &err), -EINVAL, "a FIFO does not hold us up");
	is_int(cost_load(&table, dir, NULL, &err), -EINVAL, "nor a directory");
	is_int(cost_load(&table, "/dev/zero", NULL, &err), -EINVAL, "nor a device");
	fd = open(path, O_WRONLY | O_TRUNC);
	need(fd >= 0 && ftruncate(fd, 1 << 30) == 0, "a large file");
	is_int(cost_load(&table, path, NULL, &err), -EINVAL, "nor a gigabyte");
	close(fd);
	need(unlink(path) == 0 && unlink(fifo) == 0, "unlink");
	snprintf(inside, sizeof(inside), "%s/a/b", dir);
	is_int(rmdir(inside), 0, "no temporary file is left");
	snprintf(inside, sizeof(inside), "%s/a", dir);
	rmdir(inside);
	rmdir(dir);
}

#ifdef DECANT_FAULTS
/* Fail the Nth call until none fails: the old file is there, or the new one. */
static void test_faults(void)
{
	char dir[] = "/tmp/decant-cost-XXXXXX", path[64];
	struct sys_fault_plan plan = { .nth = 0 };
	struct err err;
	bool fired = true;
	int r, k;

	need(mkdtemp(dir), "directory");
	snprintf(path, sizeof(path), "%s/cost", dir);
	fresh();
	need(cost_save(&table, path, NULL) == 0, "the old one");
	for (plan.nth = 1; fired && plan.nth < 200; plan.nth++) {
		fired = false;
		for (k = 0; k < 2; k++) {
			sys_fault_arm(&plan);
			r = k ? cost_load(&table, path, NULL, &err) : cost_save(&table, path, &err);
			fired = fired || sys_fault_fired() > 0;
			ok(sys_fault_fired() || r == 0, "call %lu: without a failure it works",
			   plan.nth);
			sys_fault_disarm();
			is_int(cost_load(&table, path, NULL, NULL), 0, "call %lu: a whole file",
			       plan.nth);
		}
	}
	ok(plan.nth > 8 && plan.nth < 200, "%lu calls were made to fail", plan.nth);
	unlink(path);
	is_int(rmdir(dir), 0, "no temporary file is left");
}
#else
static void test_faults(void)
{
	skip("calls are made to fail only with -Dfaults=true");
}
#endif

int main(void)
{
	test_estimate();
	test_score();
	test_defaults();
	test_parse();
	test_refusals();
	test_round_trip();
	tap_case("where the file is", test_path);
	test_files();
	tap_case("saving and loading with calls that fail", test_faults);
	return done();
}
