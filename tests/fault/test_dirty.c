/* SPDX-License-Identifier: MIT */
/*
 * decant dirty dies, or is refused something, at any of its steps: the process
 * that it looks at goes on, and nothing is left in it; an error is told.
 *
 * DECANT_TEST_FULL=1: at every step.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kit.h"
#include "lib/victims.h"
#include "tap.h"

#define LIMIT_NS 30000000000ull
#define STEPS_MAX 200000
#define FEW 60

struct prey {
	const char *victim;
	unsigned habits;
};

static const struct prey preys[] = {
	{ "counter --mib 4 --rate 50", VICTIM_FDS },
	{ "life storm", VICTIM_SIGMASK },
	{ "blocker futex --ms 4", 0 },
	{ "life waiter --ms 1", VICTIM_FAMILY },
};

struct told {
	int status;
	char text[4000];
};

/* decant dirty with a fault. */
static void look(struct told *ret, pid_t pid, const char *fault)
{
	uint64_t began = kit_now_ns();
	char number[16];
	size_t len = 0;
	ssize_t r;
	int out[2];
	pid_t child;

	snprintf(number, sizeof(number), "%d", (int)pid);
	kit_must(pipe2(out, O_CLOEXEC | O_NONBLOCK));
	child = kit_must(fork());
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		dup2(out[1], 2);
		setenv("DECANT_FAULT", fault, 1);
		execl(getenv("DECANT"), "decant", "dirty", number, "--for", "12ms", "-i", "4ms",
		      "-q", "--bandwidth", "1G", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (waitpid(child, &ret->status, WNOHANG) == 0) {
		if (kit_now_ns() - began > LIMIT_NS)
			kill(child, SIGKILL);
		usleep(200);
		r = read(out[0], ret->text + len, sizeof(ret->text) - 1 - len);
		len += r > 0 ? (size_t)r : 0;
	}
	while ((r = read(out[0], ret->text + len, sizeof(ret->text) - 1 - len)) > 0)
		len += (size_t)r;
	ret->text[len] = '\0';
	close(out[0]);
	need(kit_now_ns() - began < LIMIT_NS, "%s: does not end", fault);
}

static bool killed(const struct told *t)
{
	return WIFSIGNALED(t->status) && WTERMSIG(t->status) == SIGKILL;
}

/* The first step at which nobody dies, about. */
static unsigned steps(struct victim *v)
{
	unsigned low = 1, high = 256;
	char fault[60];
	struct told t;

	for (;;) {
		snprintf(fault, sizeof(fault), "%u:*:kill", high);
		look(&t, v->pid, fault);
		if (!killed(&t) || high > STEPS_MAX)
			break;
		low = high;
		high *= 2;
	}
	while (high - low > low / 8 + 1) {
		unsigned mid = low + (high - low) / 2;

		snprintf(fault, sizeof(fault), "%u:*:kill", mid);
		look(&t, v->pid, fault);
		if (killed(&t))
			low = mid;
		else
			high = mid;
	}
	return high;
}

static unsigned stride(unsigned n)
{
	return kit_full() || n < FEW ? 1 : n / FEW;
}

/*
 * `dirty` with a fault at each step, or at one of each stride; count says which
 * of them to count.  *ret_n: the steps.
 */
static unsigned sweep(const struct prey *p, const char *what, const char *fault_how,
		      bool (*count)(const struct told *t, unsigned at), unsigned *ret_n)
{
	unsigned n, step, counted = 0;
	struct victim v;
	struct told t;
	char fault[60];
	const char *harm;

	victim_begin(&v, p->habits, "%s", p->victim);
	n = steps(&v);
	step = stride(n);
	for (unsigned i = 1; i <= n; i += step) {
		unsigned at = i + (step > 1 ? (unsigned)(kit_random() % step) : 0);

		snprintf(fault, sizeof(fault), "%u%s", at, fault_how);
		look(&t, v.pid, fault);
		counted += count(&t, at);
		harm = victim_harm_quick(&v);
		need(!harm, "%s at step %u: %s", what, at, harm);
	}
	harm = victim_harm(&v);
	ok(!harm, "after all of them: %s", harm ? harm : "well");
	victim_end(&v);
	*ret_n = n;
	return counted;
}

static bool has_died(const struct told *t, unsigned at)
{
	(void)at;
	return killed(t);
}

static void deaths(const void *arg)
{
	unsigned n, died = sweep(arg, "death", ":*:kill", has_died, &n);

	ok(died > 10, "%u deaths in %u steps", died, n);
}

/* Where it matters most: what reaches into it. */
static void deaths_touching(const void *arg)
{
	static const char *const names[] = {
		"ptrace_seize", "ptrace_interrupt", "ptrace_setregset", "ptrace_syscall",
		"ptrace_cont", "ptrace_detach", "process_vm_writev", "pidfd_getfd", "uffdio_api",
		"uffdio_register", "uffdio_unregister", "pagemap_scan", "kill",
	};
	const struct prey *p = arg;
	struct victim v;
	struct told t;
	char fault[80];
	const char *harm;

	victim_begin(&v, p->habits, "%s", p->victim);
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
		for (unsigned n = 1; n <= (kit_full() ? 400u : 6u); n++) {
			snprintf(fault, sizeof(fault), "%u:%s:kill", n, names[k]);
			look(&t, v.pid, fault);
			if (!killed(&t))
				break;
			harm = victim_harm_quick(&v);
			need(!harm, "death at %s %u: %s", names[k], n, harm);
		}
	harm = victim_harm(&v);
	ok(!harm, "after all of them: %s", harm ? harm : "well");
	victim_end(&v);
}

/* It succeeds all the same, or says why not; never anything else. */
static bool has_failed(const struct told *t, unsigned at)
{
	ok(WIFEXITED(t->status) && WEXITSTATUS(t->status) <= 1,
	   "step %u: status 0x%x: %s", at, (unsigned)t->status, t->text);
	if (!WIFEXITED(t->status) || WEXITSTATUS(t->status) != 1)
		return false;
	ok(strstr(t->text, "decant: ") && !strstr(t->text, "decant: \n"),
	   "step %u: says why: %s", at, t->text);
	return true;
}

static void errors(const void *arg)
{
	unsigned n, failed = sweep(arg, "error", "", has_failed, &n);

	ok(failed > 3, "%u of %u steps failed", failed, n);
}

int main(void)
{
	kit_start(600);
	need_root();
	tap_case_seconds = kit_full() ? 3600 : 120;
	for (size_t i = 0; i < (kit_full() ? sizeof(preys) / sizeof(*preys) : 2); i++)
		kit_case(deaths, &preys[i], "deaths at any step: %s", preys[i].victim);
	for (size_t i = 0; i < sizeof(preys) / sizeof(*preys); i++)
		kit_case(deaths_touching, &preys[i], "deaths at what touches it: %s",
			 preys[i].victim);
	kit_case(errors, &preys[0], "errors at any step: %s", preys[0].victim);
	return done();
}
