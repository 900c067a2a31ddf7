/* SPDX-License-Identifier: MIT */
/*
 * Directories of images that are being written: whatever fails, and wherever
 * the writer dies, they look complete only when they are.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "decant.h"
#include "dump/check.h"
#include "dump/diff.h"
#include "dump/flatten.h"
#include "dump/names.h"
#include "lib/chains.h"
#include "lib/kit.h"
#include "sys/fault.h"
#include "tap.h"

#define PID 77u
#define STEPS_MAX 3000

static char dir[4096];
static struct chains model;

static const char *at(const char *name)
{
	static char names[4][4200];
	static unsigned i;
	char *path = names[i++ % 4];

	snprintf(path, sizeof(names[0]), "%s/%s", dir, name);
	return path;
}

static bool is_there(const char *path, const char *name)
{
	char text[8400];

	snprintf(text, sizeof(text), "%s/%s", path, name);
	return access(text, F_OK) == 0;
}

/* ----------------------------------------------------------- what is done */

/* The model and a note, in one go; small enough that every step can be tried. */
static int write_all(const char *path, const char *parent, uint32_t flags, struct err *e)
{
	struct criu_inventory inventory = { .dump_uptime_us = 1 };
	struct dir_options options = { .parent = parent, .flags = flags };
	struct criu_stats stats = { .pages_scanned = 1 };
	static unsigned char page[4096];
	struct dir_pages *p = NULL;
	struct buf b = BUF_INIT;
	struct dir *d = NULL;
	int r = dir_begin(&d, path, &options, e);

	if (r == 0)
		r = dir_pages_begin(d, DIR_PROCESS, PID, &p, e);
	for (unsigned i = 0; i < 12 && r == 0; i++) {
		chains_page(model.tag[i], page);
		if (model.tag[i])
			r = dir_pages_put(p, CHAINS_BASE + i * UINT64_C(4096), 1, page, e);
	}
	if (p) {
		int last = dir_pages_end(p, r < 0 ? NULL : e);

		r = r < 0 ? r : last;
	}
	criu_put_magic(&b, CRIU_NOTE);
	criu_put_note_head(&b, &(struct criu_note_head){ .pid = PID });
	if (r == 0)
		r = dir_append(d, "decant-77.img", &b, e);
	buf_clear(&b);
	criu_put_note_end(&b, 0, 0);
	if (r == 0)
		r = dir_append(d, "decant-77.img", &b, e);
	buf_free(&b);
	if (r == 0)
		r = dir_commit(d, &inventory, &stats, e);
	dir_close(d);
	return r;
}

static int flatten(const char *path, const char *to, uint32_t flags, struct err *e)
{
	struct flatten_report report;
	struct decant *d = NULL;
	struct chain c = CHAIN_INIT;
	int r = decant_open(&d, NULL);

	if (r == 0)
		r = chain_open(&c, path, NULL, e);
	if (r == 0)
		r = flatten_chain(d, &c, to, flags, &report, e);
	chain_close(&c);
	decant_close(d);
	return r;
}

/* A model of a dozen pages, and two rounds of it. */
static void small(bool rounds)
{
	memset(&model, 0, sizeof(model));
	model.next = 1;
	for (unsigned i = 0; i < 12; i++)
		model.tag[i] = i % 5 ? model.next++ : 0;
	if (!rounds)
		return;
	chains_round(&model, at("1"), NULL, PID, false);
	for (unsigned i = 2; i < 12; i += 4) {
		model.tag[i] = model.next++;
		model.dirty[i] = true;
	}
	chains_round(&model, at("2"), at("1"), PID, false);
}

static unsigned names_n;

static int count_name(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	names_n++;
	return 0;
}

static unsigned names_in(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	names_n = 0;
	if (fd >= 0) {
		need(names_each(fd, count_name, NULL) == 0, "names");
		close(fd);
	}
	return names_n;
}

static int ignore(void *arg, const struct check_fault *f)
{
	(void)arg;
	(void)f;
	return 0;
}

static int64_t faults_of(const char *path)
{
	struct err broken = { "" }, e = { "" };
	struct chain c = CHAIN_INIT;
	int64_t n;

	if (chain_open(&c, path, &broken, &e) < 0)
		return -1;
	n = check_chain(&c, &broken, ignore, NULL, &e);
	chain_close(&c);
	return n;
}

/* ---------------------------------------------------------------- failing */

