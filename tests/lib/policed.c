/* SPDX-License-Identifier: MIT */
#include "lib/policed.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "tap.h"

#define POLICED_WORDS 24

const char *policed_path(const char *name)
{
	static char path[4096];
	const char *build = getenv("DECANT_BUILD");

	if (name[0] == '/' || strcmp(name, "sh") == 0)
		return name;
	(void)snprintf(path, sizeof(path), "%s/tests/programs/program-%s", build ? build : ".",
		       name);
	return path;
}

/* What to execute; texts live in `room`. */
static void policed_words(const char *mechanism, const char *policy, const char *report,
			  const char *words, char *room, size_t size, char *argv[])
{
	static char arg[3][256];
	size_t n = 0, len;
	char *save, *word;

	if (mechanism) {
		argv[n++] = getenv("DECANT") ? getenv("DECANT") : (char *)"decant";
		argv[n++] = (char *)"run";
		(void)snprintf(arg[0], sizeof(arg[0]), "--mechanism=%s", mechanism);
		(void)snprintf(arg[1], sizeof(arg[1]), "--policy=%s", policy);
		argv[n++] = arg[0];
		argv[n++] = arg[1];
		if (report) {
			(void)snprintf(arg[2], sizeof(arg[2]), "--report=%s", report);
			argv[n++] = arg[2];
		}
		argv[n++] = (char *)"--";
	}
	len = (size_t)snprintf(room, size, "%s", words);
	need(len < size, "words fit");
	for (word = strtok_r(room, " ", &save); word && n + 1 < POLICED_WORDS;
	     word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	argv[n] = NULL;
}

static pid_t policed_fork(const char *mechanism, const char *policy, const char *report,
			  const char *words, int *ret_out)
{
	char room[4096], path[4096], *argv[POLICED_WORDS];
	size_t first = mechanism ? report ? 6 : 5 : 0;
	int p[2];
	pid_t pid;

	policed_words(mechanism, policy, report, words, room, sizeof(room), argv);
	(void)snprintf(path, sizeof(path), "%s", policed_path(argv[first]));
	argv[first] = path;
	kit_must(pipe2(p, O_CLOEXEC));
	pid = kit_must(fork());
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(p[1], 1);
		(void)execvp(argv[0], argv);
		_exit(126);
	}
	(void)close(p[1]);
	*ret_out = p[0];
	return pid;
}

pid_t policed_start(const char *mechanism, const char *policy, const char *words, int *ret_out)
{
	return policed_fork(mechanism, policy, NULL, words, ret_out);
}

