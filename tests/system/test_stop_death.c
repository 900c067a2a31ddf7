/* SPDX-License-Identifier: MIT */
/*
 * Who dies while the stop stands: the target, the tracer, the tool at each of
 * its calls; and each call fails once.  The target, if it lives, is let go.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/stopper.h"
#include "lib/victims.h"
#include "sys/fault.h"
#include "tap.h"

static int kill_look(struct stopper *k, void *arg)
{
	(void)arg;
	return kill(k->target->pid, SIGKILL);
}

static void crowd_victim(void)
{
	pthread_t t;

	for (int i = 0; i < 20; i++)
		(void)pthread_create(&t, NULL, child_sleeper, NULL);
	child_rounds();
}

/* The target is killed while it stands: its parent hears of it at once. */
static void test_target_killed(void)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = child_begin(i & 1 ? crowd_victim : child_rounds);
		struct stopper k;
		int status = 0, n;

		stopper_open(&k, pid);
		k.look = kill_look;
		is_int(stopper_run(&k, 1, 100), 0, "the stop ends well: %s", k.err.text);
		for (n = 0; n < 3000 && waitpid(pid, &status, WNOHANG) == 0; n++)
			kit_sleep_ms(1);
		ok(n < 3000 && WIFSIGNALED(status), "its parent hears of it, the tracer living on");
		is_int(stopper_run(&k, 1, 100), -ESRCH, "it is gone: %s", k.err.text);
		stopper_close(&k);
	}
}

struct hunt {
	struct stopper *k;
	_Atomic bool end;
};

static void *hunt_run(void *arg)
{
	struct hunt *h = arg;

	while (!atomic_load(&h->end))
		(void)stopper_once(h->k);
	return NULL;
}

/* The tracer is killed at any point of the stop. */
static void deaths_case(const void *arg)
{
	struct stopper k;
	struct victim v;

	victim_begin(&v, VICTIM_THREADS | VICTIM_MAPS | VICTIM_SIGMASK, "%s", (const char *)arg);
	for (int i = 0; i < 150; i++) {
		struct hunt h = { .k = &k };
		struct timespec ts = { .tv_nsec = (long)(kit_random() % 400) * 1000 };
		pthread_t t;

		stopper_open(&k, v.pid);
		need(pthread_create(&t, NULL, hunt_run, &h) == 0, "thread");
		(void)nanosleep(&ts, NULL);
		kill(tracer_pid(k.tracer), SIGKILL);
		atomic_store(&h.end, true);
		pthread_join(t, NULL);
		is_int(stopper_once(&k), -EOWNERDEAD, "the tracer is dead");
		stopper_close(&k);
	}
	is_str(victim_harm(&v), NULL, "no harm");
	diag("%llu EINTR", (unsigned long long)v.report->eintr);
	victim_end(&v);
}

#ifdef DECANT_FAULTS
/* The tool dies before (or, where something is restored, after) every call of a stop. */
static void tool_case(const void *arg)
{
	unsigned long n = 0;
	struct victim v;
	int status;

	victim_begin(&v, VICTIM_FAMILY | VICTIM_SIGMASK, "%s", (const char *)arg);
	do {
		pid_t tool = fork();

		if (tool == 0) {
			struct sys_fault_plan plan = { .mode = SYS_FAULT_KILL, .nth = n + 1 };
			struct stopper k;

			stopper_open(&k, v.pid);
			(void)stop_seize(&k.stop, k.target, &k.err);
			sys_fault_arm(&plan);
			_exit(stopper_run(&k, 1, 100) == 0 ? 0 : 1);
		}
		need(tool > 0 && waitpid(tool, &status, 0) == tool, "the tool");
		n++;
		for (int i = 0; i < 1000 && !child_is_free(v.pid); i++)
			kit_sleep_ms(1);
		ok(child_is_free(v.pid), "death %lu: nothing is traced", n);
		if (n % 8 == 0)
			is_str(victim_harm_quick(&v), NULL, "death %lu: no harm", n);
	} while (WIFSIGNALED(status));
	is_int(status, 0, "the last one lives");
	ok(n > 20, "control: %lu deaths", n - 1);
	is_str(victim_harm(&v), NULL, "no harm");
	diag("%lu deaths, %llu EINTR", n - 1, (unsigned long long)v.report->eintr);
	victim_end(&v);
}

