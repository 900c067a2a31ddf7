/* SPDX-License-Identifier: MIT */
/*
 * Predumps by each way of reading, and with a parent from outside: is the final
 * image of one instant however its pages came; are PARENT pages really there;
 * and does decant need no more memory, pipes and descriptors than it says,
 * whatever the size of the process?
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/dumped.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"

#define PEAK_KIB (64 << 10)      /* issue's own bound */
#define FDS_MAX 48

/* ------------------------------------------------------------- ways of reading */

struct way {
	const char *victim;
	unsigned habits;
	const char *words;
	const char *mode;        /* what is told in the end; NULL: any */
	unsigned few, many;
};

static void run_way(const void *arg)
{
	const struct way *w = arg;
	const char *harm;
	struct oracle o;
	struct victim v;
	struct told t;
	char mode[40];

	begin();
	snprintf(mode, sizeof(mode), "\"mode\":\"%s\"", w->mode ? w->mode : "");
	victim_begin(&v, w->habits, "counter %s", w->victim);
	for (unsigned i = 0; i < (kit_full() ? w->many : w->few); i++) {
		need(tool(&t, 0, "predump %d -D %s/chain --final --json %s", v.pid, dir, w->words),
		     "%s", t.text);
		unsigned images = (unsigned)number(&t, "images");

		ok(!w->mode || strstr(t.text, mode), "read by %s: %s", w->mode, t.text);
		/* A chain of one image is the directory itself. */
		if (images == 1)
			(void)shell("cd %s && mkdir c && mv chain c/1 && mv c chain", dir);
		ok(tool(&t, 0, "images %s/chain/%u check", dir, images), "good: %s", t.text);
		ok(good_core(images, &o), "of one instant: torn %" PRIu64 " missing %" PRIu64
		   " wrong %" PRIu64 " of %" PRIu64 ": %s", o.torn, o.missing, o.wrong, o.pages,
		   o.what);
		kit_sh("rm -rf %s/chain", dir);
	}
	harm = victim_harm(&v);
	ok(!harm, "the victim: %s", harm ? harm : "");
	victim_end(&v);
	end();
}

/* Without a copy: the shadow's pipes are there, few, and emptied while others are filled. */
static void run_pipes(void)
{
	unsigned read_fds, small_fds;
	struct victim v, large;
	struct told t;

	begin();
	victim_begin(&v, VICTIM_STILL, "counter --mib 64 --rate 1");
	victim_begin(&large, VICTIM_STILL, "counter --mib 256 --rate 1");
	need(tool(&t, 0, "predump %d -D %s/a --mode read", v.pid, dir), "%s", t.text);
	read_fds = t.peak_fds;
	need(tool(&t, 0, "predump %d -D %s/b --mode vmsplice", v.pid, dir), "%s", t.text);
	small_fds = t.peak_fds;
	need(tool(&t, 0, "predump %d -D %s/c --mode vmsplice --json", large.pid, dir), "%s",
	     t.text);
	diag("descriptors: %u reading; %u by pipes; %u of a process four times as large", read_fds,
	     small_fds, t.peak_fds);
	ok(small_fds > read_fds, "pipes are seen");
	ok(t.peak_fds <= FDS_MAX && t.peak_fds <= small_fds + 2, "no more for a larger process");
	is_int(number(&t, "stops"), 1, "one stop");
	ok(tool(&t, 0, "images %s/c check", dir), "good: %s", t.text);
	dumped_fault = "1:uring_splice:ENOSPC";
	ok(!tool(&t, 0, "predump %d -D %s/d --mode vmsplice", v.pid, dir) &&
	   strstr(t.text, "space"), "pipes are emptied asynchronously: %s", t.text);
	dumped_fault = "1:splice:ENOSPC";
	ok(!tool(&t, 0, "predump %d -D %s/e --mode vmsplice --mask io_uring", v.pid, dir),
	   "and without io_uring by splice: %s", t.text);
	dumped_fault = NULL;
	ok(!tool(&t, 0, "predump %d -D %s/f --mode vmsplice --mask vmsplice", v.pid, dir) &&
	   strstr(t.text, "vmsplice"), "no vmsplice, no shadow: %s", t.text);
	ok(tool(&t, 0, "predump %d -D %s/g --mask vmsplice", v.pid, dir), "auto reads: %s", t.text);
	victim_end(&large);
	victim_end(&v);
	end();
}

