/* SPDX-License-Identifier: MIT */
/*
 * The tracer: requests run in another process that shares our memory, the
 * caller notices nothing of it, and no death leaves anybody waiting.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/stopper.h"
#include "process/tracer.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "sys/trace.h"
#include "tap.h"

static struct tracer *tracer_new(void)
{
	struct err e = { "" };
	struct tracer *tr = NULL;

	need(tracer_start(&tr, &e) == 0, "tracer_start: %s", e.text);
	return tr;
}

static bool gone_within(pid_t pid, unsigned ms)
{
	for (unsigned i = 0; i <= ms; i++, kit_sleep_ms(1)) {
		char c = stopper_state(pid, pid);

		if (c == 0 || c == 'Z' || c == 'X')
			return true;
	}
	return false;
}

/* ------------------------------------------------------------ what it does */

struct there {
	pid_t pid;
	int fd;
	char *memory;
	bool blocked;
	int seen;
};

static int run_there(void *arg)
{
	struct there *t = arg;
	sigset_t mask;

	t->pid = (pid_t)syscall(SYS_getpid);
	t->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	t->memory = malloc(100000);
	strcpy(t->memory, "made there");
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	t->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGCHLD) == 1;
	errno = ENOTTY;
	return t->seen == 7 ? -EXDEV : 0;
}

static void test_run(void)
{
	struct there t = { .seen = 7 };
	struct tracer *tr = tracer_new();

	errno = 0;
	is_int(tracer_run(tr, run_there, &t), -EXDEV, "the result comes back");
	is_int(errno, 0, "our errno is ours");
	ok(t.pid == tracer_pid(tr) && t.pid != getpid(), "it ran in another process");
	ok(fcntl(t.fd, F_GETFD) == FD_CLOEXEC, "descriptors are shared");
	is_str(t.memory, "made there", "memory is shared");
	free(t.memory);
	close(t.fd);
	ok(t.blocked, "signals are blocked there");
	for (int i = 0; i < 2000; i++) {
		t.seen = i & 7;
		is_int(tracer_run(tr, run_there, &t), t.seen == 7 ? -EXDEV : 0, "run %d", i);
		free(t.memory);
		close(t.fd);
	}
	tracer_stop(tr);
	ok(gone_within(t.pid, 0), "it is gone when tracer_stop() returns");
	tracer_stop(NULL);
}

static int run_add(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
	return 0;
}

struct crowd {
	struct tracer *tr;
	_Atomic int sum;
};

static void *crowd_member(void *arg)
{
	struct crowd *c = arg;
	struct tracer *own = tracer_new();

	for (int i = 0; i < 200; i++) {
		is_int(tracer_run(c->tr, run_add, &c->sum), 0, "shared tracer");
		is_int(tracer_run(own, run_add, &c->sum), 0, "own tracer");
	}
	tracer_stop(own);
	return NULL;
}

static void test_crowd(void)
{
	struct crowd c = { .tr = tracer_new() };
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		need(pthread_create(&threads[i], NULL, crowd_member, &c) == 0, "thread");
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	is_int(c.sum, 8 * 400, "every request ran once");
	tracer_stop(c.tr);
}

/* ------------------------------------------------- the caller sees nothing */

static _Atomic int handled, handled_elsewhere;
static pid_t handler_home;

static void handler(int sig)
{
	(void)sig;
	atomic_fetch_add(&handled, 1);
	if ((pid_t)syscall(SYS_getpid) != handler_home)
		atomic_fetch_add(&handled_elsewhere, 1);
}

static int run_sleep(void *arg)
{
	kit_sleep_ms(*(int *)arg);
	return 0;
}

static _Atomic bool waiter_ends;

/* A program that waits for any child, all the time. */
static void *waiter(void *arg)
{
	_Atomic int *found = arg;

	while (!atomic_load(&waiter_ends)) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0 || (pid < 0 && errno != ECHILD))
			atomic_fetch_add(found, 1);
		if (waitid(P_ALL, 0, &(siginfo_t){ 0 },
			   WEXITED | WSTOPPED | WCONTINUED | WNOHANG) == 0)
			atomic_fetch_add(found, 1);
		sched_yield();
	}
	return NULL;
}

