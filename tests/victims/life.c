/* SPDX-License-Identifier: MIT */
/*
 * Victims that live in odd ways.
 *	life MODE [--n N] [--ms N]
 *	threads     N threads that sleep and count
 *	ending      threads that start and end all the time
 *	leader      the thread-group leader is dead
 *	vfork       vforks all the time; the child execs, or ends after --ms
 *	waiter      children end all the time; waitpid(-1, __WALL) knows them all
 *	            (--plain: without __WALL; --subreaper: it is one)
 *	storm       real-time signals, counted, in order; plain ones by a timer
 *	seccomp     a filter kills it for any call that it does not make itself
 *	exits       ends with status 3 after --ms
 *	execs       becomes itself anew after --ms
 *	still       does nothing: threads blocked for ever in known places
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

#define MS ((uint64_t)1000000)

static unsigned n;
static uint64_t wait_ns;

static void life_thread(void *(*run)(void *), uintptr_t arg, size_t stack)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, run, (void *)arg) != 0)
		victim_die("pthread_create");
	pthread_attr_destroy(&attr);
}

/* ---------------------------------------------------------------- threads */

static uint64_t *beats;

static void *threads_run(void *arg)
{
	for (;;) {
		victim_sleep_ns(200 * MS);
		__atomic_fetch_add(&beats[(uintptr_t)arg], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* A thread that has not counted for as long as any stop may take is lost. */
static void life_threads(void)
{
	uint64_t *seen = calloc(n, sizeof(*seen)), looked = victim_now_ns();
	unsigned i;

	beats = calloc(n, sizeof(*beats));
	for (i = 0; i < n; i++)
		life_thread(threads_run, i, 32 << 10);
	victim_ready();
	for (;;) {
		victim_sleep_ns(10 * MS);
		if (victim_now_ns() - looked > 10000 * MS) {
			looked = victim_now_ns();
			for (i = 0; i < n; i++) {
				if (beats[i] == seen[i])
					victim_error("thread %u does not run any more", i);
				seen[i] = beats[i];
			}
		}
		victim_round();
	}
}

static void *ending_run(void *arg)
{
	volatile uint64_t sum = 0;
	uint64_t i;

	for (i = 0; i < 1000; i++)
		sum += i ^ (uintptr_t)arg;
	return (void *)((uintptr_t)arg * 3);
}

static void *ending_spawn(void *arg)
{
	uintptr_t i = (uintptr_t)arg;
	pthread_attr_t attr;
	pthread_t thread;
	void *ret;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (;; i++) {
		r = pthread_create(&thread, &attr, ending_run, (void *)i);
		if (r != 0) {
			victim_error("pthread_create: %s", strerror(r));
			continue;
		}
		r = pthread_join(thread, &ret);
		if (r != 0 || ret != (void *)(i * 3))
			victim_error("pthread_join gave another result");
		victim_round();
		if (i % 8 == 0)
			victim_sleep_ns(MS / 5);
	}
	return NULL;
}

static void life_ending(void)
{
	unsigned i;

	for (i = 1; i < n; i++)
		life_thread(ending_spawn, i * 1000000, 64 << 10);
	victim_ready();
	ending_spawn(NULL);
}

static void *leader_run(void *arg)
{
	uint64_t begin, took;

	(void)arg;
	victim_sleep_ns(50 * MS);
	victim_ready();
	for (;;) {
		begin = victim_now_ns();
		victim_sleep_ns(wait_ns);
		took = victim_now_ns() - begin;
		if (took < wait_ns)
			victim_error("a sleep was too short");
		victim_round();
	}
	return NULL;
}

static void life_leader(void)
{
	unsigned i;

	for (i = 0; i < n; i++)
		life_thread(leader_run, i, 64 << 10);
	pthread_exit(NULL);
}

/* --------------------------------------------------------------- children */

static void life_vfork(void)
{
	unsigned long i;
	int status;
	pid_t pid;

	victim_ready();
	for (i = 0;; i++) {
		pid = vfork();
		if (pid < 0)
			victim_die("vfork");
		if (pid == 0) {
			if (i % 2 == 0)
				execl("/bin/true", "true", (char *)NULL);
			if (i % 4 == 1)
				victim_sleep_ns(wait_ns);
			_exit(7);
		}
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != (i % 2 ? 7 : 0))
			victim_error("waitpid of a vforked child: %s", strerror(errno));
		victim_round();
		victim_sleep_ns(wait_ns / 4);
	}
}

#define CHILDREN 4

static volatile sig_atomic_t sigchld;

static void waiter_signal(int sig)
{
	(void)sig;
	sigchld++;
}

static pid_t waiter_child(unsigned long i)
{
	pid_t pid = fork();

	if (pid < 0)
		victim_die("fork");
	if (pid == 0) {
		prctl(PR_SET_NAME, "child");
		victim_sleep_ns(wait_ns * (i % 3));
		_exit((int)(i & 63));
	}
	return pid;
}

/* Every pid that comes must be one that was made, and none may be missing. */
static void life_waiter(bool plain, bool subreaper)
{
	pid_t children[CHILDREN], pid;
	unsigned long i = 0, k, left;
	int status, flags = plain ? 0 : __WALL;

	if (subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		victim_die("PR_SET_CHILD_SUBREAPER");

	signal(SIGCHLD, waiter_signal);
	victim_ready();
	for (;;) {
		for (k = 0; k < CHILDREN; k++)
			children[k] = waiter_child(i++);
		for (left = CHILDREN; left > 0; left--) {
			while ((pid = waitpid(-1, &status, flags)) < 0 && errno == EINTR)
				;
			for (k = 0; k < CHILDREN && children[k] != pid; k++)
				;
			if (pid < 0) {
				victim_error("waitpid: %s with %lu children to come",
					     strerror(errno), left);
				break;
			}
			if (k == CHILDREN) {
				victim_error("waitpid gave %d, which is nobody's child", (int)pid);
				left++;
				continue;
			}
			if (!WIFEXITED(status) ||
			    WEXITSTATUS(status) != (int)((i - CHILDREN + k) & 63))
				victim_error("a child ended with status 0x%x", (unsigned)status);
		}
		pid = waitpid(-1, &status, flags | WNOHANG);
		if (pid != -1 || errno != ECHILD)
			victim_error("a child too many: waitpid gave %d", (int)pid);
		if (sigchld > CHILDREN * 2)
			victim_error("%d SIGCHLD for %d children", (int)sigchld, CHILDREN);
		sigchld = 0;
		victim_round();
	}
}

/* ---------------------------------------------------------------- signals */

static uint64_t storm_got, storm_sent, alarms;
static char alt_stack[64 << 10];

static void storm_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_code != SI_QUEUE || (uint64_t)(uintptr_t)info->si_value.sival_ptr != storm_got)
		victim_error("signal %llu came as number %llu",
			     (unsigned long long)(uintptr_t)info->si_value.sival_ptr,
			     (unsigned long long)storm_got);
	__atomic_fetch_add(&storm_got, 1, __ATOMIC_RELEASE);
}

static void storm_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void *storm_send(void *arg)
{
	union sigval v;
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (;;) {
		while (storm_sent - __atomic_load_n(&storm_got, __ATOMIC_ACQUIRE) > 500)
			victim_sleep_ns(MS / 10);
		v.sival_ptr = (void *)(uintptr_t)storm_sent;
		if (sigqueue(getpid(), SIGRTMIN + 1, v) == 0)
			storm_sent++;
		if (storm_sent % 64 == 0)
			victim_sleep_ns(MS);
	}
	return NULL;
}

static void life_storm(void)
{
	struct itimerval timer = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction a = { .sa_sigaction = storm_signal,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	struct sigaction alarm_action = { .sa_handler = storm_alarm, .sa_flags = SA_RESTART };
	stack_t alt = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) }, now;
	uint64_t got, until;

	sigaltstack(&alt, NULL);
	sigaction(SIGRTMIN + 1, &a, NULL);
	sigaction(SIGALRM, &alarm_action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	life_thread(storm_send, 0, 64 << 10);
	victim_ready();
	for (;;) {
		got = __atomic_load_n(&storm_got, __ATOMIC_ACQUIRE);
		until = victim_now_ns() + 8000 * MS;
		while (__atomic_load_n(&storm_got, __ATOMIC_ACQUIRE) == got) {
			volatile double x = 1.5;
			int i;

			for (i = 0; i < 1000; i++)
				x = x * 1.0000001;
			if (victim_now_ns() > until) {
				victim_error("no signal for 8 s");
				until += 8000 * MS;
			}
		}
		sigaltstack(NULL, &now);
		if (now.ss_sp != alt_stack || now.ss_size != sizeof(alt_stack) || now.ss_flags != 0)
			victim_error("the alternate stack is another one");
		victim_round();
	}
}

/* ---------------------------------------------------------------- the rest */

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), \
		  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void life_seccomp(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_clock_nanosleep), ALLOW(SYS_nanosleep), ALLOW(SYS_restart_syscall),
		ALLOW(SYS_getpid), ALLOW(SYS_rt_sigreturn), ALLOW(SYS_exit_group),
		ALLOW(SYS_clock_gettime), /* where the vdso cannot read the clock */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	victim_ready();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		victim_die("seccomp");
	for (;;) {
		victim_sleep_ns(wait_ns);
		victim_round();
	}
}

