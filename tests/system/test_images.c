/* SPDX-License-Identifier: MIT */
/* Chains of images against a model: reading, checking, merging, comparing. */
#include <fcntl.h>
#include <sys/stat.h>

#include "decant.h"
#include "dump/check.h"
#include "dump/diff.h"
#include "dump/flatten.h"
#include "lib/chains.h"
#include "lib/kit.h"
#include "tap.h"

#define PID 77u
#define ROUNDS 20

static char dir[4096];           /* of the case that runs */

static const char *at(unsigned n)
{
	static char names[4][4160];
	static unsigned i;
	char *name = names[i++ % 4];

	snprintf(name, sizeof(names[0]), "%s/%u", dir, n);
	return name;
}

/* ---------------------------------------------------------- what is found */

struct seen {
	unsigned faults, notices;
	uint64_t pages;          /* in messages about a parent */
	char text[ERR_TEXT_MAX];
};

static int see(void *arg, const struct check_fault *f)
{
	struct seen *s = arg;

	s->faults += f->weight == CHECK_FAULT;
	s->notices += f->weight == CHECK_NOTICE;
	if (f->weight == CHECK_FAULT) {
		memcpy(s->text, f->text, sizeof(s->text));
		if (strstr(f->text, "parent"))
			s->pages += f->pages;
	}
	return 0;
}

static struct seen check_dir(const char *path)
{
	struct chain c = CHAIN_INIT;
	struct err broken, e = { "" };
	struct seen s = { 0 };
	int64_t n;

	need(chain_open(&c, path, &broken, &e) == 0, "open %s: %s", path, e.text);
	n = check_chain(&c, &broken, see, &s, &e);
	is_int(n, s.faults, "as many faults as were told");
	chain_close(&c);
	return s;
}

static int flatten(const char *path, const char *to, struct flatten_report *report, struct err *e)
{
	struct decant *d = NULL;
	struct chain c = CHAIN_INIT;
	int r;

	need(decant_open(&d, NULL) == 0, "an engine");
	r = chain_open(&c, path, NULL, e);
	if (r == 0)
		r = flatten_chain(d, &c, to, 0, report, e);
	chain_close(&c);
	decant_close(d);
	return r;
}

/* --------------------------------------------------------- random chains */

static void random_chain(const void *arg)
{
	static struct chains model;
	unsigned rounds = 2 + kit_random() % (ROUNDS - 1);
	struct flatten_report report;
	struct err e = { "" };
	struct stat st;
	char link[4200];
	struct seen s;

	(void)arg;
	chains_begin(dir, sizeof(dir));
	chains_init(&model);
	for (unsigned i = 1; i <= rounds; i++) {
		chains_live(&model);
		chains_round(&model, at(i), i > 1 ? at(i - 1) : NULL, PID, kit_random() % 3 == 0);
		is_int(chains_wrong(&model, at(i), PID), 0, "round %u is the model", i);
	}
	s = check_dir(at(rounds));
	is_int(s.faults, 0, "nothing is wrong with it: %s", s.text);
	is_int(flatten(at(rounds), at(100), &report, &e), 0, "flattened: %s", e.text);
	is_int(chains_wrong(&model, at(100), PID), 0, "that is the model, too");
	snprintf(link, sizeof(link), "%s/parent", at(100));
	ok(lstat(link, &st) < 0, "it needs no parent");
	is_int(check_dir(at(100)).faults, 0, "and is good");
	is_int(flatten(at(rounds), NULL, &report, &e), 0, "in its own place: %s", e.text);
	is_int(chains_wrong(&model, at(rounds), PID), 0, "still the model");
	s = check_dir(at(rounds));
	is_int(s.faults + s.notices, 0, "good, and nothing is left over: %s", s.text);
	kit_sh("rm -rf %s", at(1));
	is_int(chains_wrong(&model, at(rounds), PID), 0, "and without its first round");
	chains_end(dir);
}

/* ------------------------------------------------------------ comparisons */

struct compare {
	const struct chains *a, *b;
	unsigned wrong, pages, changed;
	uint64_t last;
};