static char *policed_read(int fd)
{
	char *text = malloc(POLICED_TEXT * 64);
	size_t len = 0;
	ssize_t n;

	need(text, "memory");
	while ((n = read(fd, text + len, POLICED_TEXT * 64 - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

void policed_run(struct policed *ret, const char *mechanism, const char *policy, const char *words)
{
	char report[] = "/tmp/decant-policed-XXXXXX";
	int report_fd = kit_must(mkstemp(report)), out;
	pid_t pid = policed_fork(mechanism, policy, report, words, &out);

	ret->out = policed_read(out);
	(void)close(out);
	kit_must(waitpid(pid, &ret->status, 0));
	ret->report = policed_read(report_fd);
	(void)close(report_fd);
	(void)unlink(report);
}

void policed_free(struct policed *p)
{
	free(p->out);
	free(p->report);
}

/* ------------------------------------------------------------------ cases */

/* The program says "ok" and nothing else. */
static void policed_says(const char *mechanism, const char *policy, const char *words,
			 const char *want)
{
	struct policed p;

	policed_run(&p, mechanism, policy, words);
	is_int(p.status, 0, "%s under %s: exit status", words, policy);
	is_str(p.out, want, "%s under %s", words, policy);
	policed_free(&p);
}

static void policed_stab(const void *mechanism)
{
	static const char *const ways[] = { "splice", "f_pos", "sendfile-pipe", "sendfile-unix",
					    "sendfile-tcp", "tee", "file-tee", "file-pipe-tcp",
					    "memfd", "memfd-mmap" };
	struct policed native, stable;

	policed_run(&native, NULL, NULL, policed_path("stab"));
	policed_run(&stable, mechanism, "stable", "stab");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char line[64];

		(void)snprintf(line, sizeof(line), "%s new\n", ways[i]);
		ok(strstr(native.out, line), "control: natively %s shows the later write", ways[i]);
		(void)snprintf(line, sizeof(line), "%s old\n", ways[i]);
		ok(strstr(stable.out, line), "stable: %s does not", ways[i]);
	}
	ok(!strstr(stable.out, "new\n") && !strstr(stable.out, "#"), "and nothing else is said");
	policed_free(&native);
	policed_free(&stable);
}

/* First line that differs. */
static void policed_compare(const char *a, const char *b, const char *what)
{
	size_t line = 1;

	if (strcmp(a, b) == 0)
		return;
	while (*a && *a == *b) {
		line += *a == '\n';
		a++;
		b++;
	}
	while (line > 1 && a[-1] != '\n') {
		a--;
		b--;
	}
	diag("line %zu should be: %.*s", line, (int)strcspn(a, "\n"), a);
	diag("line %zu is: %.*s", line, (int)strcspn(b, "\n"), b);
	ok(false, "%s: as the kernel does it", what);
}

/* other NULL: natively. */
static void policed_differ(const char *mechanism, const char *other, const char *policy,
			   const char *extra)
{
	struct policed want, under;
	char words[128];

	(void)snprintf(words, sizeof(words), "contract %llu %d%s",
		       (unsigned long long)(kit_random() >> 1), kit_full() ? 4000 : 1000, extra);
	policed_run(&want, other, policy, words);
	policed_run(&under, mechanism, policy, words);
	is_int(want.status, 0, "%s by %s", words, other ? other : "the kernel");
	is_int(under.status, 0, "%s under %s", words, policy);
	ok(strlen(want.out) > 10000, "%s: there is something to compare", words);
	policed_compare(want.out, under.out, words);
	policed_free(&want);
	policed_free(&under);
}

static void policed_contract(const void *mechanism)
{
	for (int i = 0; i < (kit_full() ? 40 : 6); i++)
		policed_differ(mechanism, NULL, "stable", "");
}

/* Under trace the kernel itself carries out what vmsplice has become. */
static void policed_vmsplice(const void *mechanism)
{
	static const char *const policies[] = { "copy-v1", "copy-v2", "copy-v1,nowait=kernel",
						"copy-v2,nowait=kernel", "deny" };

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		policed_differ(mechanism, "trace", policies[i], " vmsplice");
}

static void policed_storm(const void *mechanism)
{
	static const char *const how[][2] = {
		{ "vmsplice", "copy-v1" }, { "vmsplice", "copy-v2" }, { "splice", "stable" },
		{ "sendfile", "stable" }, { "tee", "stable" }, { "socket", "stable" },
	};

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		char words[64];

		(void)snprintf(words, sizeof(words), "storm %s 4000", how[i][0]);
		policed_says(mechanism, how[i][1], words, "ok\n");
		(void)snprintf(words, sizeof(words), "storm %s 4000 restart", how[i][0]);
		policed_says(mechanism, how[i][1], words, "ok\n");
	}
}

static void policed_storm_long(const void *mechanism)
{
	struct policed p;

	/* Pages that are lent show what the writer made of its buffer since. */
	policed_run(&p, NULL, NULL, "storm vmsplice 4000");
	ok(p.status != 0 && strstr(p.out, "wrong"), "control: natively a wrong byte is seen");
	policed_free(&p);
	policed_says(mechanism, "copy-v2", "storm vmsplice 100000", "ok\n");
	policed_says(mechanism, "stable", "storm splice 100000", "ok\n");
}

static void policed_crowd(const void *mechanism)
{
	struct policed p;

	policed_run(&p, NULL, NULL, "crowd 8");
	ok(strstr(p.out, "data"), "control: natively changed data is seen");
	policed_free(&p);
	policed_says(mechanism, "copy-v1", "crowd 8", "ok\n");
	policed_says(mechanism, "copy-v2", "crowd 8", "ok\n");
	policed_says(mechanism, "copy-v2", "crowd 40", "ok\n");
}

static void policed_signals(const void *mechanism)
{
	policed_says(NULL, "legacy", "crowd signals", "ok\n");
	policed_says(mechanism, "copy-v1", "crowd signals", "ok\n");
	policed_says(mechanism, "copy-v2", "crowd signals", "ok\n");
}

static void policed_stop(const void *mechanism)
{
	policed_says(mechanism, "copy-v2", "crowd stop", "ok\n");
}

static void policed_life(const void *mechanism)
{
	struct policed p;

	policed_run(&p, NULL, NULL, "hole life");
	ok(strstr(p.out, "by number"), "control: natively it is not stable");
	policed_free(&p);
	policed_says(mechanism, "stable", "hole life", "ok\n");
}

static void policed_status(const void *mechanism)
{
	struct policed p;

	policed_run(&p, mechanism, "stable", "sh -c exit${IFS}7");
	ok(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 7, "exit status 7 comes through");
	policed_free(&p);
	policed_run(&p, mechanism, "deny", "hole deny");
	is_str(p.out, "ENOSYS\n", "vmsplice under deny");
	policed_free(&p);
	/* Who traces it for a moment sees stops, and they are not its end. */
	policed_run(&p, mechanism, "copy-v2", "crowd first");
	ok(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 7,
	   "and of one whose first thread was interrupted often (%x)", (unsigned)p.status);
	policed_free(&p);
}

void policed_cases(const char *mechanism)
{
	kit_case(policed_stab, mechanism, "later writes are not seen");
	kit_case(policed_contract, mechanism, "results, errors, offsets and data as natively");
	kit_case(policed_vmsplice, mechanism, "vmsplice as the kernel's own pwritev2 and preadv2");
	kit_case(policed_storm, mechanism, "signals: no byte lost or doubled");
	kit_case(policed_storm_long, mechanism, "100,000 records in a storm");
	kit_case(policed_crowd, mechanism, "many writers and readers");
	kit_case(policed_signals, mechanism, "signals of a process with blocked threads");
	kit_case(policed_stop, mechanism, "a stop while a thread is blocked");
	kit_case(policed_life, mechanism, "threads, handlers, fork, exec, no environment");
	kit_case(policed_status, mechanism, "exit status, and deny");
}

void policed_orphan(const char *mechanism, const char *want, const char *what)
{
	char text[64] = "";
	int out, status;
	pid_t pid = policed_start(mechanism, "stable", "hole late", &out);

	need(read(out, text, sizeof(text)) > 0, "the program runs");
	kit_must(kill(pid, SIGKILL));
	kit_must(waitpid(pid, &status, 0));
	memset(text, 0, sizeof(text));
	(void)!read(out, text, sizeof(text) - 1);
	is_str(text, want, "%s", what);
	(void)close(out);
}
