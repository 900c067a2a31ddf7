/* SPDX-License-Identifier: MIT */
/*
 * Chains of images of a process and its descendants: is the final one of one
 * instant of all of them, frozen or stopped one after the other, while they
 * are born and die; is shared memory there once; and do they all run on, also
 * when decant is killed while they stand, or an image fails?  Control: one
 * chain for each process, one after the other, is torn.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decant.h"
#include "lib/corefile.h"
#include "lib/dumped.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"
#include "victims/family.h"

#define PAGE 4096u
#define KILLS 40
#define FULL_KILLS 1000
#define THAW_MS 2000

/* ------------------------------------------------------------------- cgroup */

static char cgroup[300];         /* of the case; "": none */

static void cgroup_begin(void)
{
	char line[600], mount[200] = "", type[40] = "";
	FILE *f = fopen("/proc/mounts", "re");

	while (f && strcmp(type, "cgroup2") != 0 && fgets(line, sizeof(line), f))
		(void)!sscanf(line, "%*s %199s %39s", mount, type);
	need(f && strcmp(type, "cgroup2") == 0, "cgroups of version 2");
	fclose(f);
	snprintf(cgroup, sizeof(cgroup), "%s/decant-test-%d", mount, getpid());
	kit_must(mkdir(cgroup, 0755));
}

static bool cgroup_frozen(void)
{
	return shell("grep -c 'frozen 1' %s/cgroup.events", cgroup) == 1;
}

static void cgroup_end(void)
{
	for (unsigned i = 0; cgroup[0] && rmdir(cgroup) < 0 && i < 200; i++)
		kit_sleep_ms(10);
	cgroup[0] = '\0';
}

/* ------------------------------------------------------------------- oracle */

struct seen {
	struct family_own own[FAMILY_MAX];
	struct family_all all;
	unsigned n, wrong;
	char what[200];
};

/* What page p holds after step i; before is of a step that may not have come to it. */
static uint64_t page_holds(uint64_t i, uint64_t p, uint64_t pages, bool before)
{
	uint64_t k = i / FAMILY_STEPS, back = (k + pages - p) % pages;

	if (before && !back)
		back = pages;
	return k < back ? 0 : (k - back) * FAMILY_STEPS;
}

static bool pages_right(struct seen *s, const struct corefile *c, const struct family_own *own,
			pid_t pid)
{
	for (uint64_t p = 0, i = own->a - 1; own->a && p < own->pages; p++) {
		const uint64_t *word = corefile_memory(c, FAMILY_OWN + (p + 1) * PAGE, 8);
		uint64_t holds = word ? *word : 0;

		if (holds == page_holds(i, p, own->pages, false) ||
		    (i % FAMILY_STEPS == 0 && holds == page_holds(i, p, own->pages, true)))
			continue;
		snprintf(s->what, sizeof(s->what), "%d: page %" PRIu64 " holds %" PRIu64
			 " in step %" PRIu64, pid, p, holds, i);
		return false;
	}
	return true;
}

/* One process of an image: "" for which. */
static bool see_one(struct seen *s, const char *image, pid_t pid)
{
	char path[400];
	struct corefile c;
	const void *own, *all;
	struct told t;

	snprintf(path, sizeof(path), "%s/core", dir);
	need(tool(&t, 0, "images %s/%s core -q -f -p %d -o %s", dir, image, pid, path),
	     "a core of %d: %s", pid, t.text);
	need(corefile_open(&c, path), "%s", c.why);
	own = corefile_memory(&c, FAMILY_OWN, sizeof(struct family_own));
	all = corefile_memory(&c, FAMILY_ALL, sizeof(struct family_all));
	if (own && all && s->n < FAMILY_MAX) {
		s->wrong += !pages_right(s, &c, own, pid);
		memcpy(&s->own[s->n], own, sizeof(struct family_own));
		memcpy(&s->all, all, sizeof(struct family_all));
	}
	corefile_close(&c);
	s->n += own && all;
	return own && all;
}

/*
 * At an instant: each page is as the count says, b <= count <= a <= b + 1, and
 * nobody has seen more than there was.
 */
