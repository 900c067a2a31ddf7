/* SPDX-License-Identifier: MIT */
/*
 * Chains of images of a process and its descendants: is the final one of one
 * instant of all of them, frozen or stopped one after the other, while they
 * are born and die; is shared memory there once?  Control: one chain for each
 * process, one after the other, is torn.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/dumped.h"
#include "lib/grouped.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"

static void run_group(const void *arg)
{
	const struct grouped *g = arg;
	pid_t pids[FAMILY_MAX];
	struct victim v;
	struct told t;
	char image[40];

	grouped_begin(&v, g);
	grouped_pids(&v, pids, g->n);
	for (unsigned i = 0; i < (kit_full() ? g->many : g->few); i++) {
		struct grouped_seen s = { .n = 0 };
		unsigned images;

		if (!ok(tool(&t, 0, "predump %d -D %s/chain --tree --final --json %s", v.pid, dir,
			     g->words), "a chain is made: %s", t.text))
			break;
		images = (unsigned)number(&t, "images");
		ok(number(&t, "processes") >= g->n, "all of them: %s", t.text);
		is_int(strstr(t.text, "\"frozen\":true") != NULL, g->frozen, "frozen: %s", t.text);
		snprintf(image, sizeof(image), images == 1 ? "chain" : "chain/%u", images);
		ok(tool(&t, 0, "images %s/%s check", dir, image), "good: %s", t.text);
		for (unsigned k = 0; k < g->n; k++)
			ok(grouped_see(&s, image, pids[k]), "process %d is there", pids[k]);
		ok(grouped_one_instant(&s), "of one instant: %s", s.what);
		/* Its own shared memory, and that of the report. */
		is_int(shell("ls %s/%s | grep -c pagemap-shmem", dir, image), 2,
		       "shared memory is there once");
		kit_sh("rm -rf %s/chain", dir);
	}
	grouped_end(&v);
}

/* One after the other, each of an instant of its own. */
static void run_control(void)
{
	static const struct grouped g = { "", "", false, 4, 1, 1 };
	pid_t pids[FAMILY_MAX];
	unsigned torn = 0;
	struct victim v;
	struct told t;
	char image[40];

	grouped_begin(&v, &g);
	grouped_pids(&v, pids, g.n);
	for (unsigned i = 0; i < 3; i++) {
		struct grouped_seen s = { .n = 0 };

		for (unsigned k = 0; k < g.n; k++) {
			snprintf(image, sizeof(image), "c%u.%u", i, k);
			need(tool(&t, 0, "predump %d -D %s/%s --final --rounds 0", pids[k], dir,
				  image), "%s", t.text);
			(void)grouped_see(&s, image, pids[k]);
		}
		torn += !grouped_one_instant(&s);
	}
	ok(torn > 0, "torn: %u of 3", torn);
	grouped_end(&v);
}