static void test_unseen(void)
{
	struct sigaction act = { .sa_handler = handler };
	_Atomic int found = 0;
	struct tracer *tr;
	pthread_t w;
	int ms = 20;

	handler_home = getpid();
	need(sigaction(SIGCHLD, &act, NULL) == 0 && sigaction(SIGUSR1, &act, NULL) == 0, "act");
	need(pthread_create(&w, NULL, waiter, &found) == 0, "thread");
	for (int i = 0; i < 20; i++) {
		tr = tracer_new();
		is_int(tracer_run(tr, run_sleep, &ms), 0, "run");
		kill(tracer_pid(tr), SIGUSR1);
		kill(tracer_pid(tr), SIGTERM);
		is_int(tracer_run(tr, run_sleep, &ms), 0, "signals do not disturb it");
		if (i & 1)
			kill(tracer_pid(tr), SIGKILL);
		tracer_stop(tr);
	}
	atomic_store(&waiter_ends, true);
	pthread_join(w, NULL);
	is_int(found, 0, "no wait call found a child");
	is_int(handled, 0, "no handler ran");
	raise(SIGUSR1);
	is_int(handled, 1, "control: the handler is there");
	is_int(handled_elsewhere, 0, "and ran here");
}

/* The same waits do see an ordinary child. */
static void test_unseen_control(void)
{
	_Atomic int found = 0;
	pthread_t w;
	pid_t pid;

	need(pthread_create(&w, NULL, waiter, &found) == 0, "thread");
	pid = fork();
	if (pid == 0)
		_exit(0);
	for (int i = 0; i < 1000 && !atomic_load(&found); i++)
		kit_sleep_ms(1);
	atomic_store(&waiter_ends, true);
	pthread_join(w, NULL);
	ok(found > 0, "control: a child is found");
}

static int run_until(void *arg)
{
	while (!atomic_load((_Atomic bool *)arg))
		kit_sleep_ms(1);
	return 0;
}

struct busy {
	struct tracer *tr;
	_Atomic bool end;
	int result;
};

static void *busy_caller(void *arg)
{
	struct busy *b = arg;

	b->result = tracer_run(b->tr, run_until, &b->end);
	return NULL;
}

/* setuid() in one thread makes all others do it: the keeper must take part. */
static void test_setuid(void)
{
	struct busy b = { .tr = tracer_new() };
	pthread_t t;

	need(pthread_create(&t, NULL, busy_caller, &b) == 0, "thread");
	kit_sleep_ms(20);
	is_int(setresuid(getuid(), geteuid(), getuid()), 0, "setresuid while a request runs");
	atomic_store(&b.end, true);
	pthread_join(t, NULL);
	is_int(b.result, 0, "the request");
	tracer_stop(b.tr);
}

