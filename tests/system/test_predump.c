/* SPDX-License-Identifier: MIT */
/*
 * Chains of images of a running process: is what the final one stands for of
 * one instant, and an image of a process that stands still what /proc says?
 * decant is killed, the disk is full, the process ends: no directory looks
 * complete that is not, and the process runs on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decant.h"
#include "lib/fs.h"
#include "lib/kit.h"
#include "lib/oracle.h"
#include "lib/victims.h"
#include "tap.h"
#include "victims/counter.h"

#define PAGE 4096u
#define LIMIT_NS 60000000000ull
#define ROUNDS 20
#define KILLS 30
#define FULL_KILLS 600

static char dir[256];            /* of the case that runs */

static void begin(void)
{
	snprintf(dir, sizeof(dir), "%s/decant-predump.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	need(mkdtemp(dir), "a directory");
}

static void end(void)
{
	kit_sh("rm -rf %s", dir);
}

/* ----------------------------------------------------------- running decant */

struct told {
	int status;              /* of waitpid() */
	char text[16000];         /* both its outputs */
};

/* "decant words", split at blanks; killed after kill_ns, if not 0. */
__attribute__((format(printf, 3, 4)))
static bool tool(struct told *ret, uint64_t kill_ns, const char *fmt, ...)
{
	char words[1000], *argv[40] = { getenv("DECANT") }, *save = NULL;
	uint64_t began = kit_now_ns();
	int out[2], n = 1;
	size_t len = 0;
	ssize_t r;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	for (char *w = strtok_r(words, " ", &save); w && n < 39; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	kit_must(pipe2(out, O_CLOEXEC | O_NONBLOCK));
	pid = kit_must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	while (waitpid(pid, &ret->status, WNOHANG) == 0) {
		uint64_t now = kit_now_ns() - began;

		if ((kill_ns && now >= kill_ns) || now >= LIMIT_NS)
			kill(pid, SIGKILL);
		usleep(kill_ns ? 100 : 1000);
		r = read(out[0], ret->text + len, sizeof(ret->text) - 1 - len);
		len += r > 0 ? (size_t)r : 0;
	}
	r = read(out[0], ret->text + len, sizeof(ret->text) - 1 - len);
	len += r > 0 ? (size_t)r : 0;
	ret->text[len] = '\0';
	close(out[0]);
	return ret->status == 0;
}

static uint64_t number(const struct told *t, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(t->text, quoted);
	return at ? strtoull(at + strlen(quoted), NULL, 10) : UINT64_MAX;
}

/* The sum of all members of that name. */
static uint64_t total(const struct told *t, const char *key)
{
	uint64_t sum = 0;
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	for (const char *at = t->text; (at = strstr(at, quoted)); at += strlen(quoted))
		sum += strtoull(at + strlen(quoted), NULL, 10);
	return sum;
}

/* The core of what image n of dir/chain stands for. */
static bool good_core(unsigned n, struct oracle *o)
{
	struct told t;
	char core[300];

	snprintf(core, sizeof(core), "%s/core", dir);
	need(tool(&t, 0, "images %s/chain/%u core -q -f -o %s", dir, n, core),
	     "a core is made: %s", t.text);
	return oracle_check_file(core, o);
}

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
	victim_begin(&v, 0, "counter --mib 16 --rate 2");
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

/* The number that a shell's commands print; -1: they failed. */
__attribute__((format(printf, 1, 2)))
static long long shell(const char *fmt, ...)
{
	char text[700], line[100] = "";
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f = popen(text, "re");
	need(f, "a shell");
	(void)!fgets(line, sizeof(line), f);
	return pclose(f) == 0 ? atoll(line) : -1;
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
	ok(number(&t, "stops") == 1, "one stop");
	ok(!victim_harm(&v), "the victim is well");
	victim_end(&v);
	end();
}

/* ------------------------------------------------------------ how it is left */

static char state_of(pid_t pid)
{
	char line[100] = "";

	need(kit_line(line, sizeof(line), "grep ^State: /proc/%d/status", pid), "its state");
	return line[7];
}

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

/* ---------------------------------------------- killed, full, and the end of it */

static bool has(const char *where, unsigned n, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s/%u/%s", dir, where, n, name);
	return access(path, F_OK) == 0;
}

/* Complete ones are good, the others are refused.  How many are complete. */
static unsigned complete(const char *where)
{
	unsigned n, good = 0;
	struct told t;

	for (n = 1; has(where, n, "."); n++) {
		bool whole = has(where, n, "inventory.img");
		bool checked = tool(&t, 0, "images %s/%s/%u check", dir, where, n);

		ok(whole == checked, "image %u %s complete, and check says: %s", n,
		   whole ? "is" : "is not", t.text);
		ok(!whole || good == n - 1, "an image is complete after the one before");
		good += whole;
	}
	return good;
}

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

		(void)tool(&t, after, "predump %d -D %s/chain --final --rounds 3", v.pid, dir);
		deaths += WIFSIGNALED(t.status);
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
	char *small = fs_small(FS_TMPFS, 24);
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
	is_int(number(&t, "stops"), 1, "one stop");
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
	fs_start();
	tap_case_seconds = 100;
	snprintf(words, sizeof(words), "--rounds %d", ROUNDS);
	chain.words = words;
	kit_case(run_series, &chain, "%d rounds of a victim that writes flat out", ROUNDS);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		kit_case(run_series, &all[i], "counter %s: %s", all[i].victim, all[i].words);
	tap_case("controls", run_controls);
	tap_case("an image of what stands still is its memory", run_still);
	tap_case("what nobody writes is written once", run_idle);
	tap_case("left stopped", run_stopped);
	tap_case("refusals", run_refusals);
	tap_case("killed at any time", run_kills);
	tap_case("the disk is full", run_full);
	tap_case("the target ends", run_ends);
	tap_case("watched", run_watch);
	tap_case("a watcher's end", run_watch_ends);
	return done();
}