static bool one_instant(struct seen *s)
{
	if (s->wrong)
		return false;
	if (s->n != s->all.n) {
		snprintf(s->what, sizeof(s->what), "%u of %" PRIu64 " processes", s->n, s->all.n);
		return false;
	}
	for (unsigned i = 0; i < s->n; i++) {
		const struct family_own *x = &s->own[i];
		uint64_t count = s->all.count[x->me];

		if (x->b > count || count > x->a || x->a > x->b + 1) {
			snprintf(s->what, sizeof(s->what), "%" PRIu64 ": %" PRIu64 " <= %" PRIu64
				 " <= %" PRIu64, x->me, x->b, count, x->a);
			return false;
		}
		for (unsigned j = 0; j < s->n; j++) {
			if (s->own[j].seen[x->me] <= x->a)
				continue;
			snprintf(s->what, sizeof(s->what), "%u saw %" PRIu64 " of %" PRIu64
				 ", who is at %" PRIu64, j, s->own[j].seen[x->me], x->me, x->a);
			return false;
		}
	}
	return true;
}

static void pids_of(struct victim *v, pid_t *pids, unsigned n)
{
	char path[64];
	struct family_all all;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mem", v->pid);
	f = fopen(path, "re");
	need(f, "its memory");
	setvbuf(f, NULL, _IONBF, 0);
	need(fseeko(f, (off_t)FAMILY_ALL, SEEK_SET) == 0 && fread(&all, sizeof(all), 1, f) == 1,
	     "its pids");
	fclose(f);
	for (unsigned i = 0; i < n; i++)
		pids[i] = all.pids[i];
}

static uint64_t counted(struct victim *v, unsigned i)
{
	struct family_all all = { .n = 0 };
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mem", v->pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	setvbuf(f, NULL, _IONBF, 0);
	if (fseeko(f, (off_t)FAMILY_ALL, SEEK_SET) == 0)
		(void)!fread(&all, sizeof(all), 1, f);
	fclose(f);
	return all.count[i];
}

static bool goes_on(struct victim *v, unsigned n)
{
	uint64_t before[FAMILY_MAX];

	for (unsigned i = 0; i < n; i++)
		before[i] = counted(v, i);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; counted(v, i) == before[i]; k++) {
			if (k == THAW_MS / 10)
				return false;
			kit_sleep_ms(10);
		}
	return true;
}

/* -------------------------------------------------------------------- cases */

struct group {
	const char *victim;
	const char *words;
	bool frozen;
	unsigned n, few, many;
};

static void group_begin(struct victim *v, const struct group *g)
{
	begin();
	if (g->frozen)
		cgroup_begin();
	victim_begin(v, VICTIM_FAMILY, "family --processes %u %s %s %s", g->n, g->victim,
		     g->frozen ? "--cgroup" : "", cgroup);
}

static void group_end(struct victim *v)
{
	const char *harm = victim_harm(v);

	ok(!harm, "the victim: %s", harm ? harm : "");
	victim_end(v);
	cgroup_end();
	end();
}

static void run_group(const void *arg)
{
	const struct group *g = arg;
	pid_t pids[FAMILY_MAX];
	struct victim v;
	struct told t;
	char image[40];

	group_begin(&v, g);
	pids_of(&v, pids, g->n);
	for (unsigned i = 0; i < (kit_full() ? g->many : g->few); i++) {
		struct seen s = { .n = 0 };
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
			ok(see_one(&s, image, pids[k]), "process %d is there", pids[k]);
		ok(one_instant(&s), "of one instant: %s", s.what);
		/* Its own shared memory, and that of the report. */
		is_int(shell("ls %s/%s | grep -c pagemap-shmem", dir, image), 2,
		       "shared memory is there once");
		kit_sh("rm -rf %s/chain", dir);
	}
	group_end(&v);
}

