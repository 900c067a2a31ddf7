/* SPDX-License-Identifier: MIT */
/*
 * The stop is not seen: by threads blocked in system calls, nor in their
 * signals.  Each with a control: a bare PTRACE_INTERRUPT is seen.
 */
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "tap.h"

#define STOPS 60

/* ------------------------------------------------------------ blocked calls */

struct call {
	const char *name;
	long nr;                  /* that it is blocked in; -1: several */
	bool breaks;              /* PTRACE_INTERRUPT alone makes it give EINTR */
	unsigned habits;
};

static const struct call calls[] = {
	{ "nanosleep", -1, false, 0 },
	{ "clock_nanosleep", SYS_clock_nanosleep, false, 0 },
	{ "futex", SYS_futex, false, 0 },
	{ "futex_forever", SYS_futex, false, 0 },
	{ "epoll_wait", SYS_epoll_wait, true, 0 },
	{ "epoll_pwait", SYS_epoll_pwait, true, 0 },
	{ "epoll_forever", SYS_epoll_wait, true, 0 },
	{ "poll", -1, false, 0 },
	{ "ppoll", SYS_ppoll, false, 0 },
	{ "select", -1, false, 0 },
	{ "pselect", SYS_pselect6, false, 0 },
	{ "recv", SYS_recvfrom, true, 0 },
	{ "recv_forever", SYS_recvfrom, false, 0 },
	{ "accept", SYS_accept, true, 0 },
	{ "read", SYS_read, false, 0 },
	{ "sigtimedwait", SYS_rt_sigtimedwait, true, 0 },
	{ "sigsuspend", SYS_rt_sigsuspend, false, VICTIM_SIGMASK },
	{ "semtimedop", SYS_semtimedop, true, 0 },
	{ "msgrcv", SYS_msgrcv, false, 0 },
	{ "io_getevents", SYS_io_getevents, true, 0 },
	{ "io_uring_enter", SYS_io_uring_enter, true, 0 },
	{ "io_uring_timed", SYS_io_uring_enter, true, 0 },
	{ "wait4", SYS_wait4, false, VICTIM_FAMILY },
};

struct seen {
	const struct call *call;
	unsigned inside;          /* stops that found the leader in the call */
	unsigned wrong;           /* registers that claim an EINTR */
};

static int call_look(struct stopper *k, void *arg)
{
	struct seen *seen = arg;
	const struct stop_thread *t = &k->stop.threads[0];

	seen->inside += arch_syscall(&t->regs) == seen->call->nr;
	if (t->tid != k->target->pid || !t->stopped || !t->seized || arch_regs_check(&t->regs) ||
	    arch_ip(&t->regs) == 0 || memcmp(&t->regs, &t->resume, sizeof(t->regs)) != 0)
		seen->wrong++;
	return 0;
}

static void call_case(const void *arg)
{
	const struct call *c = arg;
	struct seen seen = { .call = c };
	struct stopper k;
	struct victim v;

	victim_begin(&v, c->habits, "blocker %s --ms 6", c->name);
	stopper_open(&k, v.pid);
	k.look = call_look;
	k.look_arg = &seen;
	is_int(stopper_run(&k, STOPS, 2500), 0, "stops: %s", k.err.text);
	if (k.late)
		diag("late: %u", k.late);
	if (c->nr >= 0)
		ok(seen.inside > STOPS / 3, "%u stops found it in the call", seen.inside);
	is_int(seen.wrong, 0, "it stands as it should");
	is_str(victim_harm(&v), NULL, "no harm");
	is_int(v.report->eintr, 0, "no EINTR");
	stopper_close(&k);
	victim_end(&v);
}

static void call_control(const void *arg)
{
	const struct call *c = arg;
	struct stopper k;
	struct victim v;

	victim_begin(&v, c->habits, "blocker %s --ms 6", c->name);
	stopper_open(&k, v.pid);
	for (int i = 0; i < 2000 && v.report->eintr == 0; i++) {
		need(stopper_bare(&k, v.pid) == 0, "a bare stop");
		kit_sleep_ms(1);
	}
	ok(v.report->eintr > 0, "the victim says that it got EINTR");
	stopper_close(&k);
	victim_end(&v);
}

/* ----------------------------------------------------- victims of our own */

struct shared {
	_Atomic int ready, eintr, handled, other, want;
};

static struct shared *shared;

static void own_handler(int sig)
{
	(void)sig;
	atomic_fetch_add(&shared->handled, 1);
}

