/* SPDX-License-Identifier: MIT */
/*
 * The stop is not seen in a target's signals: none is lost, doubled or in the
 * way, SIGSTOP and SIGCONT mean what they do, and its parent hears nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "tap.h"

/* ------------------------------------------------------------------ signals */

static void wakeup_handler(int sig)
{
	(void)sig;
	atomic_fetch_add(&shared->handled, 1);
}

/* The signal can only come in the call, whose EINTR is how it is noticed. */
static void wakeup_victim(void)
{
	struct sigaction act = { .sa_handler = wakeup_handler, .sa_flags = SA_RESTART };
	struct epoll_event e;
	sigset_t usr1, none;
	int fd = epoll_create1(0);

	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	sigaction(SIGUSR1, &act, NULL);
	atomic_store(&shared->ready, 1);
	for (;;) {
		int r = epoll_pwait(fd, &e, 1, -1, &none);

		if (r == -1 && errno == EINTR)
			atomic_fetch_add(&shared->eintr, 1);
		else
			atomic_fetch_add(&shared->other, 1);
	}
}

/* A signal sent while it stands. */
static int wakeup_look(struct stopper *k, void *arg)
{
	(void)arg;
	kill(k->target->pid, SIGUSR1);
	return 0;
}

static void test_wakeup(void)
{
	pid_t pid = child_begin(wakeup_victim);
	struct stopper k;

	stopper_open(&k, pid);
	for (int i = 1; i <= 100; i++) {
		k.look = i & 1 ? wakeup_look : NULL; /* in the stop, or just before it */
		if (!k.look)
			kill(pid, SIGUSR1);
		is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
		need(child_counts_to(&shared->eintr, i, 5000), "signal %d wakes it (%d came)",
		     i, shared->handled);
		is_int(shared->handled, i, "the handler ran once");
	}
	is_int(stopper_run(&k, 100, 200), 0, "stops without signals: %s", k.err.text);
	is_int(shared->eintr, 100, "give no EINTR");
	is_int(shared->other, 0, "and nothing else");
	stopper_close(&k);
	child_end(pid);
}

/* Signals that are ignored interrupt a call only while it is traced. */
static void ignorant_victim(void)
{
	struct epoll_event e;
	int fd = epoll_create1(0);

	atomic_store(&shared->ready, 1);
	for (;;) {
		int r = epoll_wait(fd, &e, 1, 5);

		atomic_fetch_add(r == 0 ? &shared->other : &shared->eintr, 1);
	}
}

static pid_t annoyer(pid_t pid, int sig)
{
	pid_t who = fork();

	if (who == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			kill(pid, sig);
			sched_yield();
		}
	}
	return who;
}

static void test_ignored(void)
{
	pid_t pid = child_begin(ignorant_victim), who = annoyer(pid, SIGWINCH);
	struct stopper k;

	stopper_open(&k, pid);
	is_int(stopper_run(&k, 500, 500), 0, "stops: %s", k.err.text);
	is_int(shared->eintr, 0, "no EINTR");
	kill(who, SIGKILL);
	for (int i = 0; i < 1000 && shared->eintr == 0; i++)
		is_int(stopper_bare(&k, pid), 0, "bare");
	ok(shared->eintr > 0, "control: there is some after a bare stop");
	stopper_close(&k);
	child_end(who);
	child_end(pid);
}

static void test_storm(void)
{
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "life storm");
	stopper_open(&k, v.pid);
	is_int(stopper_run(&k, 500, 1000), 0, "stops: %s", k.err.text);
	is_str(victim_harm(&v), NULL, "every signal came, once and in order");
	stopper_close(&k);
	victim_end(&v);
}

/* ------------------------------------------------------------------ SIGSTOP */

/* What its parent is told: how many stops and continuations. */
static void reports(pid_t pid, int *stops, int *continued)
{
	int status;

	while (waitpid(pid, &status, WUNTRACED | WCONTINUED | WNOHANG) == pid) {
		*stops += WIFSTOPPED(status);
		*continued += WIFCONTINUED(status) != 0;
	}
}

static int stopped_look(struct stopper *k, void *arg)
{
	*(bool *)arg = k->stop.threads[0].group_stopped && k->stop.threads[0].signal == SIGSTOP &&
		       k->stop.threads[0].siginfo.si_signo == SIGSTOP;
	return 0;
}

static void test_stopped(void)
{
	pid_t pid = child_begin(child_rounds);
	int stops = 0, continued = 0, status, n;
	bool is_stopped = false;
	struct stopper k;

	stopper_open(&k, pid);
	k.look = stopped_look;
	k.look_arg = &is_stopped;
	for (int i = 0; i < 20; i++) {
		kill(pid, SIGSTOP);
		need(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "it stops");
		n = shared->rounds;
		for (int j = 0; j < 5; j++) {
			is_int(stopper_run(&k, 1, 100), 0, "stop: %s", k.err.text);
			ok(is_stopped, "it is seen to be stopped by SIGSTOP");
			ok(stopper_becomes(pid, pid, 'T', 1000), "it remains stopped");
		}
		is_int(shared->rounds, n, "it did not run");
		reports(pid, &stops, &continued);
		is_int(stops + continued, 0, "its parent is told nothing");
		kill(pid, SIGCONT);
		ok(child_counts_to(&shared->rounds, n + 1, 5000), "SIGCONT lets it go on");
		need(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status), "told once");
	}
	is_int(stopper_run(&k, 1, 100), 0, "stop: %s", k.err.text);
	ok(!is_stopped, "control: a running one is not seen as stopped");
	stopper_close(&k);
	child_end(pid);
}