static void errors(const void *arg)
{
	uint32_t flags = *(const uint32_t *)arg;
	unsigned long nth = 1, fired = 1;
	unsigned wrong = 0, left = 0;

	chains_begin(dir, sizeof(dir));
	small(false);
	need(mkdir(at("parent"), 0700) == 0, "a parent");
	for (; fired && nth < STEPS_MAX; nth++) {
		struct sys_fault_plan plan = { .mode = SYS_FAULT_ERROR, .nth = nth };
		struct err e = { "" };
		int r;

		sys_fault_arm(&plan);
		r = write_all(at("new"), at("parent"), flags, &e);
		fired = sys_fault_fired();
		sys_fault_disarm();
		/* Where only the durability failed, all is there. */
		wrong += (r < 0) != !is_there(at("new"), NAMES_INVENTORY) &&
			 !(flags & DIR_SYNC && chains_wrong(&model, at("new"), PID) == 0);
		wrong += r < 0 && !e.text[0];
		left += r < 0 && !is_there(at("new"), NAMES_INVENTORY) && is_there(dir, "new");
		kit_sh("rm -rf %s", at("new"));
	}
	ok(nth > 20 && nth < STEPS_MAX, "%lu steps were made to fail", nth);
	is_int(wrong, 0, "each was told, and complete was what succeeded");
	is_int(left, 0, "nothing is left of those that failed");
	chains_end(dir);
}

static int same_only(void *arg, const struct diff_range *r)
{
	unsigned *wrong = arg;

	*wrong += r->what != DIFF_SAME;
	return 0;
}

/* Good images stay good to whoever reads them, or he says that he could not. */
static int read_both(unsigned *wrong, struct err *e)
{
	struct chain c = CHAIN_INIT;
	int r = chain_open(&c, at("2"), NULL, e);
	int64_t n;

	if (r < 0)
		return r;
	n = check_chain(&c, NULL, ignore, NULL, e);
	*wrong += n > 0;
	r = n < 0 ? (int)n : diff_chains(&c, &c, same_only, wrong, e);
	chain_close(&c);
	return r;
}

static int flatten_new(unsigned *wrong, struct err *e)
{
	int r = flatten(at("2"), at("new"), DIR_CLEAN, e);

	*wrong += r < 0 && is_there(dir, "new");
	return r;
}

struct reader {
	int (*deed)(unsigned *wrong, struct err *e);
};

static void reading(const void *arg)
{
	int (*deed)(unsigned *wrong, struct err *e) = ((const struct reader *)arg)->deed;
	unsigned long nth = 1, fired = 1;
	unsigned wrong = 0, failed = 0;

	chains_begin(dir, sizeof(dir));
	small(true);
	for (; fired && nth < STEPS_MAX; nth++) {
		struct sys_fault_plan plan = { .mode = SYS_FAULT_ERROR, .nth = nth };
		struct err e = { "" };
		int r;

		sys_fault_arm(&plan);
		r = deed(&wrong, &e);
		fired = sys_fault_fired();
		sys_fault_disarm();
		failed += r < 0;
		/* An engine that cannot be opened has no sentence here. */
		wrong += r < 0 && !e.text[0] && deed == read_both;
		if (r == 0 && deed == flatten_new)
			wrong += chains_wrong(&model, at("new"), PID) != 0;
		kit_sh("rm -rf %s", at("new"));
	}
	ok(failed > 10 && nth < STEPS_MAX, "%u of %lu faults were told", failed, nth);
	is_int(wrong, 0, "and no good page was called a bad one");
	chains_end(dir);
}

/* ------------------------------------------------------------------ dying */

struct deed {
	const char *name;
	int (*run)(struct err *e);
	void (*judge)(void);
	bool rounds;
};

static int do_write(struct err *e)
{
	return write_all(at("new"), NULL, 0, e);
}

static int do_flatten_in_place(struct err *e)
{
	return flatten(at("2"), NULL, 0, e);
}

static int do_flatten(struct err *e)
{
	return flatten(at("2"), at("new"), 0, e);
}

/* What lies at "new": complete and right, or not complete, and then the next run knows. */
static void judge_new(void)
{
	const char *path = at("new");
	bool complete = is_there(path, NAMES_INVENTORY), any = names_in(path) > 0;
	struct err e = { "" };
	int r;

	if (complete) {
		is_int(chains_wrong(&model, path, PID), 0, "complete is right");
		is_int(faults_of(path), 0, "  and good");
		return;
	}
	ok(!any || faults_of(path) != 0, "not complete is seen by check");
	r = write_all(path, NULL, 0, &e);
	is_int(r, any ? -EEXIST : 0, "the next run says what it found: %s", e.text);
	ok(!any || strstr(e.text, "killed"), "  in words: %s", e.text);
	if (r == 0)
		return;
	is_int(write_all(path, NULL, DIR_CLEAN, &e), 0, "  and removes it when asked: %s", e.text);
	is_int(faults_of(path), 0, "  all of it");
	is_int(names_in(path), 5, "  and has its own files");
}

