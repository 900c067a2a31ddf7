/* SPDX-License-Identifier: MIT */
/*
 * A program whose vmsplice is another one by policy, line by line next to the
 * same program making the other calls itself.  Each case in tests/victims/
 * semantics.c; for 64-bit, static and i386 programs.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kit.h"
#include "tap.h"

#define RUN_TEXT_MAX 65536

static const char *const run_cases[] = {
	"basic", "later", "read", "flags", "bad", "full", "o_nonblock", "slots", "blocking",
	"epipe", "signal", "stopped", "fifo", "after_splice", "registers", "threads", "private",
	"closed", "processes", "thread_exec", "storm",
};

#define RUN_CASES (sizeof(run_cases) / sizeof(run_cases[0]))

struct run_row {
	const char *name, *mechanism, *program;
	unsigned version;
	bool kernel;
};

/* stdout of a program, and its wait status. */
static int run_output(const char *const *argv, char ret[RUN_TEXT_MAX])
{
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	kit_must(pipe2(fds, O_CLOEXEC));
	pid = kit_must(fork());
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	close(fds[1]);
	while (len < RUN_TEXT_MAX - 1 && (n = read(fds[0], ret + len, RUN_TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	ret[len] = '\0';
	close(fds[0]);
	kit_must(waitpid(pid, &status, 0));
	return status;
}

static void run_names(const struct run_row *row, char program[512], char policy[64],
		      char version[4])
{
	snprintf(program, 512, "%s/tests/victims/%s", getenv("DECANT_BUILD"), row->program);
	snprintf(policy, 64, "--policy=copy-v%u,nowait=%s", row->version,
		 row->kernel ? "kernel" : "ideal");
	snprintf(version, 4, "v%u", row->version);
}

static void run_row(const void *arg)
{
	const struct run_row *row = arg;
	static char want[RUN_TEXT_MAX], got[RUN_TEXT_MAX];
	char program[512], policy[64], version[4], mechanism[32];
	const char *reference[] = { program, row->name, version, row->kernel ? "kernel" : NULL,
				    NULL };
	const char *command[] = { getenv("DECANT"), "run", policy, mechanism, "--", program,
				  row->name, "call", NULL };

	run_names(row, program, policy, version);
	snprintf(mechanism, sizeof(mechanism), "--mechanism=%s", row->mechanism);
	setenv("SEM_WRITES", kit_full() ? "100000" : "5000", 1);
	is_int(run_output(reference, want), 0, "the reference ends well");
	setenv("SEM_POLICY", "1", 1);
	if (row->version == 2)
		setenv("SEM_POLICY_V2", "1", 1);
	is_int(run_output(command, got), 0, "under the policy, too");
	ok(want[0], "it says something");
	is_str(got, want, "and says the same");
}

static void run_program(const char *mechanism, const char *program, bool all)
{
	for (unsigned k = 0; k < 4; k++) {
		struct run_row row = { .mechanism = mechanism, .program = program,
				       .version = 1 + k % 2, .kernel = k / 2 };

		for (size_t i = 0; i < RUN_CASES; i++) {
			bool nowait = strcmp(run_cases[i], "fifo") == 0 ||
				      strcmp(run_cases[i], "after_splice") == 0;

			/* The other axis matters to these only. */
			if (!kit_full() && ((row.kernel && !nowait) || (!all && k != 1 && !nowait)))
				continue;
			row.name = run_cases[i];
			kit_case(run_row, &row, "%s: %s: copy-v%u, nowait=%s: %s", mechanism,
				 program, row.version, row.kernel ? "kernel" : "ideal", row.name);
		}
	}
}

/* ------------------------------------------------------------------- controls */

/* Natively a later write is seen; the comparison sees that. */
static void control_later(void)
{
	static char native[RUN_TEXT_MAX], reference[RUN_TEXT_MAX];
	char program[512];
	const char *argv[] = { program, "later", "call", NULL };

	snprintf(program, sizeof(program), "%s/tests/victims/victim-semantics",
		 getenv("DECANT_BUILD"));
	run_output(argv, native);
	argv[2] = "v2";
	run_output(argv, reference);
	ok(strstr(native, "is seen"), "natively it is seen");
	ok(strstr(reference, "is not seen"), "a copy does not show it");
	ok(strcmp(native, reference) != 0, "the lines differ");
}

/* So does every case that the semantics differ in. */
static void control_differs(void)
{
	static const char *const differ[][2] = {
		{ "fifo", "v1" }, { "after_splice", "v2" }, { "o_nonblock", "v2" },
	};
	static char native[RUN_TEXT_MAX], reference[RUN_TEXT_MAX];
	char program[512];

	snprintf(program, sizeof(program), "%s/tests/victims/victim-semantics",
		 getenv("DECANT_BUILD"));
	for (size_t i = 0; i < sizeof(differ) / sizeof(differ[0]); i++) {
		const char *argv[] = { program, differ[i][0], "call", NULL, NULL };

		run_output(argv, native);
		argv[2] = differ[i][1];
		argv[3] = "kernel";
		run_output(argv, reference);
		ok(strcmp(native, reference) != 0, "%s differs", differ[i][0]);
	}
}

int main(void)
{
	kit_start(600);
	tap_case_seconds = kit_full() ? 90 : 40;
	unsetenv("SEM_POLICY");
	unsetenv("SEM_POLICY_V2");
	tap_case("control: natively a later write is seen", control_later);
	tap_case("control: cases show where the semantics differ", control_differs);
	run_program("trace", "victim-semantics", true);
	run_program("trace", "victim-semantics-static", false);
	run_program("trace", "victim-semantics-32", false);
	run_program("notify", "victim-semantics", true);
	run_program("notify", "victim-semantics-static", false);
	run_program("notify", "victim-semantics-32", false);
	run_program("preload", "victim-semantics", true);
	return done();
}