/* ^Z: a stop signal stops all threads, or the shell would wait. */
static void test_suspend(void)
{
	int status = 0, i;
	pid_t pid = fork();

	if (pid == 0) {
		struct busy b = { .tr = tracer_new() };

		_exit(tracer_run(b.tr, run_until, &b.end));
	}
	kit_sleep_ms(100);
	kill(pid, SIGSTOP);
	for (i = 0; i < 2000 && waitpid(pid, &status, WUNTRACED | WNOHANG) == 0; i++)
		kit_sleep_ms(1);
	ok(i < 2000 && WIFSTOPPED(status), "it stops though its tracer is at work");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

/* ------------------------------------------------------------------ deaths */

static int run_die(void *arg)
{
	(void)arg;
	kill((pid_t)syscall(SYS_getpid), SIGKILL);
	return 0;
}

static int run_crash(void *arg)
{
	(void)arg;
	__asm__ volatile("ud2");
	return 0;
}

static void test_killed(void)
{
	int (*const ways[])(void *) = { run_die, run_crash };
	int ms = 1;

	for (int i = 0; i < 20; i++) {
		struct tracer *tr = tracer_new();

		is_int(tracer_run(tr, run_sleep, &ms), 0, "it works");
		is_int(tracer_run(tr, ways[i & 1], NULL), -EOWNERDEAD, "killed at work");
		is_int(tracer_run(tr, run_sleep, &ms), -EOWNERDEAD, "and it stays dead");
		tracer_stop(tr);
		tr = tracer_new();
		kill(tracer_pid(tr), SIGKILL);
		(void)gone_within(tracer_pid(tr), 1000);
		is_int(tracer_run(tr, run_sleep, &ms), -EOWNERDEAD, "killed while idle");
		tracer_stop(tr);
	}
}

static void test_owner_dies(void)
{
	for (int i = 0; i < 20; i++) {
		int fds[2], status;
		pid_t pid, tracer = 0;

		need(pipe(fds) == 0, "pipe");
		pid = fork();
		if (pid == 0) {
			struct busy b = { .tr = tracer_new() };

			pid = tracer_pid(b.tr);
			need(write(fds[1], &pid, sizeof(pid)) == sizeof(pid), "write");
			if (i & 1)
				(void)tracer_run(b.tr, run_until, &b.end);
			pause();
		}
		need(read(fds[0], &tracer, sizeof(tracer)) == sizeof(tracer), "read");
		ok(!gone_within(tracer, 0), "control: it lives");
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ok(gone_within(tracer, 1000), "it dies with its owner");
		close(fds[0]);
		close(fds[1]);
	}
}

/* -------------------------------------------------------------- letting go */

struct prey {
	pid_t pid;
	bool renew;
};

/* Leave it traced, and stopped. */
static int run_hold(void *arg)
{
	struct prey *p = arg;
	int status;

	if (ptrace(PTRACE_SEIZE, p->pid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, p->pid, NULL, NULL) < 0 ||
	    waitpid(p->pid, &status, __WALL) != p->pid)
		return -errno;
	if (p->renew)
		tracer_renew();
	return 42;
}

static void test_lets_go(void)
{
	struct prey p = { .pid = fork() };
	struct tracer *tr;
	pid_t before;

	if (p.pid == 0)
		for (;;)
			pause();
	tr = tracer_new();
	before = tracer_pid(tr);
	is_int(tracer_run(tr, run_hold, &p), 42, "seized");
	is_int(stopper_state(p.pid, p.pid), 't', "control: it stands still");
	tracer_stop(tr);
	ok(stopper_state(p.pid, p.pid) != 't', "tracer_stop() lets go");
	tr = tracer_new();
	p.renew = true;
	before = tracer_pid(tr);
	for (int i = 0; i < 50; i++) {
		is_int(tracer_run(tr, run_hold, &p), 42, "renewed: the result is kept");
		ok(stopper_state(p.pid, p.pid) != 't', "tracer_renew() lets go");
		ok(tracer_pid(tr) != before, "it is another process");
		before = tracer_pid(tr);
	}
	tracer_stop(tr);
	tracer_renew(); /* not in a tracer */
	kill(p.pid, SIGKILL);
}

static int run_hang(void *arg)
{
	struct prey *p = arg;

	tracer_limit(20000000);
	if (p->pid && run_hold(p) != 42)
		return -EIO;
	for (;;)
		pause();
}

static int run_in_time(void *arg)
{
	tracer_limit(20000000);
	kit_sleep_ms(*(int *)arg);
	return 7;
}

static int run_unlimited(void *arg)
{
	tracer_limit(20000000);
	tracer_limit(0);
	return run_sleep(arg) + 8;
}

static void test_limit(void)
{
	struct prey p = { .pid = fork() };
	struct tracer *tr = tracer_new();
	int ms = 2;

	if (p.pid == 0)
		for (;;)
			pause();
	for (int i = 0; i < 20; i++) {
		is_int(tracer_run(tr, run_in_time, &ms), 7, "in time");
		is_int(tracer_run(tr, run_hang, &p), -ETIMEDOUT, "not in time");
		ok(stopper_state(p.pid, p.pid) != 't', "all is let go");
		is_int(tracer_run(tr, run_sleep, &ms), 0, "another one is there");
	}
	ms = 60;
	is_int(tracer_run(tr, run_unlimited, &ms), 8, "the limit is gone");
	is_int(tracer_run(tr, run_sleep, &ms), 0, "and does not reach the next request");
	tracer_stop(tr);
	kill(p.pid, SIGKILL);
}

#ifdef DECANT_FAULTS
static void test_faults(void)
{
	unsigned long n = 0, fired;
	int r, ms = 0;

	do {
		struct sys_fault_plan plan = { .nth = ++n };
		struct err e = { "" };
		struct tracer *tr = NULL;

		sys_fault_arm(&plan);
		r = tracer_start(&tr, &e);
		fired = sys_fault_fired();
		sys_fault_disarm();
		if (r == 0)
			is_int(tracer_run(tr, run_sleep, &ms), 0, "it works in spite of fault %lu",
			       n);
		else
			ok(tr == NULL && e.text[0], "fault %lu: %d, %s", n, r, e.text);
		tracer_stop(tr);
	} while (fired);
	ok(n > 5, "%lu faults", n);
}
#endif

int main(void)
{
	kit_start(60);
	tap_case("requests run in another process, with our memory", test_run);
	tap_case("many callers, many tracers", test_crowd);
	tap_case("no SIGCHLD, no child, no handler", test_unseen);
	tap_case("control: an ordinary child is seen", test_unseen_control);
	tap_case("setuid() of another thread", test_setuid);
	tap_case("a stop signal to the caller", test_suspend);
	tap_case("killed: nobody waits for ever", test_killed);
	tap_case("it dies with its owner", test_owner_dies);
	tap_case("everything traced is let go", test_lets_go);
	tap_case("a request that hangs", test_limit);
#ifdef DECANT_FAULTS
	tap_case("faults while it starts", test_faults);
#endif
	return done();
}
