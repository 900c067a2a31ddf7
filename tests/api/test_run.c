/* SPDX-License-Identifier: MIT */
/* decant_run() as a library's function: misuse, callbacks, and a caller that notices nothing. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "decant.h"
#include "lib/kit.h"
#include "tap.h"

static int run(const char *policy, uint32_t report, const char *const *argv,
	       struct decant_run_result *ret)
{
	struct decant_run_options o = DECANT_RUN_OPTIONS_INIT;
	struct decant_run_result result = DECANT_RUN_RESULT_INIT;

	o.policy = policy;
	o.report = report;
	*ret = result;
	return decant_run(&o, argv, ret);
}

static const char *const just_true[] = { "true", NULL };

static void misuse(void)
{
	struct decant_run_options o = DECANT_RUN_OPTIONS_INIT;
	struct decant_run_result r = DECANT_RUN_RESULT_INIT;
	const char *const none[] = { NULL };

	o.policy = "legacy";
	is_int(decant_run(&o, just_true, NULL), -EINVAL, "no result");
	is_int(decant_run(NULL, just_true, &r), -EINVAL, "no options");
	ok(r.message[0], "says why: %s", r.message);
	is_int(decant_run(&o, NULL, &r), -EINVAL, "no argv");
	is_int(decant_run(&o, none, &r), -EINVAL, "an empty argv");
	r.size = 1;
	is_int(decant_run(&o, just_true, &r), -EINVAL, "a small result");
	r.size = sizeof(r);
	o.size = 4;
	is_int(decant_run(&o, just_true, &r), -EINVAL, "small options");
	o.size = sizeof(o);
	o.mechanism = 99;
	is_int(decant_run(&o, just_true, &r), -EINVAL, "an unknown mechanism");
	o.mechanism = 0;
	o.report = 99;
	is_int(decant_run(&o, just_true, &r), -EINVAL, "an unknown form");
	o.report = 0;
	o.policy = NULL;
	is_int(decant_run(&o, just_true, &r), -EINVAL, "no policy");
	o.policy = "stable";
	o.mechanism = DECANT_MECHANISM_TRACE;
	is_int(decant_run(&o, just_true, &r), -ENOTSUP, "trace cannot do stable");
	ok(strstr(r.message, "stable"), "says why: %s", r.message);
}

static void results(void)
{
	const char *const sh[] = { "sh", "-c", "exit 5", NULL };
	const char *const no[] = { "/nonexistent", NULL };
	struct decant_run_result r;

	is_int(run("copy-v2", DECANT_REPORT_NONE, sh, &r), 0, "runs");
	ok(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 5, "with its status");
	is_str(r.mechanism, "trace", "by trace");
	ok(!r.report, "without a report");
	is_int(run("deny", DECANT_REPORT_NONE, sh, &r), 0, "deny");
	is_str(r.mechanism, "none", "needs no supervisor");
	is_int(run("audit", DECANT_REPORT_TEXT, just_true, &r), 0, "audit");
	ok(r.report && strstr(r.report, "policy legacy,audit"), "has a report");
	free(r.report);
	is_int(run("legacy", DECANT_REPORT_NONE, no, &r), -ENOENT, "not there");
	ok(strstr(r.message, "/nonexistent"), "says what: %s", r.message);
}

static volatile sig_atomic_t children;

static void on_child(int sig)
{
	(void)sig;
	children++;
}

/* Children, signal mask, descriptors and threads of the caller's are as they were. */
static void caller(void)
{
	const char *const sh[] = { "sh", "-c", "true & true & wait", NULL };
	unsigned fds = 0, after = 0;
	struct decant_run_result r;
	sigset_t set, now;
	int status;
	pid_t own;

	signal(SIGCHLD, on_child);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (int i = 0; i < 256; i++)
		fds += fcntl(i, F_GETFD) >= 0;
	own = kit_must(fork());
	if (own == 0)
		_exit(9);
	kit_sleep_ms(50);
	for (int i = 0; i < 3; i++)
		is_int(run(i == 1 ? "deny" : "copy-v2", DECANT_REPORT_TEXT, sh, &r), 0, "runs"),
			free(r.report);
	is_int(waitpid(own, &status, WNOHANG), own, "the caller's child is the caller's");
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 9, "with its status");
	is_int(waitpid(-1, &status, WNOHANG), -1, "no other is left");
	sigprocmask(SIG_SETMASK, NULL, &now);
	ok(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGCHLD), "the mask is as it was");
	for (int i = 0; i < 256; i++)
		after += fcntl(i, F_GETFD) >= 0;
	is_int(after, fds, "no descriptor is left");
	is_int((intmax_t)kit_status("Threads"), 1, "no thread is left");
}

static void *run_thread(void *arg)
{
	const char *const sh[] = { "sh", "-c", arg, NULL };
	struct decant_run_result r;

	for (int i = 0; i < 5; i++) {
		int e = run("copy-v2,audit", DECANT_REPORT_JSON, sh, &r);

		ok(e == 0 && r.report, "one of several: %s", r.message);
		ok(WIFEXITED(r.status) && WEXITSTATUS(r.status) == ((char *)arg)[5] - '0',
		   "has its own status");
		free(r.report);
	}
	return NULL;
}

static void several(void)
{
	static char exits[3][8] = { "exit 1", "exit 2", "exit 3" };
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, run_thread, exits[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static pid_t told;
static int lines;

static void on_start(void *arg, pid_t pid)
{
	(void)arg;
	told = pid;
}

static void on_line(void *arg, const char *text)
{
	(void)text;
	is_int(*(int *)arg, 42, "the argument is handed on");
	lines++;
}

static void callbacks(void)
{
	char victim[512];
	const char *const argv[] = { victim, "later", "call", NULL };
	struct decant_run_options o = DECANT_RUN_OPTIONS_INIT;
	struct decant_run_result r = DECANT_RUN_RESULT_INIT;
	int arg = 42;

	snprintf(victim, sizeof(victim), "%s/tests/victims/victim-semantics",
		 getenv("DECANT_BUILD"));
	o.policy = "warn";
	o.started = on_start;
	o.line = on_line;
	o.arg = &arg;
	(void)!freopen("/dev/null", "w", stdout);
	is_int(decant_run(&o, argv, &r), 0, "runs");
	ok(told > 0, "the number was told");
	is_int(lines, 1, "and the one use of SPLICE_F_GIFT");
	is_int((intmax_t)r.calls, 1, "which was counted");
}

int main(void)
{
	kit_start(120);
	tap_case("misuse is refused with a sentence", misuse);
	tap_case("results", results);
	tap_case("the caller notices nothing", caller);
	tap_case("several at a time", several);
	tap_case("callbacks", callbacks);
	return done();
}