static int compare_range(void *arg, const struct diff_range *r)
{
	struct compare *c = arg;

	c->wrong += r->start < c->last || r->id.id != PID;
	c->last = r->end;
	for (uint64_t p = r->start; p < r->end; p += 4096) {
		uint64_t i = (p - CHAINS_BASE) / 4096;
		unsigned char x[4096], y[4096];
		enum diff_what want;

		chains_page(c->a->tag[i], x);
		chains_page(c->b->tag[i], y);
		want = !c->b->tag[i] ? DIFF_ONLY_A : !c->a->tag[i] ? DIFF_ONLY_B :
		       memcmp(x, y, 4096) ? DIFF_OTHER : DIFF_SAME;
		c->wrong += r->what != want || (!c->a->tag[i] && !c->b->tag[i]);
		c->pages++;
		c->changed += r->what != DIFF_SAME;
	}
	return 0;
}

static struct compare compare(const char *x, const char *y, const struct chains *a,
			      const struct chains *b)
{
	struct compare c = { .a = a, .b = b };
	struct chain p = CHAIN_INIT, q = CHAIN_INIT;
	struct err e = { "" };

	need(chain_open(&p, x, NULL, &e) == 0 && chain_open(&q, y, NULL, &e) == 0, "%s", e.text);
	is_int(diff_chains(&p, &q, compare_range, &c, &e), 0, "compared: %s", e.text);
	for (unsigned i = 0; i < CHAINS_PAGES; i++)
		c.pages -= a->tag[i] || b->tag[i];
	is_int(c.pages, 0, "each page once");
	is_int(c.wrong, 0, "and each is told right");
	chain_close(&p);
	chain_close(&q);
	return c;
}

static void random_diff(const void *arg)
{
	static struct chains early, model;
	unsigned rounds = 3 + kit_random() % 6, which = 1 + kit_random() % 2;
	struct flatten_report report;
	struct err e = { "" };

	(void)arg;
	chains_begin(dir, sizeof(dir));
	chains_init(&model);
	for (unsigned i = 1; i <= rounds; i++) {
		chains_live(&model);
		chains_round(&model, at(i), i > 1 ? at(i - 1) : NULL, PID, false);
		if (i == which)
			early = model;
	}
	(void)compare(at(which), at(rounds), &early, &model);
	(void)compare(at(rounds), at(which), &model, &early);
	is_int(compare(at(rounds), at(rounds), &model, &model).changed, 0, "the same");
	is_int(flatten(at(rounds), at(100), &report, &e), 0, "flattened");
	is_int(compare(at(rounds), at(100), &model, &model).changed, 0, "the same, read");
	chains_end(dir);
}

/* ----------------------------------------------------------------- damage */

/* A page that was written since the last round, or was not. */
static bool chains_has(const struct chains *model, bool dirty)
{
	for (unsigned i = 0; i < CHAINS_PAGES; i++)
		if (model->tag[i] && model->dirty[i] == dirty)
			return true;
	return false;
}

static void two_rounds(struct chains *model)
{
	chains_init(model);
	chains_round(model, at(1), NULL, PID, false);
	/* At least one page of each kind. */
	do
		chains_live(model);
	while (!chains_has(model, true) || !chains_has(model, false));
	chains_round(model, at(2), at(1), PID, false);
}

struct damage {
	const char *name, *command; /* run in the directory of rounds 1 and 2 */
	const char *want;           /* in the sentence of a fault */
	bool walk_fails;
};

static const struct damage damages[] = {
	{ "the parent is gone", "rm -r 1", "parent", true },
	{ "the parent's pagemap is gone", "rm 1/pagemap-77.img", "parent", true },
	{ "the parent's pages are gone", "rm 1/pages-1.img", "is missing", true },
	{ "the parent's pages are short", "truncate -s 4095 1/pages-1.img", "are named", true },
	{ "pages are too long", "truncate -s +4096 2/pages-1.img", "only", false },
	{ "the pagemap is cut in a record", "truncate -s -3 2/pagemap-77.img", "cut off", true },
	{ "the pagemap is cut in its head", "truncate -s 12 2/pagemap-77.img", "cut off", true },
	{ "the pagemap is cut in its magic", "truncate -s 5 2/pagemap-77.img", "cut off", true },
	{ "the pagemap is empty", "truncate -s 0 2/pagemap-77.img", "cut off", true },
	{ "the pagemap is something else", "cp 2/inventory.img 2/pagemap-77.img", "is no pagemap",
	  true },
	{ "the pagemap is a link", "mv 2/pagemap-77.img 2/x; ln -s x 2/pagemap-77.img",
	  "no regular", true },
	{ "the pagemap is a FIFO", "rm 2/pagemap-77.img; mkfifo 2/pagemap-77.img", "no regular",
	  true },
	{ "the pages are a link", "mv 2/pages-1.img 2/x; ln -s x 2/pages-1.img", "no regular",
	  true },
	{ "the inventory is cut", "truncate -s 6 2/inventory.img", "inventory.img", false },
	{ "parents in a ring", "ln -s ../2 1/parent", "own parent", true },
	{ "the parent is a file", "rm 2/parent; : >2/parent", "parent", true },
	{ "killed while it was written", ": >2/pagemap-78.img.part", "unfinished", false },
	{ "nothing is there", "rm 2/pagemap*", "no pagemap", true },
};

