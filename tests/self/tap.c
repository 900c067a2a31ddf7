/* SPDX-License-Identifier: MIT */
/*
 * tap.h on itself: this program runs itself with the name of a small bad test
 * and looks at what that printed and how it ended.
 */
#include "tap.h"

#include <fcntl.h>

/* ------------------------------------------------------- the small tests */

static void passes(void)
{
	ok(true, "holds");
}

static void check_fails(void)
{
	is_int(-EIO, 0, "a result");
}

static void helper_fails(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		ok(false, "seen by the helper");
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
}

static void crashes(void)
{
	/* Not through a sanitizer's handler: a plain death. */
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
}

static void hangs(void)
{
	for (;;)
		(void)pause();
}

static void exits(void)
{
	_exit(3);
}

static void skips(void)
{
	skip("no %s", "moon");
}

static void gives_up(void)
{
	need(open("/nonexistent", O_RDONLY) >= 0, "cannot open");
}

static void hangs_with_helper(void)
{
	if (fork() == 0)
		hangs();
	hangs();
}

static const struct small {
	const char *name;
	void (*fn)(void);
	const char *point; /* what is printed for it */
	const char *says;  /* and in a comment; "" none */
} small[] = {
	{ "passes", passes, "ok 1 - passes\n", "" },
	{ "check-fails", check_fails, "not ok 1 - check-fails\n", "got -5 = -EIO, wanted 0" },
	{ "helper-fails", helper_fails, "not ok 1 - helper-fails\n", "seen by the helper" },
	{ "crashes", crashes, "not ok 1 - crashes\n", "signal 11" },
	{ "hangs", hangs, "not ok 1 - hangs\n", "still running after" },
	{ "hangs-with-helper", hangs_with_helper, "not ok 1 - hangs-with-helper\n", "killed" },
	{ "exits", exits, "not ok 1 - exits\n", "exit status 3" },
	{ "skips", skips, "ok 1 - skips # SKIP no moon\n", "" },
	{ "gives-up", gives_up, "not ok 1 - gives-up\n", "cannot open" },
};

#define SMALL_N (sizeof(small) / sizeof(small[0]))

static int small_main(const char *name)
{
	tap_case_seconds = 1;
	for (unsigned i = 0; i < SMALL_N; i++)
		if (strcmp(small[i].name, name) == 0)
			tap_case(name, small[i].fn);
	if (strcmp(name, "short-plan") == 0) {
		plan(2);
		ok(true, "one of two");
	}
	if (strcmp(name, "skip-all") == 0)
		skip_all("not today");
	if (strcmp(name, "bails") == 0)
		bail("no %s", "floor");
	if (strcmp(name, "differs") == 0) {
		is_str("a", "b", "strings");
		is_mem("abcd", "abxd", 4, "bytes");
		is_str(NULL, NULL, "no strings");
	}
	return done();
}

/* -------------------------------------------------------- looking at them */

/* What `self name` prints; returns its wait status. */
static int run_self(const char *name, char *text, size_t size)
{
	char command[256];
	size_t used;
	FILE *f;

	(void)snprintf(command, sizeof(command), "/proc/%d/exe %s 2>&1", getpid(), name);
	f = popen(command, "r");
	need(f, "popen");
	used = fread(text, 1, size - 1, f);
	text[used] = '\0';
	return pclose(f);
}

int main(int argc, char **argv)
{
	char text[8192];
	int status;

	if (argc > 1)
		return small_main(argv[1]);

	for (unsigned i = 0; i < SMALL_N; i++) {
		const struct small *s = &small[i];
		bool good = s->point[0] == 'o';

		status = run_self(s->name, text, sizeof(text));
		if (!ok(strstr(text, s->point) && strstr(text, s->says), "%s: seen", s->name))
			diag("printed: %s", text);
		is_int(status, good ? 0 : 256, "%s: exit status", s->name);
	}

	status = run_self("short-plan", text, sizeof(text));
	ok(status != 0 && strstr(text, "1..2\nok 1 - one of two\n"), "a short plan is a failure");
	status = run_self("skip-all", text, sizeof(text));
	is_str(text, "1..0 # SKIP not today\n", "a test that is skipped says why");
	is_int(status, 0, "and has not failed");
	status = run_self("bails", text, sizeof(text));
	is_str(text, "Bail out! no floor\n", "a test that gives up says why");
	ok(status != 0, "and has failed");
	status = run_self("differs", text, sizeof(text));
	ok(strstr(text, "not ok 1") && strstr(text, "not ok 2") && strstr(text, "\nok 3"),
	   "strings and bytes are compared");
	ok(strstr(text, "byte 2 of 4"), "the first different byte is named");
	return done();
}
