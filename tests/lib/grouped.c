/* SPDX-License-Identifier: MIT */
#include "lib/grouped.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/corefile.h"
#include "lib/dumped.h"
#include "lib/kit.h"
#include "tap.h"

#define PAGE 4096u

char grouped_cgroup[300];

static void cgroup_begin(void)
{
	char line[600], mount[200] = "", type[40] = "";
	FILE *f = fopen("/proc/mounts", "re");

	while (f && strcmp(type, "cgroup2") != 0 && fgets(line, sizeof(line), f))
		(void)!sscanf(line, "%*s %199s %39s", mount, type);
	need(f && strcmp(type, "cgroup2") == 0, "cgroups of version 2");
	fclose(f);
	snprintf(grouped_cgroup, sizeof(grouped_cgroup), "%s/decant-test-%d", mount, getpid());
	kit_must(mkdir(grouped_cgroup, 0755));
}

bool grouped_frozen(void)
{
	return shell("grep -c 'frozen 1' %s/cgroup.events", grouped_cgroup) == 1;
}

static void cgroup_end(void)
{
	for (unsigned i = 0; grouped_cgroup[0] && rmdir(grouped_cgroup) < 0 && i < 200; i++)
		kit_sleep_ms(10);
	grouped_cgroup[0] = '\0';
}

/* --------------------------------------------------------------- the oracle */

/* What page p holds after step i; before is of a step that may not have come to it. */
static uint64_t page_holds(uint64_t i, uint64_t p, uint64_t pages, bool before)
{
	uint64_t k = i / FAMILY_STEPS, back = (k + pages - p) % pages;

	if (before && !back)
		back = pages;
	return k < back ? 0 : (k - back) * FAMILY_STEPS;
}

static bool pages_right(struct grouped_seen *s, const struct corefile *c,
			const struct family_own *own, pid_t pid)
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
bool grouped_see(struct grouped_seen *s, const char *image, pid_t pid)
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
bool grouped_one_instant(struct grouped_seen *s)
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

/* Of those that nobody else has counted, too. */
static bool others_right(struct grouped_seen *s, const char *image)
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
		if (grouped_see(s, image, pid))
			n++;
	}
	if (d)
		closedir(d);
	diag("%s: %u processes", image, n);
	return n > 0 && !s->wrong;
}

void grouped_see_all(struct grouped_seen *s, const char *image, const pid_t *pids, unsigned n)
{
	*s = (struct grouped_seen){ .n = 0 };
	ok(others_right(s, image), "%s: pages of whoever was there: %s", image, s->what);
	s->n = 0;
	for (unsigned k = 0; k < n; k++)
		ok(grouped_see(s, image, pids[k]), "%s: process %d is there", image, pids[k]);
}

/* -------------------------------------------------------------- the victims */

void grouped_pids(struct victim *v, pid_t *pids, unsigned n)
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

bool grouped_goes_on(struct victim *v, unsigned n)
{
	uint64_t before[FAMILY_MAX];

	for (unsigned i = 0; i < n; i++)
		before[i] = counted(v, i);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; counted(v, i) == before[i]; k++) {
			if (k == GROUPED_THAW_MS / 10)
				return false;
			kit_sleep_ms(10);
		}
	return true;
}

void grouped_begin(struct victim *v, const struct grouped *g)
{
	begin();
	if (g->frozen)
		cgroup_begin();
	victim_begin(v, VICTIM_FAMILY, "family --processes %u %s %s %s", g->n, g->victim,
		     g->frozen ? "--cgroup" : "", grouped_cgroup);
}

void grouped_end(struct victim *v)
{
	const char *harm = victim_harm(v);

	ok(!harm, "the victim: %s", harm ? harm : "");
	victim_end(v);
	cgroup_end();
	end();
}
