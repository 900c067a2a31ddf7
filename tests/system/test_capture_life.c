/* SPDX-License-Identifier: MIT */
/*
 * Is a target harmed by being captured?  Victims that block in each system
 * call, look at their own registers, count their signals, children and
 * threads, live in namespaces, are stopped or frozen, end or exec in the
 * middle: captured again and again, and asked whether all is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/corefile.h"
#include "lib/kit.h"
#include "lib/oracle.h"
#include "lib/take.h"
#include "lib/victims.h"
#include "tap.h"

#define LONG " --max-pause 10s"

static char dir[200];
static const char *const strategies[] = { "precopy", "fork", "stop" };

struct life {
	const char *victim;
	unsigned habits;
	unsigned few, many;       /* captures by each strategy, and those of a full run */
	unsigned threads;         /* that a core must show at least */
	bool eintr;               /* may be seen: something else interrupts its calls, too */
	bool no_fork;             /* that would be seen, as docs/ARCHITECTURE.md says */
};

static bool life_capture(struct victim *v, const struct life *l, const char *strategy)
{
	const char *path = take_path(dir);
	char words[100];
	struct corefile c;
	struct take t;

	snprintf(words, sizeof(words), "--strategy %s" LONG, strategy);
	if (!ok(take_core(&t, v->pid, path, words, ""), "a core is taken by %s", strategy)) {
		diag("status 0x%x%s: %s", (unsigned)t.status, t.late ? ", late" : "", t.text);
		return false;
	}
	if (!ok(corefile_open(&c, path), "it is one: %s", c.why))
		return false;
	ok(c.threads_n >= l->threads, "%zu threads in it, of %u", c.threads_n, l->threads);
	corefile_close(&c);
	(void)unlink(path);
	return true;
}

static void life_content(struct victim *v, const struct life *l)
{
	const char *harm = victim_harm(v);

	ok(!harm, "the victim: %s", harm ? harm : "");
	if (!l->eintr)
		is_int(v->report->eintr, 0, "calls that were broken off with EINTR");
}

static void run_life(const void *arg)
{
	const struct life *l = arg;
	unsigned i, s, n = kit_full() ? l->many : l->few;
	struct victim v;

	victim_begin(&v, l->habits, "%s", l->victim);
	for (s = 0; s < 3; s++)
		for (i = 0; i < n && !(l->no_fork && s == 1); i++)
			if (!life_capture(&v, l, strategies[s]))
				goto out;
	/* Long enough for a call that went on to come back. */
	kit_sleep_ms(30);
out:
	life_content(&v, l);
	if (v.report->late_max_ns)
		diag("%s: at most %.1f ms late", l->victim, (double)v.report->late_max_ns / 1e6);
	victim_end(&v);
}

static const char *const calls[] = {
	"nanosleep", "clock_nanosleep", "futex", "futex_forever", "epoll_wait", "epoll_pwait",
	"epoll_forever", "poll", "ppoll", "select", "pselect", "recv", "recv_forever", "accept",
	"read", "sigtimedwait", "sigsuspend", "semtimedop", "msgrcv", "io_getevents",
	"io_uring_enter", "io_uring_timed", "wait4",
};

static void test_calls(void)
{
	char victim[100];
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct life l = { victim, 0, 4, 50, 1, false, false };

		snprintf(victim, sizeof(victim), "blocker %s --ms %d", calls[i],
			 strcmp(calls[i], "wait4") == 0 ? 30 : 12);
		if (strcmp(calls[i], "wait4") == 0)
			l.habits |= VICTIM_FAMILY;
		if (strcmp(calls[i], "sigsuspend") == 0)
			l.habits |= VICTIM_SIGMASK;
		kit_case(run_life, &l, "unharmed in %s", calls[i]);
	}
}

