/* SPDX-License-Identifier: MIT */
/*
 * Images of a process and its descendants that fail, and a decant that is killed
 * while all of them stand: do they run on, and is the next image right?
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decant.h"
#include "lib/dumped.h"
#include "lib/grouped.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"

#define KILLS 40
#define FULL_KILLS 1000

static int cancel(void *arg, const struct decant_capture_progress *p)
{
	unsigned *left = arg;

	(void)p;
	return *left ? (*left)--, 0 : 1;
}

/*
 * Images that fail, at any time of theirs, running and in the stop, while
 * processes come and go: what they had looked at already is in the next one.
 */
static void run_failures(void)
{
	static const struct grouped g = { "--brood --mib 4 --nap 5000", "", false, 3, 1, 1 };
	struct decant_predump_options o = DECANT_PREDUMP_OPTIONS_INIT;
	unsigned tries = kit_full() ? 200 : 12, failed = 0, left;
	struct decant_predump_chain *c = NULL;
	struct decant_target *target = NULL;
	struct decant *d = NULL;
	pid_t pids[FAMILY_MAX];
	char path[400], image[40];
	struct victim v;
	struct grouped_seen s;
	struct told t;

	grouped_begin(&v, &g);
	grouped_pids(&v, pids, g.n);
	kit_must(decant_open(&d, NULL));
	kit_must(decant_target_open(d, &target, v.pid));
	o.flags = DECANT_PREDUMP_TREE;
	need(decant_predump_begin(d, &c, target, &o) == 0, "%s", decant_strerror(d));
	o.progress = cancel;
	o.arg = &left;
	for (unsigned i = 0; i <= tries; i++) {
		bool last = i == tries, final = last || i & 1;

		/* One in four is good; each process tells of progress more than once. */
		o.flags = final ? DECANT_PREDUMP_FINAL : 0;
		left = last || i % 4 == 0 ? UINT_MAX : (unsigned)(kit_random() % (final ? 3 : 8));
		snprintf(image, sizeof(image), "i%u", i);
		snprintf(path, sizeof(path), "%s/%s", dir, image);
		if (decant_predump_next(c, path, &o, NULL) < 0)
			failed++;
		else if (final)
			break;
	}
	ok(failed > tries / 4, "%u of them failed", failed);
	ok(tool(&t, 0, "images %s check", path), "good: %s", t.text);
	grouped_see_all(&s, image, pids, g.n);
	ok(grouped_one_instant(&s), "of one instant: %s", s.what);
	decant_predump_end(c);
	decant_target_close(target);
	decant_close(d);
	grouped_end(&v);
}

static bool all_run(const pid_t *pids, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char state = '?';

		for (unsigned k = 0; k < GROUPED_THAW_MS / 10; k++) {
			state = state_of(pids[i]);
			if (state == 'R' || state == 'S')
				break;
			kit_sleep_ms(10);
		}
		if (state != 'R' && state != 'S')
			return false;
	}
	return true;
}

/* At each step that is tried they run on, and nothing looks complete that is not. */
static void run_kills(const void *arg)
{
	const struct grouped *g = arg;
	unsigned deaths = 0, n = 2, kills = kit_full() ? FULL_KILLS : KILLS;
	pid_t pids[FAMILY_MAX];
	char fault[40];
	struct victim v;
	struct told t;
	bool well = true;

	grouped_begin(&v, g);
	grouped_pids(&v, pids, g->n);
	/* How many steps there are. */
	for (t.status = 9; WIFSIGNALED(t.status) && n < 1000000; n *= 2) {
		snprintf(fault, sizeof(fault), "%u:*:kill", n);
		dumped_fault = fault;
		(void)tool(&t, 0, "predump %d -D %s/chain --tree --final %s", v.pid, dir, g->words);
		kit_sh("rm -rf %s/chain", dir);
	}
	for (unsigned i = 0; i < kills && well; i++) {
		snprintf(fault, sizeof(fault), "%u:*:kill", 1 + (unsigned)(kit_random() % (n / 2)));
		(void)tool(&t, 0, "predump %d -D %s/chain --tree --final %s", v.pid, dir, g->words);
		deaths += WIFSIGNALED(t.status);
		well = all_run(pids, g->n) && grouped_goes_on(&v, g->n) &&
		       (!g->frozen || !grouped_frozen());
		ok(well, "killed at %s: all go on", fault);
		dumped_fault = NULL;
		(void)complete("chain");
		dumped_fault = fault;
		kit_sh("rm -rf %s/chain", dir);
	}
	dumped_fault = NULL;
	diag("%u deaths in about %u steps", deaths, n / 2);
	ok(deaths > kills / 4, "it was killed");
	ok(tool(&t, 0, "predump %d -D %s/chain --tree --final %s", v.pid, dir, g->words),
	   "and then works: %s", t.text);
	grouped_end(&v);
}

/* decant, stopped by itself before its nth look into a directory. */
static pid_t stopped_at(struct victim *v, unsigned nth)
{
	char pid_text[20], path[400], fault[40];
	int status = 0;
	pid_t pid;

	snprintf(pid_text, sizeof(pid_text), "%d", v->pid);
	snprintf(path, sizeof(path), "%s/chain", dir);
	snprintf(fault, sizeof(fault), "%u:getdents64:stop", nth);
	pid = kit_must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("DECANT_FAULT", fault, 1);
		execl(getenv("DECANT"), "decant", "predump", pid_text, "-D", path, "--tree",
		      "--final", "--rounds", "0", "-q", NULL);
		_exit(127);
	}
	need(waitpid(pid, &status, WUNTRACED) == pid, "it stops or ends");
	return WIFSTOPPED(status) ? pid : 0;
}

/* While all are frozen: who thaws them when decant is killed?  Control: kill that one, too. */
static void run_guard(void)
{
	static const struct grouped g = { "", "", true, 3, 1, 1 };
	struct victim v;
	pid_t pid;

	grouped_begin(&v, &g);
	for (unsigned guarded = 0; guarded < 2; guarded++) {
		unsigned n = 1, waited = 0;

		while ((pid = stopped_at(&v, n)) && !grouped_frozen()) {
			kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
			kit_sh("rm -rf %s/chain", dir);
			n++;
		}
		if (!ok(pid, "it stops where all are frozen: look %u", n))
			break;
		if (!guarded)
			(void)shell("kill -9 $(cat /proc/%d/task/*/children)", pid);
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		while (grouped_frozen() && waited++ < (guarded ? GROUPED_THAW_MS / 10 : 30))
			kit_sleep_ms(10);
		is_int(grouped_frozen(), !guarded, "%s", guarded ? "its guard thaws them" :
		       "control: without a guard they stay frozen");
		(void)shell("echo 0 >%s/cgroup.freeze", grouped_cgroup);
		kit_sh("rm -rf %s/chain", dir);
		ok(grouped_goes_on(&v, g.n), "they run on");
	}
	grouped_end(&v);
}

int main(void)
{
	static const struct grouped kills[] = {
		{ "", "--rounds 1", false, 3, 0, 0 },
		{ "", "--rounds 1", true, 3, 0, 0 },
	};

	need_root();
	kit_start(300);
	tap_case_seconds = 100;
	tap_case("images that fail", run_failures);
	for (size_t i = 0; i < sizeof(kills) / sizeof(*kills); i++)
		kit_case(run_kills, &kills[i], "killed at its steps%s",
			 kills[i].frozen ? ", in a cgroup" : "");
	tap_case("the guard of a frozen cgroup", run_guard);
	return done();
}
