/* SPDX-License-Identifier: MIT */
/*
 * Are cores of one instant?  A victim whose whole memory follows from a
 * counter is captured again and again by every strategy, with 4 KiB and huge
 * pages, while it writes; with facts masked, and memory of every kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/oracle.h"
#include "lib/take.h"
#include "lib/victims.h"
#include "tap.h"
#include "victims/counter.h"

static char dir[200];

static const char *core_path(void)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/core.%d", dir, getpid());
	(void)unlink(path);
	return path;
}

/* What many cores of one victim said. */
struct tally {
	unsigned cores;
	uint64_t pages, registers, between, churned;
};

/* Take one and look at it. */
static bool capture_once(struct victim *v, const char *words, const char *env, struct tally *sum)
{
	const char *path = core_path();
	struct take t;
	struct oracle o;

	if (!ok(take_core(&t, v->pid, path, words, env), "a core is taken")) {
		diag("%s %s: status 0x%x%s: %s", env, words, (unsigned)t.status,
		     t.late ? ", late" : "", t.text);
		return false;
	}
	if (!ok(oracle_check_file(path, &o), "it is of one instant")) {
		diag("%s %s: torn %" PRIu64 " missing %" PRIu64 " wrong %" PRIu64 " of %" PRIu64
		     " pages: %s", env, words, o.torn, o.missing, o.wrong, o.pages, o.what);
		return false;
	}
	sum->cores++;
	sum->pages += o.pages;
	sum->registers += o.registers;
	sum->between += o.between;
	sum->churned += o.churned;
	(void)unlink(path);
	return true;
}

struct series {
	const char *victim;       /* options of the victim */
	unsigned habits;
	const char *words, *env;  /* of decant core */
	unsigned few, many;       /* captures, and those of a full run */
	unsigned wants;           /* enum series_want */
};

enum series_want {
	WANT_BETWEEN = 1,         /* a full run must find writers in the middle of a step */
};

static void run_series(const void *arg)
{
	const struct series *s = arg;
	unsigned i, n = kit_full() ? s->many : s->few;
	struct tally sum = { 0 };
	struct victim v;
	const char *harm;

	victim_begin(&v, s->habits, "counter %s", s->victim);
	for (i = 0; i < n; i++)
		if (!capture_once(&v, s->words, s->env, &sum))
			break;
	harm = victim_harm(&v);
	ok(!harm, "the victim: %s", harm ? harm : "");
	diag("%s | %s %s: %u cores, %" PRIu64 " pages, registers known in %" PRIu64
	     ", in the middle of a step %" PRIu64 ", mapping that goes %" PRIu64, s->victim,
	     s->words, s->env, sum.cores, sum.pages, sum.registers, sum.between, sum.churned);
	if (s->wants & WANT_BETWEEN && kit_full())
		ok(sum.between > 0, "writers are seen in the middle of a step");
	victim_end(&v);
}

/* ---------------------------------------------------------------- controls */

/*
 * A core as somebody would take it who does not stop the writer: pages read
 * one after the other.
 */
static void tear(const char *path, struct victim *v)
{
	unsigned char page[COUNTER_PAGE];
	struct corefile c;
	uint64_t i;
	int fd = kit_must(open(path, O_RDWR | O_CLOEXEC));

	need(corefile_open_fd(&c, fd), "the core is read: %s", c.why);
	for (i = 0; i < 1024; i++) {
		uint64_t addr = COUNTER_BASE + i * COUNTER_PAGE;
		struct iovec here = { page, sizeof(page) }, there = { (void *)addr, sizeof(page) };
		const unsigned char *in = corefile_memory(&c, addr, COUNTER_PAGE);

		if (!in || process_vm_readv(v->pid, &here, 1, &there, 1, 0) != sizeof(page))
			continue;
		kit_write_all(fd, page, sizeof(page), in - c.map);
	}
	corefile_close(&c);
	close(fd);
}

static void poke(const char *path, uint64_t addr, unsigned char change)
{
	struct corefile c;
	const unsigned char *in;
	unsigned char byte;
	int fd = kit_must(open(path, O_RDWR | O_CLOEXEC));

	need(corefile_open_fd(&c, fd), "the core is read: %s", c.why);
	in = corefile_memory(&c, addr, 1);
	need(in, "the address is in the core");
	byte = *in ^ change;
	kit_write_all(fd, &byte, 1, in - c.map);
	corefile_close(&c);
	close(fd);
}

/* r12 of every thread one off. */
static void poke_registers(const char *path)
{
	struct corefile c;
	uint64_t r12;
	size_t i;
	int fd = kit_must(open(path, O_RDWR | O_CLOEXEC));

	need(corefile_open_fd(&c, fd), "the core is read: %s", c.why);
	for (i = 0; i < c.threads_n; i++) {
		r12 = c.threads[i].regs.r12 + 1;
		kit_write_all(fd, &r12, sizeof(r12), c.threads[i].regs_at +
			      offsetof(struct user_regs_struct, r12) - c.map);
	}
	corefile_close(&c);
	close(fd);
}

static void take_plain(struct victim *v, const char *path)
{
	struct take t;
	struct oracle o;

	(void)unlink(path);
	need(take_core(&t, v->pid, path, "--strategy stop --max-pause 10s", ""),
	     "a core is taken: %s", t.text);
	need(oracle_check_file(path, &o), "it is good: %s", o.what);
}