static void test_lives(void)
{
	static const struct life lives[] = {
		{ "registers general", 0, 8, 200, 1, false, false },
		{ "registers rseq", 0, 8, 300, 2, false, false },
		{ "life threads --n 1", 0, 4, 50, 2, false, false },
		{ "life threads --n 100", 0, 4, 50, 101, false, false },
		{ "life threads --n 4000", 0, 1, 5, 4001, false, false },
		{ "life ending --n 4", VICTIM_MAPS | VICTIM_THREADS, 8, 200, 1, false, false },
		{ "life leader --n 3", 0, 4, 50, 3, false, false },
		{ "life waiter --ms 3", VICTIM_FAMILY, 8, 200, 1, false, false },
		{ "life storm", VICTIM_SIGMASK, 8, 200, 2, false, false },
		{ "life seccomp", 0, 8, 100, 1, false, false },
		{ "blocker epoll_wait --as-init", 0, 4, 50, 1, false, false },
		{ "blocker nanosleep --as-init --mount-ns", 0, 4, 50, 1, false, false },
		{ "life waiter --ms 3 --plain", VICTIM_FAMILY, 4, 100, 1, false, false },
		{ "life waiter --ms 3 --plain --subreaper", VICTIM_FAMILY, 4, 100, 1, false,
		  false },
		{ "life waiter --ms 3 --plain --as-init", VICTIM_FAMILY, 4, 50, 1, false, false },
		{ "life waiter --ms 3 --as-init", VICTIM_FAMILY, 4, 50, 1, false, true },
	};
	size_t i;

	for (i = 0; i < sizeof(lives) / sizeof(*lives); i++)
		kit_case(run_life, &lives[i], "unharmed: %s", lives[i].victim);
}

/* ------------------------------------------------------------- odd states */

/* Stopped by a signal: remains so, and its parent hears of nothing. */
static void run_stopped(void)
{
	static const struct life l = { "blocker nanosleep", VICTIM_STOPPED, 0, 0, 1, false, false };
	struct victim v;
	siginfo_t info;
	unsigned i, s;

	victim_begin(&v, 0, "blocker nanosleep");
	kill(v.pid, SIGSTOP);
	memset(&info, 0, sizeof(info));
	need(waitid(P_PID, (id_t)v.pid, &info, WSTOPPED) == 0, "it stops");
	v.habits = VICTIM_STOPPED;
	for (s = 0; s < 3; s++) {
		for (i = 0; i < 3; i++)
			life_capture(&v, &l, strategies[s]);
		life_content(&v, &l);
	}
	memset(&info, 0, sizeof(info));
	need(waitid(P_PID, (id_t)v.pid, &info,
		    WSTOPPED | WCONTINUED | WEXITED | WNOHANG | WNOWAIT) == 0, "waitid");
	is_int(info.si_pid, 0, "nothing to be waited for");
	kill(v.pid, SIGCONT);
	v.habits = 0;
	life_content(&v, &l);
	victim_end(&v);
}

/* Stopped and continued all the time. */
static void run_stop_storm(void)
{
	static const struct life l = { "counter", 0, 0, 0, 1, true, false };
	struct victim v;
	unsigned i, n = kit_full() ? 60 : 6;
	pid_t pid;

	victim_begin(&v, 0, "counter --mib 4 --rate 10 --threads 2");
	pid = kit_must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			kill(v.pid, SIGSTOP);
			kit_sleep_ms(3);
			kill(v.pid, SIGCONT);
			kit_sleep_ms(3);
		}
	}
	for (i = 0; i < n; i++)
		life_capture(&v, &l, strategies[i % 3]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	kill(v.pid, SIGCONT);
	/* An absolute sleep that a stop breaks off is no error of ours. */
	life_content(&v, &l);
	victim_end(&v);
}

/* vfork: refused for a moment, or waited for, and never harmed. */
static void run_vfork(void)
{
	struct victim v;
	struct take t;
	unsigned i, taken = 0, n = kit_full() ? 100 : 10;
	const char *harm;

	victim_begin(&v, VICTIM_FAMILY | VICTIM_SIGMASK, "life vfork --ms 40");
	for (i = 0; i < n; i++) {
		const char *path = take_path(dir);
		char words[60];

		snprintf(words, sizeof(words), "--timeout 10s --strategy %s" LONG,
			 strategies[i % 3]);
		if (take_core(&t, v.pid, path, words, ""))
			taken++;
		else
			ok(strstr(t.text, "vfork"), "the refusal names vfork: %s", t.text);
		harm = victim_harm_quick(&v);
		if (!ok(!harm, "the victim: %s", harm ? harm : ""))
			break;
	}
	diag("%u of %u taken", taken, n);
	ok(taken > 0, "between two vforks it can be captured");
	(void)unlink(take_path(dir));
	victim_end(&v);
}

/* A group of its own in the unified hierarchy, or NULL. */
static const char *cgroup_make(void)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	static char path[200];
	size_t i;

	for (i = 0; i < 2; i++) {
		char file[220];

		snprintf(file, sizeof(file), "%s/cgroup.procs", roots[i]);
		if (access(file, W_OK) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/decant-test-%d", roots[i], getpid());
		if (mkdir(path, 0755) != 0)
			continue;
		snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
		if (access(file, W_OK) == 0)
			return path;
		rmdir(path);
	}
	return NULL;
}

