/* SPDX-License-Identifier: MIT */
/*
 * decant is killed, the disk is full, the process ends, a watcher is told to
 * end: no directory looks complete that is not, and the process runs on.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/dumped.h"
#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"

#define KILLS 30
#define FULL_KILLS 600

/* ---------------------------------------------- killed, full, and the end of it */

static void run_kills(void)
{
	unsigned deaths = 0, images = 0, kills = kit_full() ? FULL_KILLS : KILLS;
	const char *harm = NULL;
	uint64_t took_ns;
	struct victim v;
	struct told t;

	begin();
	victim_begin(&v, 0, "counter --mib 4 --rate 50");
	/* How long one takes here and now: deaths are spread over that. */
	took_ns = kit_now_ns();
	ok(tool(&t, 0, "predump %d -D %s/chain --final --rounds 3", v.pid, dir), "not killed: %s",
	   t.text);
	took_ns = kit_now_ns() - took_ns;
	kit_sh("rm -rf %s/chain", dir);
	for (unsigned i = 0; i < kills && !harm; i++) {
		uint64_t after = kit_random() % (took_ns + took_ns / 8);
		uint64_t began_ns = kit_now_ns();

		(void)tool(&t, after, "predump %d -D %s/chain --final --rounds 3", v.pid, dir);
		deaths += WIFSIGNALED(t.status);
		/* The machine may be another's for a moment. */
		if (!WIFSIGNALED(t.status))
			took_ns = kit_now_ns() - began_ns;
		images += complete("chain");
		harm = victim_harm_quick(&v);
		if (WIFSIGNALED(t.status) && has("chain", 1, "inventory.img.part")) {
			ok(!tool(&t, 0, "predump %d -D %s/chain --rounds 2", v.pid, dir),
			   "the next run refuses what was left");
			ok(strstr(t.text, "chain/1"), "  and says so: %s", t.text);
			ok(tool(&t, 0, "predump %d -D %s/chain --rounds 2 --clean", v.pid, dir),
			   "--clean removes it: %s", t.text);
		}
		kit_sh("rm -rf %s/chain", dir);
	}
	ok(!harm, "the victim: %s", harm ? harm : "");
	harm = victim_harm(&v);
	ok(!harm, "the victim, at last: %s", harm ? harm : "");
	diag("%u runs, %u deaths, %u complete images", kills, deaths, images);
	ok(deaths > kills / 4 && images > 0, "it was killed, and not always at once");
	victim_end(&v);
	end();
}

static void run_full(void)
{
	char *small = fs_small(FS_TMPFS, 18);
	struct victim v;
	struct told t;

	snprintf(dir, sizeof(dir), "%s", small);
	victim_begin(&v, 0, "counter --mib 16");
	ok(!tool(&t, 0, "predump %d -D %s/chain --rounds 3", v.pid, dir), "the disk is full");
	ok(strstr(t.text, "space") || strstr(t.text, "ENOSPC"), "  it says so: %s", t.text);
	is_int(complete("chain"), 1, "what was complete stays");
	ok(!has("chain", 2, "pages-1.img"), "what was not is gone");
	ok(!victim_harm(&v), "the victim is well");
	/* In the final image, too; and then it is not left stopped. */
	ok(!tool(&t, 0, "predump %d -D %s/last --rounds 0 --final --leave stopped", v.pid, dir),
	   "full in the final image");
	ok(!victim_harm(&v), "it runs");
	victim_end(&v);
	fs_drop(small);
}

static void run_ends(void)
{
	struct victim v;
	struct told t;
	pid_t killer;

	begin();
	victim_begin(&v, 0, "counter --mib 16");
	killer = kit_must(fork());
	if (killer == 0) {
		kit_sleep_ms(150);
		kill(v.pid, SIGKILL);
		_exit(0);
	}
	ok(!tool(&t, 0, "predump %d -D %s/chain --rounds 200", v.pid, dir), "the target ends");
	ok(WIFEXITED(t.status) && WEXITSTATUS(t.status) == 1, "that is an error: %s", t.text);
	(void)waitpid(killer, NULL, 0);
	(void)complete("chain");
	victim_end(&v);
	end();
}

/* ------------------------------------------------------------------ watching */

