/* SPDX-License-Identifier: MIT */
/*
 * decant dies, at each of its steps and at any time: is the target alive and
 * right, and nothing left of us?  Counted: deaths, targets harmed, targets left
 * stopped, calls broken off with EINTR.  The control kills a tool that changes
 * registers in place, which is seen to kill targets.
 *
 * DECANT_TEST_FULL=1: every step of every strategy on every victim.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/corefile.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "lib/take.h"
#include "lib/victims.h"
#include "tap.h"

#define LONG " --max-pause 10s"

/* Of all cases together. */
static struct count {
	uint64_t runs, deaths, harmed, eintr, whole;
} *count;

static char dir[200];

struct prey {
	const char *victim;
	unsigned habits;
	/* PTRACE_INTERRUPT itself breaks its call off: a death before that is
	 * put right leaves one EINTR. */
	bool eintr;
};

static const struct prey preys[] = {
	{ "blocker nanosleep --ms 4", 0, false },
	{ "blocker epoll_wait --ms 4", 0, true },
	{ "registers general --ms 2", 0, false },
	{ "counter --mib 4 --rate 50", 0, false },
	{ "life waiter --ms 1", VICTIM_FAMILY, false },
	{ "life storm", VICTIM_SIGMASK, false },
	{ "blocker futex --ms 4", 0, false },
	{ "blocker futex_forever --ms 3", 0, false },
	{ "blocker sigsuspend --ms 3", VICTIM_SIGMASK, false },
	{ "blocker recv --ms 4", 0, true },
	{ "blocker poll --ms 4", 0, false },
	{ "blocker read --ms 3", 0, false },
	{ "blocker io_uring_enter --ms 4", 0, true },
	{ "registers rseq", 0, false },
	{ "counter --mib 4 --threads 2", 0, false },
	{ "counter --mib 64 --rate 50 --threads 2", 0, false },
	{ "life threads --n 9", 0, false },
	{ "life ending --n 3", VICTIM_MAPS | VICTIM_THREADS, false },
};

#define PREYS (sizeof(preys) / sizeof(*preys))

static const char *const strategies[] = { "precopy", "fork", "stop" };