/* One after the other, each of an instant of its own. */
static void run_control(void)
{
	static const struct group g = { "", "", false, 4, 1, 1 };
	pid_t pids[FAMILY_MAX];
	unsigned torn = 0;
	struct victim v;
	struct told t;
	char image[40];

	group_begin(&v, &g);
	pids_of(&v, pids, g.n);
	for (unsigned i = 0; i < 3; i++) {
		struct seen s = { .n = 0 };

		for (unsigned k = 0; k < g.n; k++) {
			snprintf(image, sizeof(image), "c%u.%u", i, k);
			need(tool(&t, 0, "predump %d -D %s/%s --final --rounds 0", pids[k], dir,
				  image), "%s", t.text);
			(void)see_one(&s, image, pids[k]);
		}
		torn += !one_instant(&s);
	}
	ok(torn > 0, "torn: %u of 3", torn);
	group_end(&v);
}

/* A running image; each process's pages are in its own parents. */
static void run_rounds(void)
{
	static const struct group g = { "--mib 8", "", false, 3, 1, 1 };
	struct victim v;
	struct told t;

	group_begin(&v, &g);
	need(tool(&t, 0, "predump %d -D %s/chain --tree --rounds 4 --json", v.pid, dir), "%s",
	     t.text);
	is_int(number(&t, "stops"), 3, "one stop each, and none for later rounds");
	ok(number(&t, "parent_pages") > 3 * 16, "what was not written is in the parents: %s",
	   t.text);
	for (unsigned i = 1; i <= 4; i++)
		ok(tool(&t, 0, "images %s/chain/%u check", dir, i), "good: %s", t.text);
	need(tool(&t, 0, "predump %d -D %s/next --tree --parent %s/chain/4 --json", v.pid, dir,
		  dir), "%s", t.text);
	ok(number(&t, "parent_pages") > 3 * 16, "compared with a parent from outside: %s", t.text);
	ok(tool(&t, 0, "images %s/next check", dir), "good: %s", t.text);
	group_end(&v);
}

static void run_stopped(void)
{
	static const struct group g = { "", "", false, 4, 1, 1 };
	pid_t pids[FAMILY_MAX];
	struct victim v;
	struct told t;

	group_begin(&v, &g);
	pids_of(&v, pids, g.n);
	need(tool(&t, 0, "predump %d -D %s/chain --tree --final --leave stopped --rounds 1", v.pid,
		  dir), "%s", t.text);
	for (unsigned i = 0; i < g.n; i++) {
		is_int(state_of(pids[i]), 'T', "process %d is stopped", pids[i]);
		kill(pids[i], SIGCONT);
	}
	ok(goes_on(&v, g.n), "they run on");
	group_end(&v);
}

/* ------------------------------------------------------------------- watched */

/* Of those that nobody else has counted, too. */
static bool others_right(struct seen *s, const char *image)
{
	char path[400];
	struct dirent *e;
	unsigned n = 0;
	pid_t pid;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, image);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (sscanf(e->d_name, "pagemap-%d.img", &pid) != 1)
			continue;
		s->n = 0;
		if (see_one(s, image, pid))
			n++;
	}
	if (d)
		closedir(d);
	diag("%s: %u processes", image, n);
	return n > 0 && !s->wrong;
}

static void see_all(struct seen *s, const char *image, const pid_t *pids, unsigned n)
{
	*s = (struct seen){ .n = 0 };
	ok(others_right(s, image), "%s: pages of whoever was there: %s", image, s->what);
	s->n = 0;
	for (unsigned k = 0; k < n; k++)
		ok(see_one(s, image, pids[k]), "%s: process %d is there", image, pids[k]);
}

