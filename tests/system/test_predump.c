/* SPDX-License-Identifier: MIT */
/*
 * Chains of images of a running process: is what the final one stands for of
 * one instant, and an image of a process that stands still what /proc says?
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decant.h"
#include "lib/dumped.h"
#include "lib/kit.h"
#include "lib/oracle.h"
#include "lib/victims.h"
#include "tap.h"
#include "victims/counter.h"

#define PAGE 4096u
#define ROUNDS 20

/* ---------------------------------------------------------------- one instant */

struct series {
	const char *victim;      /* options of the counter */
	unsigned habits;
	const char *words;
	unsigned few, many;      /* chains, and those of a full run */
};

static void run_one(struct victim *v, const struct series *s)
{
	struct told t;
	struct oracle o;
	unsigned images;

	if (!ok(tool(&t, 0, "predump %d -D %s/chain --final --json %s", v->pid, dir, s->words),
		"a chain is made: %s", t.text))
		return;
	images = (unsigned)number(&t, "images");
	ok(tool(&t, 0, "images %s/chain/%u check", dir, images), "it is good: %s", t.text);
	ok(good_core(images, &o), "of one instant: torn %" PRIu64 " missing %" PRIu64
	   " wrong %" PRIu64 " of %" PRIu64 ": %s", o.torn, o.missing, o.wrong, o.pages, o.what);
	ok(tool(&t, 0, "images %s/chain/%u flatten -q", dir, images), "flattened: %s", t.text);
	kit_sh("rm -rf %s/chain/1", dir);
	ok(good_core(images, &o), "flattened, too: torn %" PRIu64 " missing %" PRIu64 ": %s",
	   o.torn, o.missing, o.what);
	kit_sh("rm -rf %s/chain", dir);
}

static void run_series(const void *arg)
{
	const struct series *s = arg;
	const char *harm;
	struct victim v;

	begin();
	victim_begin(&v, s->habits, "counter %s", s->victim);
	for (unsigned i = 0; i < (kit_full() ? s->many : s->few); i++)
		run_one(&v, s);
	harm = victim_harm(&v);
	ok(!harm, "the victim: %s", harm ? harm : "");
	victim_end(&v);
	end();
}

/* Pages of an older round in the place of newer ones, and one byte. */
static void run_controls(void)
{
	struct victim v;
	struct oracle o;
	struct told t;
	char path[400], byte = 0;
	int fd;

	begin();
	victim_begin(&v, 0, "counter --mib 64 --rate 2");
	need(tool(&t, 0, "predump %d -D %s/chain --final --rounds 4", v.pid, dir), "%s", t.text);
	victim_end(&v);
	need(good_core(5, &o), "it is good: %s", o.what);
	kit_sh("ln -sfn ../1 %s/chain/5/parent", dir);
	ok(!good_core(5, &o) && o.torn > 0, "without what the rounds between wrote it is torn");
	kit_sh("ln -sfn ../4 %s/chain/5/parent", dir);
	need(good_core(5, &o), "and good again: %s", o.what);
	snprintf(path, sizeof(path), "%s/chain/1/pages-1.img", dir);
	fd = kit_must(open(path, O_RDWR | O_CLOEXEC));
	for (off_t at = counter_word[0]; at < 16 << 20; at += PAGE) {
		(void)!pread(fd, &byte, 1, at);
		byte ^= 1;
		(void)!pwrite(fd, &byte, 1, at);
	}
	close(fd);
	ok(!good_core(5, &o) && o.torn > 0, "a bit of the first round's pages shows");
	end();
}

/* ------------------------------------------- against what /proc says of pages */

struct listed {
	int fd;                  /* of the process's memory */
	uint64_t pages, wrong, at;
	struct decant_images *images;
	int pages_fd;
	struct {
		uint64_t start, end;
	} v[4096];
	unsigned n;
};

static int listed_range(void *arg, const struct decant_images_range *r)
{
	unsigned char a[PAGE], b[PAGE];
	struct listed *l = arg;

	for (uint64_t at = r->start; at < r->end; at += PAGE) {
		off_t off = (off_t)(r->offset + (at - r->start));

		l->pages++;
		if (pread(l->pages_fd, a, PAGE, off) != PAGE ||
		    pread(l->fd, b, PAGE, (off_t)at) != PAGE || memcmp(a, b, PAGE) != 0) {
			l->wrong++;
			l->at = at;
		}
	}
	if (l->n < 4096) {
		l->v[l->n].start = r->start;
		l->v[l->n++].end = r->end;
	}
	return 0;
}

static bool listed_has(const struct listed *l, uint64_t addr)
{
	for (unsigned i = 0; i < l->n; i++)
		if (addr >= l->v[i].start && addr < l->v[i].end)
			return true;
	return false;
}

