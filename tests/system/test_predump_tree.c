/* SPDX-License-Identifier: MIT */
/*
 * Chains of images of a process and its descendants: is the final one of one
 * instant of all of them, frozen or stopped one after the other, while they
 * are born and die; is shared memory there once; and do they all run on, also
 * when decant is killed while they stand?  Control: one chain for each process,
 * one after the other, is torn.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/corefile.h"
#include "lib/dumped.h"
#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"
#include "victims/family.h"

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
	unsigned n;
	char what[200];
};

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
	if (own && all) {
		memcpy(&s->own[s->n], own, sizeof(struct family_own));
		memcpy(&s->all, all, sizeof(struct family_all));
	}
	corefile_close(&c);
	s->n += own && all;
	return own && all;
}

/* At an instant: b <= count <= a <= b + 1, and nobody has seen more than there was. */
static bool one_instant(struct seen *s)
{
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
	ok(!tool(&t, 0, "predump %d -D %s/no --tree --watch 1m", v.pid, dir) &&
	   WEXITSTATUS(t.status) == 2, "one process is watched, not many");
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
	for (size_t i = 0; i < sizeof(kills) / sizeof(*kills); i++)
		kit_case(run_kills, &kills[i], "killed at its steps%s",
			 kills[i].frozen ? ", in a cgroup" : "");
	return done();
}
