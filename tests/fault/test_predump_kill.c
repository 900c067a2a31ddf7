/* SPDX-License-Identifier: MIT */
/*
 * decant dies at each of its steps while it makes predumps, in every way: is the
 * process alive and right, does no directory look complete that is not, and
 * what does the next run say?  A full disk in the middle of a shadow, and in a
 * stop that is held.
 *
 * DECANT_TEST_FULL=1: each step that touches the process or the directory.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/dumped.h"
#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"

#define DEATHS 24
#define FULL_DEATHS 400
#define TOUCHING_MOST 6

struct prey {
	const char *victim;
	unsigned habits;
	const char *words;
	bool parent;             /* on an image that was made before */
	bool watch;
};

/* Wrappers that reach into the process, or change the directory. */
static const char *const touching[] = {
	"ptrace_seize", "ptrace_interrupt", "ptrace_getregset", "ptrace_setregset",
	"ptrace_syscall", "ptrace_cont", "ptrace_detach", "waitpid", "process_vm_writev",
	"pidfd_getfd", "kill", "uffdio_api", "uffdio_register", "uffdio_unregister",
	"pagemap_scan", "vm_process", "mkdir", "symlinkat", "openat", "renameat", "unlinkat",
	"pwrite", "write", "uring_write", "uring_splice", "fallocate", "pidfd_send_signal",
};

