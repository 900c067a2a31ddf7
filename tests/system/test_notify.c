/* SPDX-License-Identifier: MIT */
/*
 * The supervisor beside the program: that it copies, that it is otherwise as
 * the kernel, that signals, stops, tracers and its own death come through.
 */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/policed.h"
#include "tap.h"

static const char mechanism[] = "notify";

static void everything(const void *arg)
{
	struct policed p;

	(void)arg;
	policed_run(&p, mechanism, "stable", "hole");
	is_str(p.out, "old\n", "a system call by itself");
	policed_free(&p);
	policed_run(&p, mechanism, "stable", "static");
	is_str(p.out, "old\n", "a static program");
	policed_free(&p);
	if (access(policed_path("narrow"), X_OK) != 0)
		return;
	policed_run(&p, NULL, NULL, "narrow");
	ok(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 0, "control: a 32-bit program natively");
	policed_free(&p);
	policed_run(&p, mechanism, "stable", "narrow");
	ok(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 1, "and under the policy");
	policed_free(&p);
}

static void counted(const void *arg)
{
	struct policed p;

	(void)arg;
	policed_run(&p, mechanism, "stable", "stab");
	ok(strstr(p.report, "sendfile at by_socket+0x"), "the place of a call");
	ok(strstr(p.report, "2 calls, 64.0 KiB, file to socket"), "calls and bytes");
	policed_free(&p);
}

/* What the program gets: the calls fail, and it runs on. */
static void orphan(const void *arg)
{
	(void)arg;
	policed_orphan(mechanism, "ENOSYS\n", "a call after the supervisor's death");
}

static void rings(const void *arg)
{
	struct policed p;

	(void)arg;
	policed_run(&p, mechanism, "stable", "hole ring");
	is_str(p.out, "EPERM\n", "a ring is refused under stable");
	policed_free(&p);
	policed_run(&p, mechanism, "audit", "hole ring");
	ok(strcmp(p.out, "EPERM\n") != 0, "control: not under audit");
	ok(strstr(p.report, "io_uring"), "but reported");
	policed_free(&p);
}

/* A tracer that comes while a thread is blocked gets its stop. */
static void tracer(const void *arg)
{
	char text[64] = "";
	int out, status;
	pid_t pid = policed_start(mechanism, "copy-v2", "hole blocked", &out), victim;
	uint64_t before;

	(void)arg;
	need(read(out, text, sizeof(text) - 1) > 0, "the program runs");
	victim = atoi(text);
	kit_sleep_ms(100);
	before = kit_now_ns();
	need(ptrace(PTRACE_SEIZE, victim, 0, 0) == 0, "seize");
	need(ptrace(PTRACE_INTERRUPT, victim, 0, 0) == 0, "interrupt");
	is_int(waitpid(victim, &status, __WALL), victim, "it stops");
	ok(WIFSTOPPED(status), "for us");
	diag("after %.1f ms", (double)(kit_now_ns() - before) / 1e6);
	ok(kit_now_ns() - before < 1000000000u, "soon");
	(void)ptrace(PTRACE_DETACH, victim, 0, 0);
	kit_must(kill(victim, SIGUSR1)); /* its handler empties the pipe */
	memset(text, 0, sizeof(text));
	(void)read(out, text, sizeof(text) - 1);
	is_str(text, "4096 once\n", "and its call goes on as if nothing had been");
	(void)close(out);
	kit_must(waitpid(pid, &status, 0));
}

int main(void)
{
	kit_start(170);
	tap_case_seconds = 60;
	policed_cases(mechanism);
	kit_case(everything, NULL, "raw calls, static and 32-bit programs");
	kit_case(counted, NULL, "what was counted");
	kit_case(orphan, NULL, "the supervisor is killed");
	kit_case(rings, NULL, "io_uring");
	kit_case(tracer, NULL, "a tracer comes");
	return done();
}
