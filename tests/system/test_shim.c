/* SPDX-License-Identifier: MIT */
/*
 * The preloaded library: that it copies, that it is otherwise as the kernel,
 * that it can live in any program, and that it says where it is not.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/policed.h"
#include "tap.h"

static const char mechanism[] = "preload";

static void counted(const void *arg)
{
	struct policed p;

	(void)arg;
	policed_run(&p, mechanism, "stable", "stab");
	ok(strstr(p.report, "sendfile at program-stab+0x"), "the place of a call");
	ok(strstr(p.report, "2 calls, 64.0 KiB, file to socket"), "calls and bytes");
	policed_free(&p);
	/* hole: leaves by _exit(), as fio does. */
	policed_run(&p, mechanism, "stable", "hole quiet");
	ok(strstr(p.report, "1 call, 8.0 KiB, file to pipe"), "a program that leaves by _exit()");
	policed_free(&p);
	policed_run(&p, mechanism, "stable", "hole killed");
	ok(strstr(p.report, "1 call, 8.0 KiB, file to pipe"), "a program that is killed");
	policed_free(&p);
}

static void holes(const void *arg)
{
	struct policed p;
	char words[4096];

	(void)arg;
	policed_run(&p, mechanism, "stable", "hole");
	is_str(p.out, "new\n", "a system call by itself is not caught");
	ok(strstr(p.report, "makes system calls by itself"), "which the report says");
	policed_free(&p);
	policed_run(&p, mechanism, "stable", "static");
	ok(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 125, "a static program is refused");
	policed_free(&p);
	(void)snprintf(words, sizeof(words), "hole exec %s", policed_path("static"));
	policed_run(&p, mechanism, "stable", words);
	is_str(p.out, "new\n", "one that is executed later is not caught");
	ok(strstr(p.report, "program-static is linked statically"), "which the report says");
	policed_free(&p);
	(void)snprintf(words, sizeof(words), "hole exec %s", policed_path("hole"));
	policed_run(&p, mechanism, "stable", words);
	ok(!strstr(p.report, "NOT SEEN"), "control: not of a program that it is in");
	policed_free(&p);
	if (access(policed_path("narrow"), X_OK) != 0)
		return;
	(void)snprintf(words, sizeof(words), "hole exec %s", policed_path("narrow"));
	policed_run(&p, mechanism, "stable", words);
	ok(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 0, "nor is a 32-bit program");
	ok(strstr(p.report, "program-narrow is a 32-bit program"), "which the report says");
	policed_free(&p);
}

static void setuid_program(const void *arg)
{
	char dir[] = "/tmp/decant-setuid-XXXXXX", words[8192];
	struct policed p;

	(void)arg;
	if (geteuid() != 0)
		skip("needs root");
	kit_must(mkdtemp(dir) ? 0 : -1);
	kit_sh("cp %s %s/hole", policed_path("hole"), dir);
	kit_sh("chown nobody %s/hole", dir);
	kit_sh("chmod 4755 %s/hole", dir);
	kit_sh("chmod 755 %s", dir);
	(void)snprintf(words, sizeof(words), "hole exec %s/hole quiet", dir);
	policed_run(&p, mechanism, "stable", words);
	ok(strstr(p.report, "/hole changes its user"), "a setuid program is named");
	policed_free(&p);
	kit_sh("rm -r %s", dir);
}

/* Nobody has to be there for it. */
static void alone(const void *arg)
{
	(void)arg;
	policed_orphan(mechanism, "old\n", "the policy holds when the supervisor was killed");
}

static void rings(const void *arg)
{
	struct policed p;

	(void)arg;
	policed_run(&p, mechanism, "stable", "hole ring");
	is_str(p.out, "EPERM\n", "a ring is refused under stable");
	ok(strstr(p.report, "io_uring was set up"), "and reported");
	policed_free(&p);
}

int main(void)
{
	kit_start(170);
	tap_case_seconds = 60;
	policed_cases(mechanism);
	kit_case(counted, NULL, "what was counted");
	kit_case(holes, NULL, "programs that it cannot be in");
	kit_case(setuid_program, NULL, "setuid programs");
	kit_case(alone, NULL, "without a supervisor");
	kit_case(rings, NULL, "io_uring");
	return done();
}