/* Private pages that are not a file's and not full of zeros, and the vdso's. */
static uint64_t listed_missing(const struct listed *l, pid_t pid, uint64_t *ret_seen)
{
	char path[64], line[600], perms[8], name[400];
	uint64_t start, stop, entry, missing = 0;
	unsigned char page[PAGE];
	int pagemap;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	need(maps, "maps");
	while (fgets(line, sizeof(line), maps)) {
		name[0] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %399s", &start, &stop,
			   perms, name) < 3 || perms[3] != 'p' || strncmp(name, "[vv", 3) == 0 ||
		    strcmp(name, "[vsyscall]") == 0)
			continue;
		for (uint64_t at = start; at < stop; at += PAGE) {
			bool vdso = strcmp(name, "[vdso]") == 0;

			if (pread(pagemap, &entry, 8, (off_t)(at / PAGE * 8)) != 8)
				continue;
			if (!vdso && (!(entry >> 62 & 3) || entry >> 61 & 1))
				continue;
			if (pread(l->fd, page, PAGE, (off_t)at) != PAGE ||
			    (page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0))
				continue;
			++*ret_seen;
			missing += !listed_has(l, at);
		}
	}
	fclose(maps);
	close(pagemap);
	return missing;
}

/* CRIU's own tool reads all of it, and as many pages. */
static void listed_by_crit(const struct listed *l, pid_t pid)
{
	if (shell("command -v crit") < 0) {
		diag("there is no crit");
		return;
	}
	ok(shell("crit decode -i %s/one/inventory.img >/dev/null", dir) >= 0,
	   "crit decodes the inventory");
	ok(shell("crit decode -i %s/one/stats-dump >/dev/null", dir) >= 0, "and the numbers");
	is_int(shell("crit decode --pretty -i %s/one/pagemap-%d.img | "
		     "sed -n 's/.*\"nr_pages\": \\([0-9]*\\).*/\\1/p' | "
		     "awk '{ n += $1 } END { print n }'", dir, pid),
	       l->pages, "and counts the pages");
}

static void run_still(void)
{
	struct listed l = { 0 };
	struct decant *d = NULL;
	uint64_t seen = 0;
	struct victim v;
	struct told t;
	char path[300];

	begin();
	victim_begin(&v, VICTIM_STILL, "counter --mib 4 --file 1");
	kill(v.pid, SIGSTOP);
	/* Each thread when it gets to run. */
	kit_sleep_ms(kit_slow_build() ? 1000 : 300);
	need(tool(&t, 0, "predump %d -D %s/one --json", v.pid, dir), "%s", t.text);
	is_int(number(&t, "stops"), 0, "one image takes no stop");
	ok(tool(&t, 0, "images %s/one check", dir), "it is good: %s", t.text);
	snprintf(path, sizeof(path), "/proc/%d/mem", v.pid);
	l.fd = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	snprintf(path, sizeof(path), "%s/one/pages-1.img", dir);
	l.pages_fd = kit_must(open(path, O_RDONLY | O_CLOEXEC));
	snprintf(path, sizeof(path), "%s/one", dir);
	need(decant_open(&d, NULL) == 0, "an engine");
	need(decant_images_open(d, &l.images, path, 0) == 0, "%s", decant_strerror(d));
	is_int(decant_images_pages(l.images, DECANT_IMAGES_PROCESS, (uint64_t)v.pid, listed_range,
				   &l), 0, "its pages: %s", decant_strerror(d));
	ok(l.pages > 1024, "there are %" PRIu64, l.pages);
	is_int(l.wrong, 0, "each is as in memory, but 0x%" PRIx64, l.at);
	is_int(listed_missing(&l, v.pid, &seen), 0, "none is missing");
	ok(seen > 1024, "of %" PRIu64, seen);
	listed_by_crit(&l, v.pid);
	l.n = l.n > 1 ? l.n - 1 : 0;
	ok(listed_missing(&l, v.pid, &seen) > 0, "control: the last range missing is seen");
	decant_images_close(l.images);
	decant_close(d);
	kill(v.pid, SIGCONT);
	victim_end(&v);
	end();
}