/* A GiB, and a few MiB of ours. */
static void run_memory(void)
{
	static const char *const words[] = {
		"--rounds 1", "--rounds 0 --final --mode read",
		"--rounds 1 --final --mode vmsplice",
	};
	struct victim v;
	struct told t;

	begin();
	victim_begin(&v, 0, "counter --mib 1024 --rate 100");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!ok(tool(&t, 0, "predump %d -D %s/chain %s --json", v.pid, dir, words[i]),
			"%s: %s", words[i], t.text))
			break;
		ok(number(&t, "copied_bytes") >= 1ull << 30, "  it copied a GiB");
		ok(t.peak_kib > 1024 && t.peak_kib <= PEAK_KIB,
		   "  its memory at most: %ld KiB", t.peak_kib);
		kit_sh("rm -rf %s/chain", dir);
	}
	dumped_ballast_bytes = (PEAK_KIB + 1024) * 1024ul;
	ok(tool(&t, 0, "predump --help") && t.peak_kib > PEAK_KIB,
	   "control: so much is seen: %ld KiB", t.peak_kib);
	dumped_ballast_bytes = 0;
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

/* ------------------------------------------------------------------- parents */

static void run_parent(void)
{
	char path[400], text[300], byte;
	struct victim v;
	struct oracle o;
	struct told t;
	ssize_t n;
	int fd;

	begin();
	victim_begin(&v, 0, "counter --mib 16 --rate 1");
	need(tool(&t, 0, "predump %d -D %s/a", v.pid, dir), "%s", t.text);
	need(tool(&t, 0, "predump %d -D %s/b --parent %s/a --json", v.pid, dir, dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 2048, "most is as it was: %s", t.text);
	is_int(number(&t, "stops"), 0, "no stop");
	ok(tool(&t, 0, "images %s/b check", dir), "good: %s", t.text);
	snprintf(path, sizeof(path), "%s/b/parent", dir);
	n = readlink(path, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	ok(strcmp(text, "../a") == 0, "the link is relative: %s", text);
	need(tool(&t, 0, "predump %d -D %s/chain --parent %s/b --rounds 2 --final --json", v.pid,
		  dir, dir), "%s", t.text);
	ok(good_core(3, &o), "a chain on it is of one instant: torn %" PRIu64 ": %s", o.torn,
	   o.what);
	(void)shell("cd %s && rm -rf chain && mkdir chain", dir);
	need(tool(&t, 0, "predump %d -D %s/chain/1 --parent %s/b --rounds 0 --final --json", v.pid,
		  dir, dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 2048, "the final one by itself: %s", t.text);
	ok(good_core(1, &o), "of one instant: torn %" PRIu64 ": %s", o.torn, o.what);
	/* A bit in each page: nothing is as the parent says any more. */
	snprintf(path, sizeof(path), "%s/a/pages-1.img", dir);
	fd = kit_must(open(path, O_RDWR | O_CLOEXEC));
	for (off_t at = 0; pread(fd, &byte, 1, at) == 1; at += 4096) {
		byte ^= 1;
		(void)!pwrite(fd, &byte, 1, at);
	}
	close(fd);
	ok(!good_core(1, &o), "control: it relied on the parent");
	(void)shell("cd %s && rm -rf chain && mkdir chain", dir);
	need(tool(&t, 0, "predump %d -D %s/chain/1 --parent %s/a --rounds 0 --final --json", v.pid,
		  dir, dir), "%s", t.text);
	ok(number(&t, "parent_pages") < 512, "what the parent has not is written: %s", t.text);
	ok(good_core(1, &o), "right, whatever the parent has: torn %" PRIu64 ": %s", o.torn,
	   o.what);
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

static void refused(const struct victim *v, const char *parent, const char *why)
{
	struct told t;

	ok(!tool(&t, 0, "predump %d -D %s/no --parent %s/%s", v->pid, dir, dir, parent) &&
	   WEXITSTATUS(t.status) == 1 && strstr(t.text, why), "%s is refused (%s): %s", parent, why,
	   t.text);
	ok(shell("test ! -e %s/no", dir) >= 0, "  and nothing is left");
}

static void run_parent_refused(void)
{
	struct victim v, other;
	struct told t;

	begin();
	victim_begin(&other, 0, "blocker nanosleep --ms 20");
	need(tool(&t, 0, "predump %d -D %s/other", other.pid, dir), "%s", t.text);
	kit_sleep_ms(50);
	victim_begin(&v, 0, "blocker nanosleep --ms 20");
	need(tool(&t, 0, "predump %d -D %s/a", v.pid, dir), "%s", t.text);
	need(tool(&t, 0, "predump %d -D %s/b --parent %s/a", v.pid, dir, dir), "%s", t.text);
	refused(&v, "other", "older");
	refused(&v, "nowhere", "nowhere");
	(void)shell("cd %s && cp -r a half && rm half/inventory.img", dir);
	refused(&v, "half", "complete");
	kit_sh("mv %s/a %s/gone", dir, dir);
	refused(&v, "b", "parent");
	(void)shell("cd %s && mv gone a && cp -r a cut && truncate -s 4096 cut/pages-1.img", dir);
	refused(&v, "cut", "parent");
	(void)shell("cd %s && cp -r a bad && printf x | dd of=bad/pagemap-%d.img bs=1 seek=9 "
		    "conv=notrunc 2>/dev/null", dir, v.pid);
	ok(!tool(&t, 0, "predump %d -D %s/no --parent %s/bad", v.pid, dir, dir), "damaged: %s",
	   t.text);
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	victim_end(&other);
	end();
}

static void run_parent_watched(void)
{
	struct victim v;
	struct told t;

	begin();
	victim_begin(&v, 0, "counter --mib 8 --rate 1");
	need(tool(&t, 0, "predump %d -D %s/a", v.pid, dir), "%s", t.text);
	need(tool(&t, 0, "predump %d -D %s/b --parent %s/a --watch 1m --json", v.pid, dir, dir),
	     "%s", t.text);
	ok(number(&t, "parent_pages") > 1024, "the first one compares: %s", t.text);
	need(tool(&t, 0, "predump %d -D %s/c --parent %s/b --json", v.pid, dir, dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 1024, "the next one follows it: %s", t.text);
	ok(!tool(&t, 0, "predump %d -D %s/d --parent %s/a", v.pid, dir, dir), "another parent: %s",
	   t.text);
	ok(tool(&t, 0, "predump %d -D %s/d --mode vmsplice --json", v.pid, dir), "by a shadow: %s",
	   t.text);
	ok(strstr(t.text, "\"mode\":\"vmsplice\"") && number(&t, "parent_pages") > 1024,
	   "that knows what was written, too: %s", t.text);
	ok(tool(&t, 0, "images %s/d check", dir), "all good: %s", t.text);
	ok(tool(&t, 0, "predump --stop %d", v.pid), "over");
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

int main(void)
{
	static const struct way ways[] = {
		{ "--mib 16 --rate 100", 0, "--rounds 2 --mode vmsplice", "vmsplice", 1, 50 },
		{ "--mib 32", 0, "--rounds 1 --mode vmsplice", "vmsplice", 1, 50 },
		{ "--mib 32 --rate 500", 0, "--rounds 0 --mode read", "read", 1, 50 },
		{ "--mib 64 --rate 500", 0, "--rounds 0", "vmsplice", 1, 50 },
		{ "--mib 32 --thp", 0, "--rounds 0 --mode vmsplice", "vmsplice", 1, 50 },
		{ "--mib 8 --threads 4 --churn", VICTIM_MAPS, "--rounds 1 --mode vmsplice",
		  "vmsplice", 1, 50 },
		{ "--mib 16 --file 4 --dontfork 2 --wipe 2", 0, "--rounds 1 --mode vmsplice",
		  "vmsplice", 1, 50 },
		{ "--mib 32 --dontfork 24", 0, "--rounds 0 --mode vmsplice", "read", 1, 20 },
		{ "--mib 32 --shared 24", 0, "--rounds 1", NULL, 1, 20 },
		{ "--mib 32 --shared 24", 0, "--rounds 1 --mode vmsplice", NULL, 1, 20 },
		{ "--mib 32", 0, "--rounds 1 --mask io_uring --mode vmsplice", "vmsplice", 1, 10 },
	};

	need_root();
	kit_start(300);
	tap_case_seconds = 100;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		kit_case(run_way, &ways[i], "counter %s: %s", ways[i].victim, ways[i].words);
	tap_case("pipes", run_pipes);
	/* A sanitizer needs memory of its own. */
	if (!kit_slow_build())
		tap_case("a process of one GiB", run_memory);
	tap_case("a parent from outside", run_parent);
	tap_case("what cannot be a parent", run_parent_refused);
	tap_case("a parent of what is watched", run_parent_watched);
	return done();
}