/* A child that runs fn() for ever. */
static pid_t own_begin(void (*fn)(void))
{
	pid_t pid;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(shared != MAP_FAILED, "mmap");
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		_exit(1);
	}
	for (int i = 0; i < 5000 && !atomic_load(&shared->ready); i++)
		kit_sleep_ms(1);
	need(atomic_load(&shared->ready), "the victim starts");
	return pid;
}

static void own_end(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)munmap(shared, 4096);
}

static bool own_counts_to(_Atomic int *counter, int value, unsigned ms)
{
	for (unsigned i = 0; i <= ms; i++, kit_sleep_ms(1))
		if (atomic_load(counter) >= value)
			return true;
	return false;
}

/* ------------------------------------------------------------------ signals */

/* The signal can only come in the call, whose EINTR is how it is noticed. */
static void wakeup_victim(void)
{
	struct sigaction act = { .sa_handler = own_handler, .sa_flags = SA_RESTART };
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
	pid_t pid = own_begin(wakeup_victim);
	struct stopper k;

	stopper_open(&k, pid);
	for (int i = 1; i <= 100; i++) {
		k.look = i & 1 ? wakeup_look : NULL; /* in the stop, or just before it */
		if (!k.look)
			kill(pid, SIGUSR1);
		is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
		need(own_counts_to(&shared->eintr, i, 5000), "signal %d wakes it (%d came)",
		     i, shared->handled);
		is_int(shared->handled, i, "the handler ran once");
	}
	is_int(stopper_run(&k, 100, 200), 0, "stops without signals: %s", k.err.text);
	is_int(shared->eintr, 100, "give no EINTR");
	is_int(shared->other, 0, "and nothing else");
	stopper_close(&k);
	own_end(pid);
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
	pid_t pid = own_begin(ignorant_victim), who = annoyer(pid, SIGWINCH);
	struct stopper k;

	stopper_open(&k, pid);
	is_int(stopper_run(&k, 500, 500), 0, "stops: %s", k.err.text);
	is_int(shared->eintr, 0, "no EINTR");
	kill(who, SIGKILL);
	for (int i = 0; i < 1000 && shared->eintr == 0; i++)
		is_int(stopper_bare(&k, pid), 0, "bare");
	ok(shared->eintr > 0, "control: there is some after a bare stop");
	stopper_close(&k);
	own_end(who);
	shared = NULL;
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
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

/* ---------------------------------------------------------------- SIGSTOP */

static void sleeper_victim(void)
{
	atomic_store(&shared->ready, 1);
	for (;;) {
		kit_sleep_ms(1);
		atomic_fetch_add(&shared->handled, 1);
	}
}

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
	pid_t pid = own_begin(sleeper_victim);
	int stops = 0, continued = 0, status, n;
	bool is_stopped = false;
	struct stopper k;

	stopper_open(&k, pid);
	k.look = stopped_look;
	k.look_arg = &is_stopped;
	for (int i = 0; i < 20; i++) {
		kill(pid, SIGSTOP);
		need(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "it stops");
		n = shared->handled;
		for (int j = 0; j < 5; j++) {
			is_int(stopper_run(&k, 1, 100), 0, "stop: %s", k.err.text);
			ok(is_stopped, "it is seen to be stopped by SIGSTOP");
			ok(stopper_becomes(pid, pid, 'T', 1000), "it remains stopped");
		}
		is_int(shared->handled, n, "it did not run");
		reports(pid, &stops, &continued);
		is_int(stops + continued, 0, "its parent is told nothing");
		kill(pid, SIGCONT);
		ok(own_counts_to(&shared->handled, n + 1, 5000), "SIGCONT lets it go on");
		need(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status), "told once");
	}
	is_int(stopper_run(&k, 1, 100), 0, "stop: %s", k.err.text);
	ok(!is_stopped, "control: a running one is not seen as stopped");
	stopper_close(&k);
	own_end(pid);
}

static _Atomic int told;

static void told_handler(int sig)
{
	(void)sig;
	atomic_fetch_add(&told, 1);
}

static void *crowd_sleep(void *arg)
{
	(void)arg;
	for (;;) {
		kit_sleep_ms(1);
		atomic_fetch_add(&shared->handled, 1);
	}
	return NULL;
}

static void crowd_victim(void)
{
	pthread_t t;

	for (int i = 0; i < 6; i++)
		(void)pthread_create(&t, NULL, crowd_sleep, NULL);
	sleeper_victim();
}

static int signal_look(struct stopper *k, void *arg)
{
	return kill(k->target->pid, *(int *)arg);
}