static void run_controls(void)
{
	const char *path = core_path();
	struct victim v;
	struct oracle o;

	victim_begin(&v, 0, "counter --mib 4");
	take_plain(&v, path);
	tear(path, &v);
	ok(!oracle_check_file(path, &o) && o.torn > 0, "a core without a stop is seen to be torn");
	take_plain(&v, path);
	poke(path, COUNTER_BASE + 77 * COUNTER_PAGE + 2040, 1);
	ok(!oracle_check_file(path, &o) && o.torn == 1, "one word of one page");
	take_plain(&v, path);
	poke(path, COUNTER_BASE + 78 * COUNTER_PAGE + 1025, 4);
	ok(!oracle_check_file(path, &o) && o.torn == 1, "one word that never changes");
	victim_end(&v);

	victim_begin(&v, 0, "counter --mib 4 --rate 10");
	do
		take_plain(&v, path);
	while (oracle_check_file(path, &o) && o.registers == 0);
	poke_registers(path);
	ok(!oracle_check_file(path, &o) && o.wrong == 1, "a register that is one off");
	victim_end(&v);
	(void)unlink(path);
}

/* -------------------------------------------------------------------- tests */

#define LONG " --max-pause 10s"

static void test_consistent(void)
{
	static const char *const pages[] = { "", " --thp" };
	static const char *const paces[] = { "--rate 10", "--rate 1000", "" };
	static const char *const strategies[] = { "auto", "precopy", "fork", "stop" };
	char victim[300], words[100], cast[60];
	size_t i, j, k;

	for (i = 0; i < 2; i++) {
		for (j = 0; j < 3; j++) {
			for (k = 0; k < 4; k++) {
				struct series s = { victim, 0, words, "", 4, 250, 0 };

				/* Four writers and mappings that come and go, or one writer. */
				if ((i + j + k) % 2)
					s.habits = VICTIM_MAPS;
				snprintf(cast, sizeof(cast), "%s",
					 (i + j + k) % 2 ? "--threads 4 --churn" : "--threads 1");
				snprintf(victim, sizeof(victim), "--mib 8%s %s %s", pages[i],
					 paces[j], cast);
				snprintf(words, sizeof(words), "--strategy %s" LONG, strategies[k]);
				if (j == 2)
					s.wants = WANT_BETWEEN;
				kit_case(run_series, &s, "one instant: %.100s by %.60s", victim,
					 words);
			}
		}
	}
}

/* Fallbacks: what the kernel may lack, one after the other and together. */
static void test_masks(void)
{
	static const char *const masks[] = {
		"pagemap_scan", "uffd_wp_async", "soft_dirty", "uffd_wp_async,soft_dirty",
		"pagemap_scan,uffd_wp_async,soft_dirty", "process_vm", "io_uring", "o_direct",
		"vmsplice", "splice", "vmsplice,process_vm,io_uring,o_direct", "pidfd_getfd",
	};
	/* What auto does without them; the others do not change much. */
	static const char *const strategies[] = { "auto", "fork", "stop" };
	char env[120], words[100];
	size_t i, k;

	for (i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		for (k = 0; k < (kit_full() ? 3 : 1); k++) {
			struct series s = { "--mib 8 --rate 100 --threads 2 --churn", VICTIM_MAPS,
					    words, env, 1, 40, 0 };

			snprintf(env, sizeof(env), "DECANT_MASK=%s", masks[i]);
			snprintf(words, sizeof(words), "--strategy %s" LONG, strategies[k]);
			kit_case(run_series, &s, "without %s by %s", masks[i], strategies[k]);
		}
	}
}

/* What neither tracking nor copy-on-write covers, and what a core can hold. */
static void test_kinds(void)
{
	static const char *const kinds[] = {
		"--shared 2", "--dontfork 2", "--wipe 2", "--hugetlb 2", "--file 2",
		"--shared 2 --dontfork 2 --wipe 2 --file 2 --threads 4",
	};
	static const char *const strategies[] = { "precopy", "fork", "stop" };
	char victim[500], words[100], kind[100];
	size_t i, k;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		for (k = 0; k < 3; k++) {
			struct series s = { victim, 0, words, "", 2, 100, 0 };

			snprintf(kind, sizeof(kind), "%s", kinds[i]);
			snprintf(victim, sizeof(victim), "--mib 16 %s --file-path %.200s/file.%d",
				 kind, dir, getpid());
			snprintf(words, sizeof(words), "--strategy %s" LONG, strategies[k]);
			kit_case(run_series, &s, "memory of a kind: %s by %s", kind, strategies[k]);
		}
	}
	snprintf(victim, sizeof(victim), "%s/file.%d", dir, getpid());
	(void)unlink(victim);
}

/* Huge pages for --hugetlb, and as many as before afterwards. */
static unsigned long huge_pages(unsigned long want)
{
	static const char path[] = "/proc/sys/vm/nr_hugepages";
	FILE *f = fopen(path, "re");
	unsigned long had = 0;

	if (!f || fscanf(f, "%lu", &had) != 1)
		had = 0;
	if (f)
		fclose(f);
	f = fopen(path, "we");
	if (f) {
		fprintf(f, "%lu\n", want);
		fclose(f);
	}
	return had;
}

int main(void)
{
	unsigned long had;

	kit_start(300);
	tap_case_seconds = kit_full() ? 900 : 60;
	snprintf(dir, sizeof(dir), "%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	if (kit_wanted("controls"))
		tap_case("controls: what is wrong is seen", run_controls);
	test_consistent();
	test_masks();
	had = huge_pages(8);
	test_kinds();
	(void)huge_pages(had);
	return done();
}