static void judge_in_place(void)
{
	struct err e = { "" };

	is_int(chains_wrong(&model, at("2"), PID), 0, "the images are what they were");
	is_int(flatten(at("2"), NULL, DIR_CLEAN, &e), 0, "again: %s", e.text);
	is_int(chains_wrong(&model, at("2"), PID), 0, "  right");
	ok(!is_there(at("2"), "parent"), "  without a parent");
}

static void judge_flatten(void)
{
	struct err e = { "" };
	bool any = names_in(at("new")) > 0;

	is_int(chains_wrong(&model, at("2"), PID), 0, "what was there is unharmed");
	if (is_there(at("new"), NAMES_INVENTORY)) {
		is_int(chains_wrong(&model, at("new"), PID), 0, "complete is right");
		return;
	}
	is_int(flatten(at("2"), at("new"), 0, &e), any ? -EEXIST : 0, "again: %s", e.text);
	if (any)
		is_int(flatten(at("2"), at("new"), DIR_CLEAN, &e), 0, "again: %s", e.text);
	is_int(chains_wrong(&model, at("new"), PID), 0, "  right");
}

static const struct deed deeds[] = {
	{ "writing", do_write, judge_new, false },
	{ "flattening in place", do_flatten_in_place, judge_in_place, true },
	{ "flattening into a new directory", do_flatten, judge_flatten, true },
};

/* Steps that change nothing need not be died at, one by one. */
static const char *const changing[] = {
	"mkdir", "openat", "write", "pwrite", "pwritev2", "ftruncate", "renameat", "symlinkat",
	"unlinkat", "ficlonerange", "copy_file_range", "flock",
};

static bool die_at(const struct deed *d, const char *name, unsigned long nth)
{
	struct sys_fault_plan plan = { .mode = SYS_FAULT_KILL, .nth = nth, .name = name };
	struct err e = { "" };
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = kit_must(fork());
	if (pid == 0) {
		sys_fault_arm(&plan);
		_exit(d->run(&e) < 0);
	}
	kit_must(waitpid(pid, &status, 0));
	ok(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "it dies or succeeds");
	return WIFSIGNALED(status);
}

static void dying(const void *arg)
{
	const struct deed *d = arg;
	unsigned deaths = 0;

	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
		bool died = true;

		for (unsigned long nth = 1; died && nth < STEPS_MAX; nth++) {
			chains_begin(dir, sizeof(dir));
			small(d->rounds);
			died = die_at(d, changing[i], nth);
			deaths += died;
			if (died)
				d->judge();
			chains_end(dir);
		}
	}
	ok(deaths > 10, "%u deaths", deaths);
	diag("%u deaths", deaths);
}

/* --------------------------------------------------------------- refusals */

/* A good entry, one that comes before it, and those that make no sense. */
static const struct criu_entry refused_good = { 0x3000, 1, CRIU_PRESENT };
static const struct criu_entry refused_before = { 0x2000, 1, CRIU_PRESENT };
static const struct criu_entry refused_entries[] = {
	{ 0x5001, 1, CRIU_PRESENT },
	{ 0x5000, 0, CRIU_PRESENT },
	{ 0x5000, 1, 0 },
	{ 0x5000, 1, CRIU_PRESENT | CRIU_PARENT },
	{ 0x5000, 1, 8 },
	{ 0x5000, UINT64_MAX / 4096, CRIU_PRESENT },
	{ UINT64_C(1) << 63, 1, CRIU_PRESENT },
	{ 0x3000, 2, CRIU_PARENT },
};
static const char *const refused_names[] = {
	"../x", "a/b", ".x", "inventory.img", "parent", "pages-3.img", "x.img.part",
	"pagemap-5.img",
};