static bool watched(pid_t pid)
{
	struct told t;

	return tool(&t, 0, "predump --stop %d", pid);
}

static void run_watch(void)
{
	struct victim v;
	struct oracle o;
	struct told t;

	begin();
	victim_begin(&v, 0, "counter --mib 16 --rate 1");
	need(tool(&t, 0, "predump %d -D %s/chain.1 --watch 1m --json", v.pid, dir), "%s", t.text);
	/* Soft-dirty bits take none. */
	is_int(number(&t, "stops"), strstr(t.text, "\"tracking\":\"wp\"") != NULL, "one stop");
	for (unsigned i = 2; i < 6; i++) {
		ok(tool(&t, 0, "predump %d -D %s/chain.%u --json", v.pid, dir, i), "%s", t.text);
		is_int(number(&t, "stops"), 0, "no stop");
		ok(number(&t, "parent_pages") > 2048, "most is in the one before: %s", t.text);
		ok(!tool(&t, 0, "predump %d -D %s/chain.1", v.pid, dir), "a directory in use");
	}
	ok(!tool(&t, 0, "predump %d -D %s/no --watch 1m", v.pid, dir), "watched already");
	ok(!tool(&t, 0, "predump %d -D %s/no --rounds 2", v.pid, dir), "one image at a time");
	kit_sh("mkdir %s/chain", dir);
	need(tool(&t, 0, "predump %d -D %s/chain/9 --final --json", v.pid, dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 2048, "the final one, too: %s", t.text);
	ok(tool(&t, 0, "images %s/chain/9 check", dir), "it is good: %s", t.text);
	ok(good_core(9, &o), "of one instant: torn %" PRIu64 ": %s", o.torn, o.what);
	ok(!watched(v.pid), "then nobody watches it");
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

/* It has become a child of ours, who are a subreaper; those that ended are waited for. */
static pid_t watcher(const struct victim *v)
{
	pid_t pid, found = 0;
	FILE *f;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	f = fopen("/proc/thread-self/children", "re");
	need(f, "our children");
	while (fscanf(f, "%d", &pid) == 1)
		if (pid != v->child)
			found = pid;
	fclose(f);
	return found;
}

static bool gone(pid_t pid)
{
	for (unsigned i = 0; i < 300; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		kit_sleep_ms(10);
	}
	return false;
}

/* How it ends: told to, in time, with the process, killed. */
static void run_watch_ends(void)
{
	struct victim v;
	struct told t;
	pid_t pid;

	begin();
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_begin(&v, 0, "counter --mib 4 --rate 1");
	need(tool(&t, 0, "predump %d -D %s/a --watch 1m", v.pid, dir), "%s", t.text);
	ok(watched(v.pid) && !watched(v.pid), "it is told to");
	need(tool(&t, 0, "predump %d -D %s/b --watch 500ms", v.pid, dir), "%s", t.text);
	kit_sleep_ms(2500);
	ok(!watched(v.pid), "its time is over");
	need(tool(&t, 0, "predump %d -D %s/c --watch 1m", v.pid, dir), "%s", t.text);
	pid = watcher(&v);
	need(pid > 0, "the watcher is found");
	kill(pid, SIGKILL);
	ok(gone(pid), "it is killed");
	kit_sleep_ms(300); /* helpers of its, which have its socket, die a moment later */
	ok(tool(&t, 0, "predump %d -D %s/d --json", v.pid, dir), "without it: %s", t.text);
	is_int(number(&t, "parent_pages"), 0, "an image by itself");
	ok(!victim_harm(&v), "the victim is well");
	need(tool(&t, 0, "predump %d -D %s/e --watch 1m", v.pid, dir), "%s", t.text);
	pid = watcher(&v);
	need(pid > 0, "the watcher is found");
	victim_end(&v);
	ok(gone(pid), "it ends with the process");
	end();
}

int main(void)
{
	need_root();
	kit_start(300);
	fs_start();
	tap_case_seconds = 100;
	tap_case("killed at any time", run_kills);
	tap_case("the disk is full", run_full);
	tap_case("the target ends", run_ends);
	tap_case("watched", run_watch);
	tap_case("a watcher's end", run_watch_ends);
	return done();
}