/* Dead shadows and watchers come to us: they are taken at once. */
static void orphans(void)
{
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

/* What died with decant may take a moment. */
static const char *harm_of(struct victim *v, bool quick)
{
	const char *harm = NULL;

	for (unsigned i = 0; i < 20; i++) {
		orphans();
		harm = quick ? victim_harm_quick(v) : victim_harm(v);
		if (!harm)
			break;
		kit_sleep_ms(10);
	}
	return harm;
}

/* One run that is to die so; true: it died. */
static bool die_once(struct victim *v, const struct prey *p, const char *fault)
{
	const char *harm;
	struct told t;
	bool died;

	dumped_fault = fault;
	if (p->watch)
		(void)tool(&t, 0, "predump %d -D %s/chain.1 --watch 30s", v->pid, dir);
	else
		(void)tool(&t, 0, "predump %d -D %s/chain %s %s%s", v->pid, dir, p->words,
			   p->parent ? "--parent " : "", p->parent ? dir : "");
	died = WIFSIGNALED(t.status) && WTERMSIG(t.status) == SIGKILL;
	if (!died)
		ok(WIFEXITED(t.status) && WEXITSTATUS(t.status) < 2, "%s: status 0x%x: %s", fault,
		   (unsigned)t.status, t.text);
	if (p->watch) {
		/* The watcher may die in one of these, too. */
		died |= strstr(t.text, "has ended without") != NULL;
		(void)tool(&t, 0, "predump %d -D %s/chain.2", v->pid, dir);
		died |= strstr(t.text, "has ended without") != NULL;
		dumped_fault = NULL;
		(void)tool(&t, 0, "predump --stop %d", v->pid);
	}
	dumped_fault = NULL;
	harm = harm_of(v, true);
	ok(!harm, "%s: %s", fault, harm ? harm : "well");
	return died;
}

/* What is left of it says what it is, and the next run takes it away if told to. */
static void look(struct victim *v, const struct prey *p)
{
	struct told t;

	if (p->watch) {
		for (unsigned i = 1; i < 3; i++)
			if (shell("test -e %s/chain.%u/inventory.img", dir, i) >= 0)
				ok(tool(&t, 0, "images %s/chain.%u check", dir, i), "good: %s",
				   t.text);
		(void)shell("rm -rf %s/chain.*", dir);
		return;
	}
	(void)complete("chain");
	if (has("chain", 1, "inventory.img.part")) {
		ok(!tool(&t, 0, "predump %d -D %s/chain --rounds 2", v->pid, dir) &&
		   strstr(t.text, "chain/1"), "the next run says what it found: %s", t.text);
		ok(tool(&t, 0, "predump %d -D %s/chain --rounds 2 --clean", v->pid, dir),
		   "and takes it away: %s", t.text);
	}
	kit_sh("rm -rf %s/chain", dir);
}

static unsigned steps(struct victim *v, const struct prey *p)
{
	unsigned n = 64;
	char fault[60];

	/* Those of the watcher are more than those of who starts it. */
	if (p->watch)
		return 2048;
	do {
		n *= 2;
		snprintf(fault, sizeof(fault), "%u:*:kill", n);
	} while (die_once(v, p, fault) && n < 1 << 20 && (look(v, p), true));
	look(v, p);
	return n;
}

static void run_kills(const void *arg)
{
	const struct prey *p = arg;
	unsigned n, deaths = 0, tries = kit_full() ? FULL_DEATHS : DEATHS;
	const char *harm;
	struct victim v;
	struct told t;
	char fault[60];

	begin();
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_begin(&v, p->habits, "%s", p->victim);
	if (p->parent)
		need(tool(&t, 0, "predump %d -D %s --clean", v.pid, dir), "%s", t.text);
	n = steps(&v, p);
	for (unsigned i = 0; i < tries; i++) {
		snprintf(fault, sizeof(fault), "%u:*:kill", 1 + (unsigned)(kit_random() % n));
		deaths += die_once(&v, p, fault);
		look(&v, p);
	}
	for (size_t i = 0; kit_full() && i < sizeof(touching) / sizeof(*touching); i++) {
		for (unsigned k = 1; k <= TOUCHING_MOST; k++) {
			snprintf(fault, sizeof(fault), "%u:%s:kill", k, touching[i]);
			if (!die_once(&v, p, fault))
				break;
			look(&v, p);
		}
	}
	diag("%u of %u died, of less than %u steps", deaths, tries, n);
	ok(deaths > tries / 5, "it was killed");
	harm = harm_of(&v, false);
	ok(!harm, "the victim, at last: %s", harm ? harm : "");
	victim_end(&v);
	end();
}

/* A step fails, and it does not die: an error, or done properly all the same. */
static void run_errors(const void *arg)
{
	const struct prey *p = arg;
	unsigned n, failed = 0, tries = kit_full() ? FULL_DEATHS : DEATHS;
	const char *harm;
	struct victim v;
	struct told t;
	char fault[60];

	begin();
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_begin(&v, p->habits, "%s", p->victim);
	n = steps(&v, p);
	for (unsigned i = 0; i < tries; i++) {
		snprintf(fault, sizeof(fault), "%u", 1 + (unsigned)(kit_random() % n));
		dumped_fault = fault;
		(void)tool(&t, 0, "predump %d -D %s/chain %s", v.pid, dir, p->words);
		dumped_fault = NULL;
		ok(WIFEXITED(t.status) && WEXITSTATUS(t.status) < 2, "%s: status 0x%x: %s", fault,
		   (unsigned)t.status, t.text);
		failed += t.status != 0;
		harm = harm_of(&v, true);
		ok(!harm, "%s: %s", fault, harm ? harm : "well");
		look(&v, p);
	}
	diag("%u of %u failed", failed, tries);
	harm = harm_of(&v, false);
	ok(!harm, "the victim, at last: %s", harm ? harm : "");
	victim_end(&v);
	end();
}

/* ---------------------------------------------------------------- a full disk */

static void run_full(void)
{
	static const char *const words[] = {
		"--rounds 1 --mode vmsplice", "--rounds 0 --final --mode vmsplice",
		"--rounds 0 --final --mode read", "--rounds 0 --final --leave stopped --mode read",
		"--rounds 0 --final --tree",
	};
	char *small = fs_small(FS_TMPFS, 8);
	const char *harm;
	struct victim v;
	struct told t;

	snprintf(dir, sizeof(dir), "%s", small);
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_begin(&v, 0, "counter --mib 32 --rate 10");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		ok(!tool(&t, 0, "predump %d -D %s/a %s", v.pid, dir, words[i]), "%s", words[i]);
		ok(strstr(t.text, "space") || strstr(t.text, "ENOSPC"), "  it says why: %s",
		   t.text);
		ok(shell("test ! -e %s/a/inventory.img", dir) >= 0, "  nothing looks complete");
		is_int(shell("ls -A %s | wc -l", dir), 0, "  and nothing is left");
		harm = harm_of(&v, false);
		ok(!harm, "  the victim: %s", harm ? harm : "");
	}
	victim_end(&v);
	fs_drop(small);
}

int main(void)
{
	static const struct prey preys[] = {
		{ "counter --mib 4 --rate 50", 0, "--rounds 2 --final", false, false },
		{ "counter --mib 4 --rate 50", 0, "--rounds 2 --final --mode vmsplice", false,
		  false },
		{ "counter --mib 32 --rate 50", 0, "--rounds 0 --final --mode read", false, false },
		{ "blocker nanosleep --ms 4", 0, "--rounds 1 --final --tree", false, false },
		{ "counter --mib 4 --threads 2", 0, "--rounds 1", true, false },
		{ "counter --mib 4 --rate 50", 0, "", false, true },
	};

	need_root();
	kit_start(300);
	fs_start();
	tap_case_seconds = kit_full() ? 3000 : 100;
	for (size_t i = 0; i < sizeof(preys) / sizeof(*preys); i++)
		kit_case(run_kills, &preys[i], "killed: %s, %s%s%s", preys[i].victim,
			 preys[i].words, preys[i].parent ? " on a parent" : "",
			 preys[i].watch ? "watched" : "");
	for (size_t i = 0; i < 4; i++)
		kit_case(run_errors, &preys[i], "failing: %s, %s", preys[i].victim, preys[i].words);
	tap_case("the disk is full", run_full);
	return done();
}
