/* SPDX-License-Identifier: MIT */
#include "sys/fault.h"

#ifdef DECANT_FAULTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sys/wrap.h"

#define FAULT_NAME_MAX 40

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;       /* the environment */
	_Atomic bool armed;        /* lets the gate pass without the lock */
	struct sys_fault_plan plan;
	char name[FAULT_NAME_MAX]; /* plan.name points here, or is NULL */
	unsigned long calls, fired;
	char fired_name[FAULT_NAME_MAX];
} fault = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.once = PTHREAD_ONCE_INIT,
};

static void fault_copy_name(char to[FAULT_NAME_MAX], const char *name)
{
	strncpy(to, name, FAULT_NAME_MAX - 1);
	to[FAULT_NAME_MAX - 1] = '\0';
}

static void fault_set(const struct sys_fault_plan *plan)
{
	alloc_set_gate(sys_fault);
	pthread_mutex_lock(&fault.lock);
	fault.plan = *plan;
	if (plan->name) {
		fault_copy_name(fault.name, plan->name);
		fault.plan.name = fault.name;
	}
	if (fault.plan.repeat == 0)
		fault.plan.repeat = 1;
	fault.calls = fault.fired = 0;
	fault.fired_name[0] = '\0';
	atomic_store(&fault.armed, true);
	pthread_mutex_unlock(&fault.lock);
}

/* A test with a wrong DECANT_FAULT must not go on and pass. */
static _Noreturn void fault_bad_environment(void)
{
	static const char text[] = "DECANT_FAULT: must be N[:name[:ERRNO|short|kill|stop]]\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

static void fault_from_environment(void)
{
	const char *env = getenv("DECANT_FAULT");
	struct sys_fault_plan plan = { .mode = SYS_FAULT_ERROR };
	char text[128], *end, *name, *what = NULL;

	if (!env || !*env)
		return;
	if (strlen(env) >= sizeof(text))
		fault_bad_environment();
	strcpy(text, env);
	plan.nth = strtoul(text, &end, 10);
	if (end == text || plan.nth == 0 || (*end && *end != ':'))
		fault_bad_environment();
	name = *end ? end + 1 : end;
	what = strchr(name, ':');
	if (what)
		*what++ = '\0';
	if (*name && strcmp(name, "*") != 0)
		plan.name = name;
	if (what && strcmp(what, "short") == 0)
		plan.mode = SYS_FAULT_SHORT;
	else if (what && strcmp(what, "kill") == 0)
		plan.mode = SYS_FAULT_KILL;
	else if (what && strcmp(what, "stop") == 0)
		plan.mode = SYS_FAULT_STOP;
	else if (what && (plan.error = fault_errno_parse(what)) == 0)
		fault_bad_environment();
	fault_set(&plan);
}

/* Count the call; true: this is one that fails. */
static bool fault_hit(const char *name)
{
	unsigned long n;

	if (fault.plan.name && strcmp(fault.plan.name, name) != 0)
		return false;
	n = ++fault.calls;
	if (fault.plan.nth == 0 || n < fault.plan.nth || n - fault.plan.nth >= fault.plan.repeat)
		return false;
	fault.fired++;
	fault_copy_name(fault.fired_name, name);
	return true;
}

static bool fault_is_armed(void)
{
	(void)pthread_once(&fault.once, fault_from_environment);
	return atomic_load_explicit(&fault.armed, memory_order_acquire);
}

static _Thread_local pid_t fault_with;

void sys_fault_die_with(pid_t pid)
{
	fault_with = pid;
}

static void fault_die(void)
{
	if (fault_with)
		(void)kill(fault_with, SIGKILL);
	(void)kill(getpid(), SIGKILL);
}

int sys_fault(const char *name)
{
	enum sys_fault_mode mode = SYS_FAULT_ERROR;
	int r = 0;

	if (!fault_is_armed())
		return 0;
	pthread_mutex_lock(&fault.lock);
	if (fault.armed && fault.plan.mode != SYS_FAULT_SHORT && fault_hit(name)) {
		mode = fault.plan.mode;
		r = -(fault.plan.error ? fault.plan.error : fault_errno_of(name));
	}
	pthread_mutex_unlock(&fault.lock);
	/* Without the lock: others may share our memory and live on. */
	if (mode == SYS_FAULT_KILL)
		fault_die();
	if (mode == SYS_FAULT_STOP)
		(void)raise(SIGSTOP);
	return mode == SYS_FAULT_STOP ? 0 : r;
}

void sys_fault_before(const char *name)
{
	if (fault_is_armed() &&
	    (fault.plan.mode == SYS_FAULT_KILL || fault.plan.mode == SYS_FAULT_STOP))
		(void)sys_fault(name);
}

size_t sys_fault_len(const char *name, size_t len)
{
	bool hit;

	if (len < 2 || !fault_is_armed())
		return len;
	pthread_mutex_lock(&fault.lock);
	hit = fault.armed && fault.plan.mode == SYS_FAULT_SHORT && fault_hit(name);
	pthread_mutex_unlock(&fault.lock);
	if (!hit)
		return len;
	if (len >= 8192)
		return (len / 2) & ~(size_t)4095;
	if (len >= 1024)
		return (len / 2) & ~(size_t)511;
	return len / 2;
}

int sys_fault_result(const char *name, int res)
{
	int r = res < 0 ? 0 : sys_fault(name);

	return r < 0 ? r : res;
}

void sys_fault_arm(const struct sys_fault_plan *plan)
{
	(void)pthread_once(&fault.once, fault_from_environment);
	fault_set(plan);
}

void sys_fault_disarm(void)
{
	(void)pthread_once(&fault.once, fault_from_environment);
	pthread_mutex_lock(&fault.lock);
	atomic_store(&fault.armed, false);
	pthread_mutex_unlock(&fault.lock);
}

unsigned long sys_fault_calls(void)
{
	unsigned long n;

	pthread_mutex_lock(&fault.lock);
	n = fault.calls;
	pthread_mutex_unlock(&fault.lock);
	return n;
}

unsigned long sys_fault_fired(void)
{
	unsigned long n;

	pthread_mutex_lock(&fault.lock);
	n = fault.fired;
	pthread_mutex_unlock(&fault.lock);
	return n;
}

const char *sys_fault_fired_name(void)
{
	const char *name;

	pthread_mutex_lock(&fault.lock);
	name = fault.fired ? fault.fired_name : NULL;
	pthread_mutex_unlock(&fault.lock);
	return name;
}

void wrap_iov_init(struct wrap_iov *w, const char *name, const struct iovec *iov, size_t n)
{
	size_t i, total = 0, want, k = n < WRAP_SHORT_IOV ? n : WRAP_SHORT_IOV;

	w->iov = iov;
	w->n = n;
	for (i = 0; i < k; i++)
		total += iov[i].iov_len;
	want = sys_fault_len(name, total);
	if (want == total)
		return;
	for (i = 0; i < k && want > 0; i++) {
		w->cut[i] = iov[i];
		if (w->cut[i].iov_len > want)
			w->cut[i].iov_len = want;
		want -= w->cut[i].iov_len;
	}
	w->iov = w->cut;
	w->n = i;
}

#else

typedef int fault_is_not_compiled_in; /* ISO C wants something here */

#endif