static void life_exits(void)
{
	victim_ready();
	victim_sleep_ns(wait_ns);
	exit(3);
}

static void life_execs(char **argv)
{
	victim_ready();
	victim_sleep_ns(wait_ns);
	execl("/bin/sleep", argv[0], "1000", (char *)NULL);
	victim_die("exec");
}

static void *still_run(void *arg)
{
	static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;

	if (arg)
		pause();
	pthread_mutex_lock(&never);
	pthread_mutex_lock(&never);
	return NULL;
}

/* Named for whoever looks for them in a backtrace. */
__attribute__((noinline)) static int still_inner(const char *text, int number)
{
	volatile double third = number / 3.0;
	volatile char local[32];

	snprintf((char *)local, sizeof(local), "%s %d", text, number);
	victim_ready();
	pause();
	return (int)third + local[0];
}

__attribute__((noinline)) static int still_outer(int number)
{
	volatile int twice = number * 2;

	return still_inner("a local of", twice) + twice;
}

static void life_still(void)
{
	unsigned i;

	for (i = 0; i < n; i++)
		life_thread(still_run, i % 2, 64 << 10);
	victim_sleep_ns(50 * MS);
	still_outer(21);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	victim_start(&argc, argv);
	n = (unsigned)victim_option(argc, argv, "--n", 4);
	wait_ns = victim_option(argc, argv, "--ms", 20) * MS;
	if (strcmp(mode, "threads") == 0)
		life_threads();
	else if (strcmp(mode, "ending") == 0)
		life_ending();
	else if (strcmp(mode, "leader") == 0)
		life_leader();
	else if (strcmp(mode, "vfork") == 0)
		life_vfork();
	else if (strcmp(mode, "waiter") == 0)
		life_waiter(victim_flag(argc, argv, "--plain"),
			    victim_flag(argc, argv, "--subreaper"));
	else if (strcmp(mode, "storm") == 0)
		life_storm();
	else if (strcmp(mode, "seccomp") == 0)
		life_seccomp();
	else if (strcmp(mode, "exits") == 0)
		life_exits();
	else if (strcmp(mode, "execs") == 0)
		life_execs(argv);
	else if (strcmp(mode, "still") == 0)
		life_still();
	victim_die("which life?");
}