static void damaged(const void *arg)
{
	const struct damage *d = arg;
	static struct chains model;
	struct flatten_report report;
	char script[4300];
	struct err e = { "" };
	struct seen s;
	FILE *f;
	int r;

	chains_begin(dir, sizeof(dir));
	two_rounds(&model);
	is_int(check_dir(at(2)).faults, 0, "control: good before");
	snprintf(script, sizeof(script), "%s/damage", dir);
	f = fopen(script, "w");
	need(f, "a script");
	fprintf(f, "set -e\ncd %s\n%s\n", dir, d->command);
	fclose(f);
	kit_sh("sh %s", script);
	s = check_dir(at(2));
	ok(s.faults > 0 && strstr(s.text, d->want), "seen: %s", s.text);
	r = flatten(at(2), at(3), &report, &e);
	ok(d->walk_fails ? r < 0 && e.text[0] : r == 0, "flatten: %d %s", r, e.text);
	ok(access(at(3), F_OK) < 0 || !d->walk_fails, "nothing is left of it");
	chains_end(dir);
}

/* PARENT pages that are in no parent: each one is told, and no other. */
static void absent(const void *arg)
{
	static struct chains model;
	static struct criu_entry kept[CHAINS_PAGES];
	unsigned n = 0, gone = 0, i;
	struct seen s;

	(void)arg;
	chains_begin(dir, sizeof(dir));
	two_rounds(&model);
	/* Round 1 loses parts of entries; what round 2 wants of them is counted page by page. */
	memset(&s, 0, sizeof(s));
	{
		struct chain c = CHAIN_INIT;
		struct chain_map *m = NULL;
		struct criu_entry e;
		static bool lost[CHAINS_PAGES];
		struct err err = { "" };
		uint64_t offset;

		memset(lost, 0, sizeof(lost));
		need(chain_open(&c, at(1), NULL, &err) == 0, "open");
		need(chain_map_open(&m, &c, 0, DIR_PROCESS, PID, &err) == 0, "open");
		while (chain_map_next(m, &e, &offset, &err) == 1) {
			uint64_t k = (e.vaddr - CHAINS_BASE) / 4096, all = e.nr_pages;
			uint64_t first = kit_random() % 2 ? 0 : kit_random() % (all + 1);
			uint64_t end = kit_random() % 2 ? all :
						     first + kit_random() % (all - first + 1);

			for (uint64_t p = 0; p < all; p++)
				lost[k + p] = p < first || p >= end;
			e.vaddr += first * 4096;
			e.nr_pages = end - first;
			if (end > first)
				kept[n++] = e;
		}
		chain_map_close(m);
		chain_close(&c);
		need(chain_open(&c, at(2), NULL, &err) == 0, "open");
		need(chain_map_open(&m, &c, 0, DIR_PROCESS, PID, &err) == 0, "open");
		while (chain_map_next(m, &e, &offset, &err) == 1)
			for (i = 0; e.flags & CRIU_PARENT && i < e.nr_pages; i++)
				gone += lost[(e.vaddr - CHAINS_BASE) / 4096 + i];
		chain_map_close(m);
		chain_close(&c);
	}
	chains_pagemap(at(1), PID, 1, kept, n);
	s = check_dir(at(2));
	is_int(s.pages, gone, "pages that are in no parent");
	chains_end(dir);
}