static bool cgroup_write(const char *group, const char *name, const char *text)
{
	char path[300];
	bool good;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return good;
}

/*
 * A thread in the freezer makes no system call for anybody: what needs one is
 * refused at once, and its memory is copied as it stands.
 */
static void run_frozen(void)
{
	static const struct life l = { "blocker", VICTIM_STILL, 0, 0, 1, false, false };
	const char *group = cgroup_make();
	struct victim v;
	struct take t;
	uint64_t rounds;
	char pid[16];
	unsigned s;

	if (!group)
		skip("no cgroup v2 with a freezer");
	victim_begin(&v, 0, "blocker nanosleep");
	snprintf(pid, sizeof(pid), "%d", v.pid);
	need(cgroup_write(group, "cgroup.procs", pid) && cgroup_write(group, "cgroup.freeze", "1"),
	     "the victim is frozen");
	kit_sleep_ms(100);
	v.habits = VICTIM_STILL;
	rounds = v.report->rounds;
	life_capture(&v, &l, "stop");
	life_capture(&v, &l, "auto");
	for (s = 0; s < 2; s++) {
		if (take_core(&t, v.pid, take_path(dir), s ? "--strategy fork" LONG
			      : "--strategy precopy" LONG, ""))
			continue;
		ok(!t.late && strstr(t.text, "frozen"), "refused at once, with the reason: %s",
		   t.text);
	}
	kit_sleep_ms(50);
	ok(v.report->rounds <= rounds + 1, "it is frozen still");
	cgroup_write(group, "cgroup.freeze", "0");
	v.habits = 0;
	life_content(&v, &l);
	victim_end(&v);
	(void)unlink(take_path(dir));
	for (s = 0; s < 100 && rmdir(group) != 0; s++)
		kit_sleep_ms(10);
}

/* ------------------------------------------------- ends in the middle of it */

struct middle {
	const char *mode;
	int status;               /* with which it must end, -1: it does not */
};

/*
 * The victim ends (or execs) after a time of its own; captures of it go on
 * meanwhile.  Whatever they say: it ends as it would have, and no file is
 * there that is not whole.
 */
static void run_middle(const void *arg)
{
	const struct middle *m = arg;
	unsigned i, taken = 0, n = kit_full() ? 300 : 24;
	struct corefile c;
	struct victim v;
	struct take t;
	int status;

	for (i = 0; i < n; i++) {
		const char *path = take_path(dir);
		char words[60];

		snprintf(words, sizeof(words), "--strategy %s" LONG, strategies[i % 3]);
		victim_begin(&v, VICTIM_STILL, "life %s --ms %u", m->mode, 1 + i % 24);
		if (take_core(&t, v.pid, path, words, "")) {
			taken++;
			ok(corefile_open(&c, path), "what is there is whole: %s", c.why);
			corefile_close(&c);
		} else {
			ok(WIFEXITED(t.status) && !t.late && strlen(t.text) > 10,
			   "a sentence, not a crash: 0x%x %s", (unsigned)t.status, t.text);
			ok(access(path, F_OK) != 0, "no file is left");
		}
		kit_sleep_ms(30);
		if (m->status < 0) {
			ok(!victim_ended(&v, &status), "it lives");
		} else if (ok(victim_ended(&v, &status), "it has ended")) {
			is_int(status, m->status, "as it would have");
		}
		victim_end(&v);
	}
	diag("%s: %u of %u taken", m->mode, taken, n);
	(void)unlink(take_path(dir));
}

int main(void)
{
	static const struct middle exits = { "exits", 3 << 8 }, execs = { "execs", -1 };

	need_root();
	kit_start(300);
	tap_case_seconds = kit_full() ? 900 : 60;
	snprintf(dir, sizeof(dir), "%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	test_calls();
	test_lives();
	if (kit_wanted("stopped"))
		tap_case("unharmed: stopped by SIGSTOP", run_stopped);
	if (kit_wanted("storm of stops"))
		tap_case("unharmed: a storm of stops", run_stop_storm);
	if (kit_wanted("vfork"))
		tap_case("unharmed: vfork all the time", run_vfork);
	if (kit_wanted("frozen"))
		tap_case("unharmed: in a frozen cgroup", run_frozen);
	kit_case(run_middle, &exits, "it exits in the middle");
	kit_case(run_middle, &execs, "it execs in the middle");
	return done();
}