static _Atomic int told;

static void told_handler(int sig)
{
	(void)sig;
	atomic_fetch_add(&told, 1);
}

/* As child_rounds(), for pthread_create(). */
static void *crowd_rounds(void *arg)
{
	(void)arg;
	child_rounds();
	return NULL;
}

static void crowd_victim(void)
{
	pthread_t t;

	for (int i = 0; i < 6; i++)
		(void)pthread_create(&t, NULL, crowd_rounds, NULL);
	child_rounds();
}

static int signal_look(struct stopper *k, void *arg)
{
	return kill(k->target->pid, *(int *)arg);
}

/* Every SIGCHLD that its parent gets, and what its waits say, with many threads. */
static void test_parent(void)
{
	struct sigaction act = { .sa_handler = told_handler };
	pid_t pid = child_begin(crowd_victim);
	int stops = 0, continued = 0, sig, n;
	struct stopper k;

	need(sigaction(SIGCHLD, &act, NULL) == 0, "sigaction");
	stopper_open(&k, pid);
	is_int(stopper_run(&k, 100, 300), 0, "stops: %s", k.err.text);
	reports(pid, &stops, &continued);
	is_int(told + stops + continued, 0, "told nothing of a running one");
	for (int i = 1; i <= 20; i++) {
		sig = SIGSTOP; /* comes while it stands */
		k.look = signal_look;
		k.look_arg = &sig;
		is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
		ok(stopper_becomes(pid, pid, 'T', 2000), "SIGSTOP in the stop stops it");
		k.look = NULL;
		is_int(stopper_run(&k, 5, 100), 0, "stops of a stopped one: %s", k.err.text);
		ok(stopper_becomes(pid, pid, 'T', 2000), "it remains stopped");
		kit_sleep_ms(2);
		n = shared->rounds;
		kit_sleep_ms(5);
		is_int(shared->rounds, n, "all threads of it");
		reports(pid, &stops, &continued);
		is_int(stops, i, "its parent is told once that it stopped");
		sig = SIGCONT;
		k.look = signal_look;
		is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
		ok(child_counts_to(&shared->rounds, n + 20, 5000), "SIGCONT in the stop: it runs");
		reports(pid, &stops, &continued);
		is_int(continued, i, "its parent is told once that it goes on");
		is_int(stops, i, "and nothing more");
		is_int(told, 2 * i, "by as many SIGCHLD");
	}
	stopper_close(&k);
	child_end(pid);
}

/* SIGSTOP and SIGCONT that meet the stop at any point. */
static void test_stop_storm(void)
{
	pid_t pid = child_begin(child_rounds), who;
	struct stopper k;
	int n;

	stopper_open(&k, pid);
	who = fork();
	if (who == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint64_t i = 0;; i++) {
			struct timespec ts = { .tv_nsec = (long)(i * 7919 % 400) * 1000 };

			kill(pid, i & 1 ? SIGCONT : SIGSTOP);
			(void)nanosleep(&ts, NULL);
		}
	}
	is_int(stopper_run(&k, 800, 500), 0, "stops: %s", k.err.text);
	kill(who, SIGKILL);
	(void)waitpid(who, NULL, 0);
	kill(pid, SIGSTOP);
	ok(stopper_becomes(pid, pid, 'T', 1000), "SIGSTOP still stops it");
	kill(pid, SIGCONT);
	n = shared->rounds;
	ok(child_counts_to(&shared->rounds, n + 2, 5000), "SIGCONT lets it go on");
	stopper_close(&k);
	child_end(pid);
}

/* ------------------------------------------------ what a core shows of them */

static void pending_victim(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2);
	syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN + 3);
	syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN + 3);
	atomic_store(&shared->ready, 1);
	for (;;)
		pause();
}

static int pending_look(struct stopper *k, void *arg)
{
	*(struct stop_thread *)arg = k->stop.threads[0];
	return 0;
}

static void test_pending(void)
{
	uint64_t want = UINT64_C(1) << (SIGUSR2 - 1) | UINT64_C(1) << (SIGRTMIN + 2);
	pid_t pid = child_begin(pending_victim);
	struct stop_thread t = { 0 };
	struct stopper k;

	stopper_open(&k, pid);
	k.look = pending_look;
	k.look_arg = &t;
	is_int(stopper_run(&k, 3, 100), 0, "stops: %s", k.err.text);
	ok(t.sigmask == want, "mask %#llx", (unsigned long long)t.sigmask);
	ok(t.sigpend == want, "pending %#llx", (unsigned long long)t.sigpend);
	is_int(t.ns_tid, pid, "its id");
	is_int(t.state.n, 2, "two more register sets");
	is_int(t.state.notes[0].len, 512, "FPREGSET");
	ok(t.state.notes[1].len >= 576, "XSTATE of %u bytes", t.state.notes[1].len);
	ok(t.has_siginfo && t.siginfo.si_signo == 0, "no signal stopped it");
	stopper_close(&k);
	child_end(pid);
}

int main(void)
{
	kit_start(240);
	tap_case("a signal that meets the stop wakes its call", test_wakeup);
	tap_case("signals that are ignored", test_ignored);
	tap_case("a storm of signals", test_storm);
	tap_case("stopped by SIGSTOP, and so it stays", test_stopped);
	tap_case("what its parent is told", test_parent);
	tap_case("a storm of SIGSTOP and SIGCONT", test_stop_storm);
	tap_case("mask and pending signals", test_pending);
	return done();
}