/* Every SIGCHLD that its parent gets, and what its waits say, with many threads. */
static void test_parent(void)
{
	struct sigaction act = { .sa_handler = told_handler };
	pid_t pid = own_begin(crowd_victim);
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
		n = shared->handled;
		kit_sleep_ms(5);
		is_int(shared->handled, n, "all threads of it");
		reports(pid, &stops, &continued);
		is_int(stops, i, "its parent is told once that it stopped");
		sig = SIGCONT;
		k.look = signal_look;
		is_int(stopper_run(&k, 1, 0), 0, "stop: %s", k.err.text);
		ok(own_counts_to(&shared->handled, n + 20, 5000), "SIGCONT in the stop: it runs");
		reports(pid, &stops, &continued);
		is_int(continued, i, "its parent is told once that it goes on");
		is_int(stops, i, "and nothing more");
		is_int(told, 2 * i, "by as many SIGCHLD");
	}
	stopper_close(&k);
	own_end(pid);
}

/* SIGSTOP and SIGCONT that meet the stop at any point. */
static void test_stop_storm(void)
{
	pid_t pid = own_begin(sleeper_victim), who;
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
	n = shared->handled;
	ok(own_counts_to(&shared->handled, n + 2, 5000), "SIGCONT lets it go on");
	stopper_close(&k);
	own_end(pid);
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
	pid_t pid = own_begin(pending_victim);
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
	own_end(pid);
}

/* -------------------------------------------------------------- io_uring */

/* A request that a worker of the kernel's works on; its completion. */
static void uring_victim(void)
{
	struct io_uring_cqe *cqe = NULL;
	struct io_uring ring;
	char c;
	int fd[2];

	if (io_uring_queue_init(8, &ring, 0) != 0) {
		atomic_store(&shared->ready, 2);
		_exit(0);
	}
	/* Not a pipe: a FIFO that is opened waits in the worker. */
	(void)unlink("stop.fifo");
	if (mkfifo("stop.fifo", 0600) != 0 || pipe(fd) != 0)
		_exit(1);
	for (;;) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		int r;

		io_uring_prep_openat(sqe, AT_FDCWD, "stop.fifo", O_RDONLY | O_CLOEXEC, 0);
		sqe->flags |= IOSQE_ASYNC;
		io_uring_submit(&ring);
		atomic_store(&shared->ready, 1);
		while ((r = io_uring_wait_cqe(&ring, &cqe)) == -EINTR)
			atomic_fetch_add(&shared->eintr, 1);
		if (r == 0 && cqe->res >= 0)
			close(cqe->res);
		else
			atomic_store(&shared->want, r < 0 ? r : cqe->res);
		atomic_fetch_add(r == 0 && cqe->res >= 0 ? &shared->handled : &shared->other, 1);
		io_uring_cqe_seen(&ring, cqe);
		(void)c;
	}
}

static int uring_look(struct stopper *k, void *arg)
{
	unsigned *out = arg;

	if (k->stop.left_out_n > *out)
		*out = (unsigned)k->stop.left_out_n;
	return 0;
}

static void test_uring_worker(void)
{
	pid_t pid = own_begin(uring_victim);
	unsigned out = 0;
	struct stopper k;

	if (shared->ready == 2)
		skip("no io_uring");
	stopper_open(&k, pid);
	k.look = uring_look;
	k.look_arg = &out;
	for (int i = 0; i < 20; i++) {
		int fd;

		kit_sleep_ms(2);
		is_int(stopper_run(&k, 10, 100), 0, "stops: %s", k.err.text);
		fd = open("stop.fifo", O_WRONLY);
		ok(own_counts_to(&shared->handled, i + 1, 5000), "request %d is done", i);
		close(fd);
	}
	ok(out > 0, "control: there was a worker, %u", out);
	is_int(shared->other, 0, "no request failed: %d", shared->want);
	is_int(shared->eintr, 0, "no EINTR");
	stopper_close(&k);
	own_end(pid);
	(void)unlink("stop.fifo");
}

int main(void)
{
	kit_start(240);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		kit_case(call_case, &calls[i], "%s: stopped and not seen", calls[i].name);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].breaks)
			kit_case(call_control, &calls[i],
				 "control: %s, stopped barely, gives EINTR", calls[i].name);
	tap_case("a signal that meets the stop wakes its call", test_wakeup);
	tap_case("signals that are ignored", test_ignored);
	tap_case("a storm of signals", test_storm);
	tap_case("stopped by SIGSTOP, and so it stays", test_stopped);
	tap_case("what its parent is told", test_parent);
	tap_case("a storm of SIGSTOP and SIGCONT", test_stop_storm);
	tap_case("mask and pending signals", test_pending);
	tap_case("requests of io_uring's workers", test_uring_worker);
	return done();
}