static void disorder(void)
{
	static const struct criu_entry entries[] = {
		{ 0x10000, 2, CRIU_PRESENT },
		{ 0x11000, 2, CRIU_PRESENT },      /* overlaps */
		{ 0x20000, 1, CRIU_PRESENT },
		{ 0x5000, 1, CRIU_PRESENT },       /* not in order */
	};
	static struct chains model;
	struct chain c = CHAIN_INIT;
	struct chain_walk *w = NULL;
	struct chain_piece p;
	struct err e = { "" };
	struct seen s;
	int r = 1;

	chains_begin(dir, sizeof(dir));
	two_rounds(&model);
	chains_pagemap(at(1), PID, 1, entries, 4);
	kit_sh("truncate -s 24576 %s/pages-1.img", at(1));
	s = check_dir(at(1));
	is_int(s.faults, 2, "both faults, and not only the first");
	need(chain_open(&c, at(1), NULL, &e) == 0, "open");
	need(chain_walk_open(&w, &c, DIR_PROCESS, PID, &e) == 0, "open");
	for (unsigned i = 0; i < 8 && r == 1; i++)
		r = chain_walk_next(w, &p, &e);
	is_int(r, -EBADMSG, "who reads it is stopped: %s", e.text);
	chain_walk_close(w);
	chain_close(&c);
	chains_end(dir);
}

static void long_chain(void)
{
	struct chain c = CHAIN_INIT;
	struct err e = { "" };

	chains_begin(dir, sizeof(dir));
	for (unsigned i = 1; i <= CHAIN_LEVELS_MAX + 1; i++) {
		need(mkdir(at(i), 0700) == 0, "a level");
		if (i > 1) {
			char link[4200], text[32];

			snprintf(link, sizeof(link), "%s/parent", at(i));
			snprintf(text, sizeof(text), "../%u", i - 1);
			need(symlink(text, link) == 0, "its link");
		}
	}
	is_int(chain_open(&c, at(CHAIN_LEVELS_MAX), NULL, &e), 0, "%u levels", CHAIN_LEVELS_MAX);
	is_int(c.n, CHAIN_LEVELS_MAX, "  all of them");
	chain_close(&c);
	is_int(chain_open(&c, at(CHAIN_LEVELS_MAX + 1), NULL, &e), -EMLINK, "one more: %s",
	       e.text);
	chains_end(dir);
}

/* -------------------------------------------------------- memory and time */

/* Five million entries: a file of 200 MB that is never held in memory. */
static void large(void)
{
	struct dir_options options = { .flags = 0 };
	struct criu_inventory inventory = { .dump_uptime_us = 1 };
	uint64_t n = kit_full() ? 5000000 : 500000, before;
	struct dir_pages *p = NULL;
	struct dir *d = NULL;
	struct err e = { "" };

	chains_begin(dir, sizeof(dir));
	need(dir_begin(&d, at(1), &options, &e) == 0, "%s", e.text);
	need(dir_pages_begin(d, DIR_PROCESS, PID, &p, &e) == 0, "%s", e.text);
	before = kit_status("VmHWM");
	for (uint64_t i = 0; i < n; i++) {
		struct criu_entry entry = { CHAINS_BASE + i * 8192, 1, CRIU_PRESENT };

		need(dir_pages_entry(p, &entry, NULL, &e) == 0, "%s", e.text);
	}
	is_int(dir_pages_count(p).entries, n, "as many entries");
	is_int(dir_pages_end(p, &e), 0, "written: %s", e.text);
	is_int(dir_commit(d, &inventory, NULL, &e), 0, "and named: %s", e.text);
	dir_close(d);
	is_int(check_dir(at(1)).faults, 0, "and good");
	/* The sanitizers keep what was freed. */
	ok(kit_slow_build() || kit_status("VmHWM") - before < 8192, "memory: %ju KiB more",
	   (uintmax_t)(kit_status("VmHWM") - before));
	chains_end(dir);
}

int main(void)
{
	unsigned n = kit_full() ? 60 : 8;

	kit_start(300);
	tap_case_seconds = 60;
	for (unsigned i = 0; i < n; i++)
		kit_case(random_chain, NULL, "a random chain, %u", i);
	for (unsigned i = 0; i < n; i++)
		kit_case(random_diff, NULL, "two of a chain compared, %u", i);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
		kit_case(damaged, &damages[i], "%s", damages[i].name);
	for (unsigned i = 0; i < n; i++)
		kit_case(absent, NULL, "pages missing in the parent, %u", i);
	tap_case("overlapping and unordered entries", disorder);
	tap_case("as many parents as are allowed", long_chain);
	tap_case("many entries", large);
	return done();
}