/* Tracked between the calls: no stop later, and little to write. */
static void run_watched(void)
{
	static const struct group g = { "--mib 8 --nap 5000", "", false, 3, 1, 1 };
	pid_t pids[FAMILY_MAX];
	struct victim v;
	struct seen s;
	struct told t;

	group_begin(&v, &g);
	pids_of(&v, pids, g.n);
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
	see_all(&s, "5", pids, g.n);
	ok(one_instant(&s), "of one instant: %s", s.what);
	ok(!tool(&t, 0, "predump --stop %d", v.pid), "then nobody watches them");
	need(tool(&t, 0, "predump %d -D %s/one --watch 1m", v.pid, dir), "%s", t.text);
	ok(!tool(&t, 0, "predump %d -D %s/no --tree", v.pid, dir) && strstr(t.text, "tree:"),
	   "who watches one process does not make an image of many: %s", t.text);
	need(tool(&t, 0, "predump --stop %d", v.pid), "%s", t.text);
	group_end(&v);
}

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
	static const struct group g = { "--brood --mib 4 --nap 5000", "", false, 3, 1, 1 };
	struct decant_predump_options o = DECANT_PREDUMP_OPTIONS_INIT;
	unsigned tries = kit_full() ? 200 : 12, failed = 0, left;
	struct decant_predump_chain *c = NULL;
	struct decant_target *target = NULL;
	struct decant *d = NULL;
	pid_t pids[FAMILY_MAX];
	char path[400], image[40];
	struct victim v;
	struct seen s;
	struct told t;

	group_begin(&v, &g);
	pids_of(&v, pids, g.n);
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
	see_all(&s, image, pids, g.n);
	ok(one_instant(&s), "of one instant: %s", s.what);
	decant_predump_end(c);
	decant_target_close(target);
	decant_close(d);
	group_end(&v);
}

/* ---------------------------------------------------------------------- kills */

static bool all_run(const pid_t *pids, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char state = '?';

		for (unsigned k = 0; k < THAW_MS / 10; k++) {
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
	const struct group *g = arg;
	unsigned deaths = 0, n = 2, kills = kit_full() ? FULL_KILLS : KILLS;
	pid_t pids[FAMILY_MAX];
	char fault[40];
	struct victim v;
	struct told t;
	bool well = true;

	group_begin(&v, g);
	pids_of(&v, pids, g->n);
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
		well = all_run(pids, g->n) && goes_on(&v, g->n) && (!g->frozen || !cgroup_frozen());
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
	group_end(&v);
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
	static const struct group g = { "", "", true, 3, 1, 1 };
	struct victim v;
	pid_t pid;

	group_begin(&v, &g);
	for (unsigned guarded = 0; guarded < 2; guarded++) {
		unsigned n = 1, waited = 0;

		while ((pid = stopped_at(&v, n)) && !cgroup_frozen()) {
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
		while (cgroup_frozen() && waited++ < (guarded ? THAW_MS / 10 : 30))
			kit_sleep_ms(10);
		is_int(cgroup_frozen(), !guarded, "%s", guarded ? "its guard thaws them" :
		       "control: without a guard they stay frozen");
		(void)shell("echo 0 >%s/cgroup.freeze", cgroup);
		kit_sh("rm -rf %s/chain", dir);
		ok(goes_on(&v, g.n), "they run on");
	}
	group_end(&v);
}

int main(void)
{
	static const struct group groups[] = {
		{ "", "--rounds 2", false, 4, 3, 100 },
		{ "", "--rounds 0", true, 4, 3, 100 },
		{ "--grandchildren --mib 4", "--rounds 1 --mode vmsplice", false, 5, 2, 50 },
		{ "--grandchildren", "--rounds 1 --mode vmsplice", true, 3, 2, 50 },
		{ "--mib 8", "--rounds 0 --mode read", false, 4, 2, 50 },
		{ "--mib 8", "--rounds 0 --mode read", true, 4, 2, 50 },
		{ "--restless", "--rounds 2", false, 3, 2, 100 },
		{ "--restless", "--rounds 1", true, 3, 2, 100 },
	};
	static const struct group kills[] = {
		{ "", "--rounds 1", false, 3, 0, 0 },
		{ "", "--rounds 1", true, 3, 0, 0 },
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
	tap_case("images that fail", run_failures);
	for (size_t i = 0; i < sizeof(kills) / sizeof(*kills); i++)
		kit_case(run_kills, &kills[i], "killed at its steps%s",
			 kills[i].frozen ? ", in a cgroup" : "");
	tap_case("the guard of a frozen cgroup", run_guard);
	return done();
}