/* A fixed point: what nobody writes is listed once. */
static void run_idle(void)
{
	struct victim v;
	struct told t;

	begin();
	victim_begin(&v, 0, "blocker nanosleep --ms 20");
	need(tool(&t, 0, "predump %d -D %s/chain --rounds 3 --json", v.pid, dir), "%s", t.text);
	ok(number(&t, "last_pages") * 4 < number(&t, "present_pages"),
	   "the third image has less than a quarter of all: %s", t.text);
	ok(number(&t, "parent_pages") > 10, "the rest is in its parents");
	/* Soft-dirty bits are there without one. */
	ok(number(&t, "stops") == !strstr(t.text, "soft-dirty"), "one stop, if any: %s", t.text);
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

/* Mappings that come and go between rounds do not make all others new again. */
static void run_churn(void)
{
	struct victim v;
	struct told t;

	begin();
	victim_begin(&v, VICTIM_MAPS, "counter --mib 16 --rate 1 --churn");
	need(tool(&t, 0, "predump %d -D %s/chain --rounds 5 --json", v.pid, dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 2048, "most of the fifth is in its parents: %s", t.text);
	ok(total(&t, "present_pages") < 4 * 4096, "and not much was written twice");
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

/* ------------------------------------------------------------ how it is left */

static void run_stopped(void)
{
	struct victim v;
	struct oracle o;
	struct told t;

	begin();
	victim_begin(&v, VICTIM_STILL, "counter --mib 4 --threads 2");
	need(tool(&t, 0, "predump %d -D %s/chain --final --leave stopped --rounds 1", v.pid, dir),
	     "%s", t.text);
	is_int(state_of(v.pid), 'T', "it is stopped");
	ok(good_core(2, &o), "the chain is good: %s", o.what);
	/* And what is stopped is what is in the image: nothing was written since. */
	need(tool(&t, 0, "predump %d -D %s/again", v.pid, dir), "%s", t.text);
	(void)tool(&t, 0, "images %s/chain/2 diff %s/again -r --json", dir, dir);
	is_int(total(&t, "same") > 1024, 1, "pages are compared");
	is_int(total(&t, "differs") + total(&t, "only_b"), 0, "none was written since: %s", t.text);
	kill(v.pid, SIGCONT);
	ok(!victim_harm(&v), "it runs on");
	victim_end(&v);
	end();
}

static void run_refusals(void)
{
	struct victim v;
	struct told t;

	begin();
	victim_begin(&v, 0, "blocker nanosleep --ms 20");
	need(tool(&t, 0, "predump %d -D %s/one", v.pid, dir), "%s", t.text);
	ok(!tool(&t, 0, "predump %d -D %s/one --clean", v.pid, dir), "images are not replaced");
	ok(strstr(t.text, "one"), "  it says where: %s", t.text);
	ok(tool(&t, 0, "images %s/one check", dir), "  and they are whole");
	ok(!tool(&t, 0, "predump %d -D %s/two --rounds 2 --mask uffd_wp_async,soft_dirty", v.pid,
		 dir), "nothing tracks");
	ok(strstr(t.text, "soft-dirty"), "  it says what is missing: %s", t.text);
	ok(!tool(&t, 0, "predump %d -D %s/three --track soft-dirty --mask soft_dirty", v.pid, dir),
	   "no soft-dirty bits");
	ok(!tool(&t, 0, "predump %d -D %s/no/where", v.pid, dir), "no directory above it");
	ok(!tool(&t, 0, "predump %d -D %s/four --rounds 0", v.pid, dir) &&
	   WEXITSTATUS(t.status) == 2, "no round and no final image");
	ok(!tool(&t, 0, "predump %d -D %s/five --leave stopped", v.pid, dir) &&
	   WEXITSTATUS(t.status) == 2, "stopped goes with final");
	ok(!tool(&t, 0, "predump %d -D %s/six --timeout 1ms --rounds 200", v.pid, dir),
	   "the time is over");
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

int main(void)
{
	static const struct series all[] = {
		{ "--mib 16 --thp", 0, "", 2, 50 },
		{ "--mib 16 --rate 100", 0, "", 3, 100 },
		{ "--mib 8 --threads 4 --churn", VICTIM_MAPS, "", 3, 100 },
		{ "--mib 16 --shared 4", 0, "", 2, 50 },
		{ "--mib 16 --file 4 --dontfork 2 --wipe 2", 0, "", 2, 50 },
		{ "--mib 4 --idle 100", 0, "", 2, 20 },
		{ "--mib 8", 0, "--rounds 2 --mask process_vm", 2, 20 },
	};
	struct series chain = { "--mib 16", 0, NULL, 1, 10 };
	char words[32];

	need_root();
	kit_start(400);
	tap_case_seconds = 100;
	snprintf(words, sizeof(words), "--rounds %d", ROUNDS);
	chain.words = words;
	kit_case(run_series, &chain, "%d rounds of a victim that writes flat out", ROUNDS);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		kit_case(run_series, &all[i], "counter %s: %s", all[i].victim, all[i].words);
	tap_case("controls", run_controls);
	tap_case("an image of what stands still is its memory", run_still);
	tap_case("what nobody writes is written once", run_idle);
	tap_case("what is new is not all", run_churn);
	tap_case("left stopped", run_stopped);
	tap_case("refusals", run_refusals);
	return done();
}