/* Names that a temporary file may have: a tool that was killed leaves one. */
static void sweep_files(void)
{
	struct dirent *e;
	char path[600];
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (!strstr(e->d_name, "core."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		(void)unlink(path);
	}
	if (d)
		closedir(d);
}

static bool was_killed(const struct take *t)
{
	return WIFSIGNALED(t->status) && WTERMSIG(t->status) == SIGKILL && !t->late;
}

/* What must hold after each death, and what after a series. */
static bool still_well(struct victim *v, const struct prey *p, const char *how, bool thorough)
{
	const char *harm = thorough ? victim_harm(v) : victim_harm_quick(v);

	if (!harm)
		return true;
	count->harmed++;
	ok(false, "%s, %s: %s", p->victim, how, harm);
	return false;
}

/* One capture that is to die so; true: it died. */
static bool die_once(struct victim *v, const char *words, const char *fault)
{
	struct take t;
	struct corefile c;
	const char *path = take_path(dir);
	bool good;

	good = take_core(&t, v->pid, path, words, fault);
	count->runs++;
	if (was_killed(&t)) {
		count->deaths++;
		return true;
	}
	/* Whatever it did instead, it did properly. */
	ok(!t.late && WIFEXITED(t.status) && WEXITSTATUS(t.status) < 2, "%s %s: status 0x%x: %s",
	   words, fault, (unsigned)t.status, t.text);
	if (good) {
		count->whole++;
		ok(corefile_open(&c, path), "the core that is there is whole: %s", c.why);
		corefile_close(&c);
	}
	return false;
}

static void count_say(void)
{
	diag("so far %llu runs, %llu deaths, %llu targets harmed, %llu EINTR, %llu cores whole",
	     (unsigned long long)count->runs, (unsigned long long)count->deaths,
	     (unsigned long long)count->harmed, (unsigned long long)count->eintr,
	     (unsigned long long)count->whole);
}

static void victim_over(struct victim *v, const struct prey *p, const char *how)
{
	still_well(v, p, how, true);
	count->eintr += v->report->eintr;
	if (!p->eintr)
		is_int(v->report->eintr, 0, "%s, %s: calls broken off with EINTR", p->victim, how);
	victim_end(v);
	sweep_files();
	count_say();
}

/* ---------------------------------------------------------- at every step */

struct steps {
	const struct prey *prey;
	const char *strategy;
	unsigned deaths;          /* 0: one at every step */
};

/* How many steps a run has: the first number at which nobody dies. */
static unsigned steps_count(struct victim *v, const char *words)
{
	unsigned low = 1, high = 256;
	char fault[60];

	for (;;) {
		snprintf(fault, sizeof(fault), "DECANT_FAULT=%u:*:kill", high);
		if (!die_once(v, words, fault) || high > 1000000)
			break;
		low = high;
		high *= 2;
	}
	while (high - low > low / 16 + 1) {
		unsigned mid = low + (high - low) / 2;

		snprintf(fault, sizeof(fault), "DECANT_FAULT=%u:*:kill", mid);
		if (die_once(v, words, fault))
			low = mid;
		else
			high = mid;
	}
	return high;
}

static void run_steps(const void *arg)
{
	const struct steps *s = arg;
	unsigned i, n, at = 0, step;
	char words[60], fault[60];
	struct victim v;

	victim_begin(&v, s->prey->habits, "%s", s->prey->victim);
	snprintf(words, sizeof(words), "--strategy %s" LONG, s->strategy);
	n = steps_count(&v, words);
	step = s->deaths && s->deaths < n ? n / s->deaths : 1;
	for (i = 1; i <= n; i += step) {
		at = i + (step > 1 ? (unsigned)(kit_random() % step) : 0);
		snprintf(fault, sizeof(fault), "DECANT_FAULT=%u:*:kill", at);
		(void)die_once(&v, words, fault);
		if (!still_well(&v, s->prey, fault, false))
			break;
	}
	diag("%s by %s: %u steps, every %u", s->prey->victim, s->strategy, n, step);
	victim_over(&v, s->prey, s->strategy);
}

/* -------------------------------------------- at the steps that touch it */

/* Wrappers that reach into the target or let go of it. */
static const char *const touching[] = {
	"ptrace_seize", "ptrace_interrupt", "ptrace_setoptions", "ptrace_getregset",
	"ptrace_setregset", "ptrace_getsigmask", "ptrace_setsigmask", "ptrace_syscall",
	"ptrace_cont", "ptrace_listen", "ptrace_geteventmsg", "ptrace_getsiginfo",
	"ptrace_get_rseq", "ptrace_get_sud", "ptrace_detach", "waitpid", "process_vm_writev",
	"process_vm_readv", "pidfd_getfd", "kill", "tgkill", "uffdio_api", "uffdio_register",
	"uffdio_unregister", "pagemap_scan", "vm_process",
};

static void run_touching(const void *arg)
{
	const struct steps *s = arg;
	unsigned i, n, most = s->deaths ? s->deaths : 400;
	char words[60], fault[80];
	struct victim v;
	bool well = true;

	victim_begin(&v, s->prey->habits, "%s", s->prey->victim);
	snprintf(words, sizeof(words), "--strategy %s" LONG, s->strategy);
	for (i = 0; well && i < sizeof(touching) / sizeof(*touching); i++) {
		for (n = 1; well && n <= most; n++) {
			snprintf(fault, sizeof(fault), "DECANT_FAULT=%u:%s:kill", n, touching[i]);
			if (!die_once(&v, words, fault))
				break;
			well = still_well(&v, s->prey, fault, false);
		}
	}
	victim_over(&v, s->prey, s->strategy);
}

/* --------------------------------------------------------- at any time */

static pid_t child_of(pid_t parent)
{
	struct dirent *e;
	pid_t found = 0;
	DIR *d = opendir("/proc");

	while (!found && (e = readdir(d))) {
		char path[300], text[512];
		FILE *f;
		size_t n;
		int ppid = 0;
		char *end;

		if (atoi(e->d_name) <= parent)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		text[n] = '\0';
		end = strrchr(text, ')');
		if (end && sscanf(end + 1, " %*c %d", &ppid) == 1 && ppid == parent)
			found = atoi(e->d_name);
	}
	closedir(d);
	return found;
}

struct times {
	const struct prey *prey;
	const char *strategy;
	unsigned deaths;
	bool tracer;              /* its helper is killed, not itself */
};

static void spin_ns(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	nanosleep(&t, NULL);
}

static void run_times(const void *arg)
{
	const struct times *s = arg;
	uint64_t usual = 0;
	struct victim v;
	struct take t;
	char words[60];
	unsigned i;

	victim_begin(&v, s->prey->habits, "%s", s->prey->victim);
	snprintf(words, sizeof(words), "--strategy %s" LONG, s->strategy);
	for (i = 0; i < 3; i++) {
		ok(take_core(&t, v.pid, take_path(dir), words, ""), "undisturbed: %s", t.text);
		usual = usual > t.took_ns ? usual : t.took_ns;
	}
	for (i = 0; i < s->deaths; i++) {
		pid_t pid;

		take_begin(&t, v.pid, take_path(dir), words, "");
		spin_ns(kit_random() % usual);
		pid = s->tracer ? child_of(t.pid) : t.pid;
		if (pid > 0)
			kill(pid, SIGKILL);
		(void)take_end(&t);
		count->runs++;
		count->deaths += pid > 0 && (was_killed(&t) || (s->tracer && t.status != 0));
		ok(!t.late, "without its helper it ends, too: %s", t.text);
		if (!still_well(&v, s->prey, s->tracer ? "its helper killed" : "killed", false))
			break;
	}
	victim_over(&v, s->prey, s->tracer ? "its helper killed" : "killed");
}

/* ---------------------------------------------------------------- control */

/* Registers changed in place: if this did no harm the sweeps would see none. */
static void run_control(void)
{
	struct sweep s = { .act = remote_act_shadow, .method = CALL_PLAIN };
	struct victim v;

	for (s.first = 1; !s.whole && s.harmed < 3; s.first = s.last + 1) {
		victim_begin(&v, 0, "blocker nanosleep --ms 4");
		s.v = &v;
		remote_sweep(&s);
		victim_end(&v);
	}
	diag("%u deaths, %u targets harmed: %s", s.deaths, s.harmed, s.what);
	ok(s.harmed > 0, "the plain method is seen to harm");
}

/* ------------------------------------------------------------------- main */

/* So many, or fewer where starting a program takes a tenth of a second. */
static unsigned many(unsigned full, unsigned normal)
{
	return kit_full() ? full : kit_slow_build() ? (normal + 2) / 3 : normal;
}

static void test_steps(void)
{
	size_t i, k, last = many(PREYS, 6);

	for (i = 0; i < last; i++) {
		for (k = 0; k < 3; k++) {
			struct steps s = { &preys[i], strategies[k], many(0, 14) };

			/* In a normal run each victim meets one strategy, in turn. */
			if (!kit_full() && i % 3 != k)
				continue;
			kit_case(run_touching, &s, "dies at a step that touches it: %s, %s",
				 preys[i].victim, strategies[k]);
			s.deaths = many(150, 30);
			kit_case(run_steps, &s, "dies at a step: %s, %s", preys[i].victim,
				 strategies[k]);
		}
	}
}

static void test_times(void)
{
	size_t i, k, last = many(PREYS, 6);

	for (i = 0; i < last; i++) {
		for (k = 0; k < 3; k++) {
			struct times s = { &preys[i], strategies[k], many(40, 12), false };

			if (!kit_full() && (i + 1) % 3 != k)
				continue;
			kit_case(run_times, &s, "is killed at any time: %s, %s", preys[i].victim,
				 strategies[k]);
			/*
			 * A helper that dies alone, in an allocation, leaves its lock
			 * taken; with a sanitizer's allocator it nearly always is in one.
			 */
			if (kit_slow_build())
				continue;
			s.tracer = true;
			kit_case(run_times, &s, "its helper is killed: %s, %s", preys[i].victim,
				 strategies[k]);
		}
	}
}

int main(void)
{
	need_root();
	kit_start(390);
	tap_case_seconds = kit_full() ? 1800 : 60;
	snprintf(dir, sizeof(dir), "%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	count = kit_must(mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (kit_wanted("control"))
		tap_case("control: dying with registers changed in place", run_control);
	test_steps();
	test_times();
	is_int(count->harmed, 0, "targets harmed");
	return done();
}