/* A running image; each process's pages are in its own parents. */
static void run_rounds(void)
{
	static const struct grouped g = { "--mib 8", "", false, 3, 1, 1 };
	struct victim v;
	struct told t;

	grouped_begin(&v, &g);
	need(tool(&t, 0, "predump %d -D %s/chain --tree --rounds 4 --json", v.pid, dir), "%s",
	     t.text);
	/* Soft-dirty bits are there without one. */
	is_int(number(&t, "stops"), strstr(t.text, "soft-dirty") ? 0 : 3,
	       "one stop each, if any, and none for later rounds");
	ok(number(&t, "parent_pages") > 3 * 16, "what was not written is in the parents: %s",
	   t.text);
	for (unsigned i = 1; i <= 4; i++)
		ok(tool(&t, 0, "images %s/chain/%u check", dir, i), "good: %s", t.text);
	need(tool(&t, 0, "predump %d -D %s/next --tree --parent %s/chain/4 --json", v.pid, dir,
		  dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 3 * 16, "compared with a parent from outside: %s", t.text);
	ok(tool(&t, 0, "images %s/next check", dir), "good: %s", t.text);
	grouped_end(&v);
}

static void run_stopped(void)
{
	static const struct grouped g = { "", "", false, 4, 1, 1 };
	pid_t pids[FAMILY_MAX];
	struct victim v;
	struct told t;

	grouped_begin(&v, &g);
	grouped_pids(&v, pids, g.n);
	need(tool(&t, 0, "predump %d -D %s/chain --tree --final --leave stopped --rounds 1", v.pid,
		  dir), "%s", t.text);
	for (unsigned i = 0; i < g.n; i++) {
		is_int(state_of(pids[i]), 'T', "process %d is stopped", pids[i]);
		kill(pids[i], SIGCONT);
	}
	ok(grouped_goes_on(&v, g.n), "they run on");
	grouped_end(&v);
}

/* Tracked between the calls: no stop later, and little to write. */
static void run_watched(void)
{
	static const struct grouped g = { "--mib 8 --nap 5000", "", false, 3, 1, 1 };
	pid_t pids[FAMILY_MAX];
	struct victim v;
	struct grouped_seen s;
	struct told t;

	grouped_begin(&v, &g);
	grouped_pids(&v, pids, g.n);
	need(tool(&t, 0, "predump %d -D %s/1 --tree --watch 1m --json", v.pid, dir), "%s", t.text);
	ok(number(&t, "processes") >= g.n, "all of them: %s", t.text);
	is_int(number(&t, "stops"), strstr(t.text, "\"tracking\":\"wp\"") ? g.n : 0,
	       "one stop each");
	for (unsigned i = 2; i < 5; i++) {
		/* --tree may be said again. */
		ok(tool(&t, 0, "predump %d -D %s/%u --json %s", v.pid, dir, i,
			i == 3 ? "--tree" : ""), "%s", t.text);
		is_int(number(&t, "stops"), 0, "and no other");
		ok(number(&t, "parent_pages") > 3 * 16, "most is in the one before: %s", t.text);
		ok(tool(&t, 0, "images %s/%u check", dir, i), "good: %s", t.text);
	}
	ok(tool(&t, 0, "predump %d -D %s/5 --final --json", v.pid, dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 3 * 16, "the final one, too: %s", t.text);
	ok(tool(&t, 0, "images %s/5 check", dir), "good: %s", t.text);
	grouped_see_all(&s, "5", pids, g.n);
	ok(grouped_one_instant(&s), "of one instant: %s", s.what);
	ok(!tool(&t, 0, "predump --stop %d", v.pid), "then nobody watches them");
	need(tool(&t, 0, "predump %d -D %s/one --watch 1m", v.pid, dir), "%s", t.text);
	ok(!tool(&t, 0, "predump %d -D %s/no --tree", v.pid, dir) && strstr(t.text, "tree:"),
	   "who watches one process does not make an image of many: %s", t.text);
	need(tool(&t, 0, "predump --stop %d", v.pid), "%s", t.text);
	grouped_end(&v);
}

int main(void)
{
	static const struct grouped groups[] = {
		{ "", "--rounds 2", false, 4, 3, 100 },
		{ "", "--rounds 0", true, 4, 3, 100 },
		{ "--grandchildren --mib 4", "--rounds 1 --mode vmsplice", false, 5, 2, 50 },
		{ "--grandchildren", "--rounds 1 --mode vmsplice", true, 3, 2, 50 },
		{ "--mib 8", "--rounds 0 --mode read", false, 4, 2, 50 },
		{ "--mib 8", "--rounds 0 --mode read", true, 4, 2, 50 },
		{ "--restless", "--rounds 2", false, 3, 2, 100 },
		{ "--restless", "--rounds 1", true, 3, 2, 100 },
	};

	need_root();
	kit_start(300);
	tap_case_seconds = 100;
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		kit_case(run_group, &groups[i], "%u, %s %s: %s", groups[i].n, groups[i].victim,
			 groups[i].frozen ? "in a cgroup" : "", groups[i].words);
	tap_case("control: one after the other", run_control);
	tap_case("rounds", run_rounds);
	tap_case("left stopped", run_stopped);
	tap_case("watched", run_watched);
	return done();
}