/* It dies when it has seen a signal, and has not yet handed it on. */
static void test_signal_death(void)
{
	unsigned deaths = 0;
	struct victim v;
	int status;

	victim_begin(&v, VICTIM_SIGMASK, "life storm");
	for (int i = 0; i < 40; i++) {
		pid_t tool = fork();

		if (tool == 0) {
			struct sys_fault_plan plan = { .mode = SYS_FAULT_KILL, .nth = 1,
						       .name = "ptrace_cont" };
			struct stopper k;

			stopper_open(&k, v.pid);
			sys_fault_arm(&plan);
			_exit(stopper_run(&k, 300, 0) == 0 ? 0 : 1);
		}
		need(tool > 0 && waitpid(tool, &status, 0) == tool, "the tool");
		deaths += WIFSIGNALED(status);
		ok(WIFSIGNALED(status) || status == 0, "the tool ended with %d", status);
		/* Its tracer may take a moment longer to be gone. */
		for (int k = 0; k < 1000 && !child_is_free(v.pid); k++)
			kit_sleep_ms(1);
	}
	ok(deaths > 5, "control: %u deaths with a signal at hand", deaths);
	is_str(victim_harm(&v), NULL, "every signal came, once and in order");
	victim_end(&v);
}

/* Every call of ours fails once: the stop works, or all is let go. */
static void faults_case(const void *arg)
{
	unsigned long n = 0, fired;
	unsigned failed = 0, late = 0;
	struct stopper k;
	struct victim v;

	victim_begin(&v, 0, "%s", (const char *)arg);
	do {
		struct sys_fault_plan plan = { .nth = ++n };
		int r;

		stopper_open(&k, v.pid);
		need(stopper_run(&k, 1, 100) == 0, "a stop without faults: %s", k.err.text);
		k.timeout_ns = 30000000;
		k.err.text[0] = '\0';
		sys_fault_arm(&plan);
		r = stopper_once(&k);
		fired = sys_fault_fired();
		sys_fault_disarm();
		late += r == -ETIMEDOUT;
		if (r < 0 && r != -EOWNERDEAD) {
			failed++;
			ok(k.err.text[0], "fault %lu, %s: %d has a sentence", n,
			   sys_fault_fired_name(), r);
		}
		ok(child_is_free(v.pid), "fault %lu, %s: %d: nothing is traced", n,
		   sys_fault_fired_name(), r);
		stopper_close(&k);
	} while (fired);
	diag("%lu faults, %u failed", n - 1, failed);
	ok(n > 15 && failed > 5, "control: there were faults");
	is_str(victim_harm(&v), NULL, "no harm");
	/* Registers that cannot be read cannot be set right. */
	ok(v.report->eintr <= late, "no EINTR but that, %llu", (unsigned long long)v.report->eintr);
	victim_end(&v);
}
#endif

int main(void)
{
	static const char *const victims[] = {
		"blocker nanosleep --ms 5", "blocker epoll_wait --ms 5", "blocker sigsuspend",
		"life threads --n 20", "life storm", "life ending --n 4",
	}; /* the mask of "storm" is that of a handler now and then */
	static const char *const faulted[] = { "blocker epoll_wait --ms 5", "life threads --n 3" };

	kit_start(240);
	tap_case_seconds = 60;
	tap_case("the target is killed while it stands", test_target_killed);
	for (unsigned i = 0; i < sizeof(victims) / sizeof(victims[0]); i++)
		kit_case(deaths_case, victims[i], "the tracer is killed: %s", victims[i]);
#ifdef DECANT_FAULTS
	tap_case("the tool dies with a signal at hand", test_signal_death);
	for (unsigned i = 0; i < sizeof(victims) / sizeof(victims[0]) - 1; i++)
		kit_case(tool_case, victims[i], "the tool dies at every call: %s", victims[i]);
	for (unsigned i = 0; i < sizeof(faulted) / sizeof(faulted[0]); i++)
		kit_case(faults_case, faulted[i], "every call fails once: %s", faulted[i]);
#endif
	return done();
}
