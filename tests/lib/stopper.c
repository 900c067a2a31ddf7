/* SPDX-License-Identifier: MIT */
#include "lib/stopper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/kit.h"

void stopper_open(struct stopper *k, pid_t pid)
{
	memset(k, 0, sizeof(*k));
	k->timeout_ns = UINT64_C(100000000) * (kit_slow_build() ? 5 : 1);
	if (caps_create(&k->caps, NULL, &k->err) < 0 ||
	    target_open(&k->target, pid, k->caps, &k->err) < 0 ||
	    tracer_start(&k->tracer, &k->err) < 0)
		kit_die("%s", k->err.text);
}

static int stopper_there(void *arg)
{
	struct stopper *k = arg;
	struct stop_options o = { .timeout_ns = k->timeout_ns, .details = true };
	uint64_t ns;
	int r = stop_begin(&k->stop, &o, &k->err);

	if (r < 0)
		return r;
	r = stop_details(&k->stop, &k->err);
	if (r == 0 && k->look)
		r = k->look(k, k->look_arg);
	stop_resume(&k->stop);
	k->stops++;
	ns = k->stop.end_ns - k->stop.begin_ns;
	k->pauses_ns += ns;
	if (ns < k->pause_min_ns || k->pause_min_ns == 0)
		k->pause_min_ns = ns;
	if (ns > k->pause_max_ns)
		k->pause_max_ns = ns;
	return r;
}

int stopper_once(struct stopper *k)
{
	int r = stop_seize(&k->stop, k->target, &k->err);

	return r < 0 ? r : tracer_run(k->tracer, stopper_there, k);
}

static void stopper_gap(unsigned gap_us)
{
	struct timespec ts = { 0 };

	if (gap_us == 0)
		return;
	ts.tv_nsec = (long)(kit_random() % (2 * (uint64_t)gap_us)) * 1000;
	(void)nanosleep(&ts, NULL);
}

int stopper_run(struct stopper *k, unsigned times, unsigned gap_us)
{
	unsigned until = k->stops + times;
	int r;

	while (k->stops < until) {
		r = stopper_once(k);
		if (r == -ETIMEDOUT)
			k->late++;
		else if (r != 0)
			return r;
		stopper_gap(gap_us);
	}
	return 0;
}

void stopper_close(struct stopper *k)
{
	tracer_stop(k->tracer);
	stop_free(&k->stop);
	target_close(k->target);
	caps_destroy(k->caps);
}

static int bare_there(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid ||
	    ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0)
		return -errno;
	return 0;
}

int stopper_bare(struct stopper *k, pid_t pid)
{
	return tracer_run(k->tracer, bare_there, &pid);
}

char stopper_state(pid_t pid, pid_t tid)
{
	char path[64], text[256], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	p = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	(void)fclose(f);
	return p ? p[2] : 0;
}

bool stopper_becomes(pid_t pid, pid_t tid, char state, unsigned ms)
{
	for (unsigned i = 0; i <= ms; i++, kit_sleep_ms(1))
		if (stopper_state(pid, tid) == state)
			return true;
	return false;
}