static void refusals(void)
{
	struct dir_options none = { .flags = 0 }, shared = { .flags = DIR_SHARED };
	struct dir_options self = { .parent = NULL };
	struct dir *d = NULL, *other = NULL;
	struct dir_pages *p = NULL, *q = NULL;
	struct buf b = BUF_INIT;
	struct err e = { "" };
	char text[64];
	ssize_t n;

	chains_begin(dir, sizeof(dir));
	is_int(dir_begin(&d, at("no/x"), &none, &e), -ENOENT, "%s", e.text);
	need(close(creat(at("file"), 0600)) == 0, "a file");
	is_int(dir_begin(&d, at("file"), &none, &e), -ENOTDIR, "%s", e.text);
	self.parent = at("new");
	is_int(dir_begin(&d, at("new"), &self, &e), -EINVAL, "its own parent: %s", e.text);
	ok(!is_there(dir, "new"), "  and the directory is gone again");
	self.parent = at("nix");
	is_int(dir_begin(&d, at("new"), &self, &e), -ENOENT, "no such parent: %s", e.text);
	need(dir_begin(&d, at("new"), &none, &e) == 0, "%s", e.text);
	is_int(dir_begin(&other, at("new"), &none, &e), -EBUSY, "two writers: %s", e.text);
	is_int(dir_begin(&other, at("new"), &shared, &e), -EBUSY, "also a shared one: %s", e.text);
	is_int(dir_pages_begin(d, DIR_PROCESS, 0, &p, &e), -EINVAL, "%s", e.text);
	is_int(dir_pages_begin(d, DIR_PROCESS, UINT64_C(1) << 31, &p, &e), -EINVAL, "%s", e.text);
	need(dir_pages_begin(d, DIR_PROCESS, 5, &p, &e) == 0, "%s", e.text);
	is_int(dir_pages_begin(d, DIR_PROCESS, 5, &q, &e), -EEXIST, "%s", e.text);
	is_int(dir_pages_entry(p, &refused_good, NULL, &e), 0, "an entry");
	is_int(dir_pages_entry(p, &refused_before, NULL, &e), -EINVAL, "before it: %s", e.text);
	for (size_t i = 0; i < sizeof(refused_entries) / sizeof(refused_entries[0]); i++)
		is_int(dir_pages_entry(p, &refused_entries[i], NULL, &e), -EINVAL, "%s", e.text);
	is_int(dir_pages_count(p).entries, 1, "one entry nevertheless");
	is_int(dir_commit(d, NULL, NULL, &e), -EINVAL, "too early: %s", e.text);
	is_int(dir_pages_end(p, &e), 0, "its end");
	for (size_t i = 0; i < sizeof(refused_names) / sizeof(refused_names[0]); i++)
		is_int(dir_append(d, refused_names[i], &b, &e), -EINVAL, "%s", e.text);
	is_int(dir_commit(d, NULL, NULL, &e), 0, "committed");
	dir_close(d);
	is_int(dir_begin(&d, at("new"), &none, &e), -EEXIST, "%s", e.text);
	/* Shared: side by side, and a pagemap is replaced. */
	need(dir_begin(&d, at("new"), &shared, &e) == 0, "%s", e.text);
	need(dir_begin(&other, at("new"), &shared, &e) == 0, "%s", e.text);
	need(dir_pages_begin(d, DIR_PROCESS, 5, &p, &e) == 0, "%s", e.text);
	is_int(dir_pages_begin(other, DIR_PROCESS, 5, &q, &e), -EBUSY, "the same: %s", e.text);
	need(dir_pages_begin(other, DIR_PROCESS, 6, &q, &e) == 0, "%s", e.text);
	ok(dir_pages_id(p) != dir_pages_id(q), "each has its own pages");
	is_int(dir_pages_end(p, &e) | dir_pages_end(q, &e), 0, "both end");
	is_int(dir_commit(d, NULL, NULL, &e) | dir_commit(other, NULL, NULL, &e), 0, "both stay");
	dir_close(d);
	dir_close(other);
	ok(is_there(at("new"), "pagemap-5.img") && is_there(at("new"), "pagemap-6.img"),
	   "both are there");
	/* The link is relative. */
	self.parent = at("new");
	need(mkdir(at("deep"), 0700) == 0, "a directory");
	need(dir_begin(&d, at("deep/x"), &self, &e) == 0, "%s", e.text);
	n = readlink(at("deep/x/parent"), text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	is_str(text, "../../new", "the parent link is relative");
	dir_close(d);
	self.parent = dir;
	need(dir_begin(&d, at("deep/x"), &self, &e) == 0, "%s", e.text);
	n = readlink(at("deep/x/parent"), text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	is_str(text, "../..", "also to a directory above");
	dir_close(d);
	ok(!is_there(at("deep"), "x"), "and what was not committed is gone");
	chains_end(dir);
}

int main(void)
{
	static const uint32_t plain = 0, sync_flag = DIR_SYNC;
	static const struct reader readers[] = { { read_both }, { flatten_new } };

	kit_start(300);
	tap_case_seconds = 100;
	tap_case("what is refused", refusals);
	kit_case(errors, &plain, "every step fails");
	kit_case(errors, &sync_flag, "every step fails, with syncing");
	for (size_t i = 0; i < 2; i++)
		kit_case(reading, &readers[i], "every step fails, %s",
			 i ? "flattening" : "checking and comparing");
	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
		kit_case(dying, &deeds[i], "%s, and dying at every step", deeds[i].name);
	return done();
}
