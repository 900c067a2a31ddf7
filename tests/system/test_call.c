/* SPDX-License-Identifier: MIT */
/*
 * System calls made in stopped threads: that they do what they should, that
 * nothing of it is seen, and that the target lives whenever we die.
 */
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#include "lib/dying.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "uapi/ptrace.h"

#define TIMES 40

/* ------------------------------------------------------------- not seen */

struct prey {
	const char *victim;
	unsigned habits;
	bool pop;                /* as if it had no restorer */
};

static const struct prey preys[] = {
	{ "registers general --ms 2", 0, false },
	{ "registers general --ms 1", 0, true },
	{ "registers rseq", 0, false },
	{ "blocker nanosleep --ms 4", 0, false },
	{ "blocker clock_nanosleep --ms 4", 0, false },
	{ "blocker futex --ms 4", 0, false },
	{ "blocker futex_forever --ms 3", 0, false },
	{ "blocker epoll_wait --ms 4", 0, false },
	{ "blocker poll --ms 4", 0, false },
	{ "blocker ppoll --ms 4", 0, false },
	{ "blocker read --ms 3", 0, false },
	{ "blocker recv --ms 4", 0, false },
	{ "blocker sigtimedwait --ms 4", 0, false },
	{ "blocker sigsuspend --ms 3", VICTIM_SIGMASK, false },
	{ "blocker semtimedop --ms 4", 0, false },
	{ "blocker io_uring_enter --ms 4", 0, false },
	{ "blocker wait4 --ms 3", VICTIM_FAMILY, false },
	{ "life threads --n 9", 0, false },
	{ "life ending --n 3", VICTIM_MAPS | VICTIM_THREADS, false },
	{ "life leader", 0, false },
	{ "life waiter --ms 1", VICTIM_FAMILY, false },
	{ "life storm", VICTIM_SIGMASK, false },
	{ "life seccomp", 0, false },
	{ "stacks plain", 0, false },
	{ "stacks alt", 0, false },
	{ "stacks altheap", 0, false },
	{ "stacks deep", VICTIM_MAPS, false },
	{ "stacks go --n 32768", 0, false },
	{ "stacks pause", 0, false },
	{ "stacks clones", VICTIM_FAMILY, false },
	{ "stacks allowed", 0, false },
	{ "stacks plain --as-init", 0, false },
	{ "static plain", 0, false },
	{ "static alt", 0, true },
};

static void calls_run(const void *arg)
{
	const struct prey *p = arg;
	unsigned good = 0;
	struct victim v;
	struct remote r;
	int ret = 0;

	victim_begin(&v, p->habits, "%s", p->victim);
	remote_open(&r, v.pid, remote_act_calls);
	if (p->pop)
		r.gadgets.sigreturn = 0;
	for (unsigned i = 0; i < TIMES && ret == 0; i++) {
		ret = remote_once(&r);
		good += ret == 0;
		kit_sleep_ms(kit_random() % 4);
	}
	is_int(ret, 0, "calls are made: %s", r.err.text);
	is_int(good, TIMES, "all");
	diag("%llu us to open, %llu us for four calls", (unsigned long long)r.open_ns / 1000,
	     (unsigned long long)r.act_ns / 1000);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	is_int(v.report->eintr, 0, "no call was broken off");
	victim_end(&v);
}

/* --------------------------------------------------------------- refused */

struct refusal {
	const char *victim, *why;
	int error;
	void (*spoil)(struct remote *r);
};

static void spoil_gadgets(struct remote *r)
{
	r->gadgets.sigreturn = r->gadgets.pop_ret = 0;
}

static void spoil_code(struct remote *r)
{
	r->gadgets = (struct gadgets){ 0 };
}

static void spoil_shadow_stack(struct remote *r)
{
	r->k.target->status.shadow_stack = true;
}

/* As a user who may trace, and no more. */
static void spoil_capability(struct remote *r)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)r;
	kit_must(syscall(SYS_capget, &head, data));
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	kit_must(syscall(SYS_capset, &head, data));
	/* The tracer is there already: another one. */
	tracer_stop(r->k.tracer);
	need(tracer_start(&r->k.tracer, &r->err) == 0, "tracer: %s", r->err.text);
}

static const struct refusal refusals[] = {
	{ "stacks coroutine", "room for a signal frame", -ENOTSUP, NULL },
	{ "stacks mapped", "room for a signal frame", -ENOTSUP, NULL },
	{ "stacks go --n 3000", "room for a signal frame", -ENOTSUP, NULL },
	{ "static coroutine", "room for a signal frame", -ENOTSUP, NULL },
	{ "stacks dispatch", "syscall user dispatch", -ENOTSUP, NULL },
	{ "stacks plain", "return from a signal", -ENOTSUP, spoil_gadgets },
	{ "stacks plain", "system call that we could use", -ENOTSUP, spoil_code },
	{ "stacks plain", "shadow stacks", -ENOTSUP, spoil_shadow_stack },
	{ "life seccomp", "CAP_SYS_ADMIN", -EPERM, spoil_capability },
};

/* Since Linux 6.4; before that a tracer cannot know. */
static bool kernel_tells_dispatch(void)
{
	struct uapi_ptrace_sud sud;
	pid_t pid = kit_must(fork());
	long r;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	kit_must(waitpid(pid, NULL, 0));
	r = ptrace((int)UAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, pid, sizeof(sud), &sud);
	kill(pid, SIGKILL);
	kit_must(waitpid(pid, NULL, 0));
	return r >= 0;
}

static void refusal_run(const void *arg)
{
	const struct refusal *f = arg;
	struct victim v;
	struct remote r;

	if (strstr(f->why, "dispatch") && !kernel_tells_dispatch())
		skip("this kernel tells no tracer of syscall user dispatch");
	victim_begin(&v, 0, "%s", f->victim);
	remote_open(&r, v.pid, remote_act_calls);
	if (f->spoil)
		f->spoil(&r);
	for (int i = 0; i < 20; i++) {
		is_int(remote_once(&r), f->error, "refused");
		ok(strstr(r.err.text, f->why), "with the reason: %s", r.err.text);
		kit_sleep_ms(1);
	}
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

/* Where there is no code that we may use: what a compiler made at run time is not. */
static void gadgets_run(const void *arg)
{
	struct gadgets g;
	struct victim v;
	struct remote r;
	struct err err;

	(void)arg;
	victim_begin(&v, 0, "stacks plain");
	remote_open(&r, v.pid, remote_act_calls);
	ok(r.gadgets.syscall_ret && r.gadgets.sigreturn, "both are found");
	for (size_t i = 0; i < r.maps.n; i++)
		if (strcmp(maps_name(&r.maps, &r.maps.v[i]), "[vdso]") != 0)
			r.maps.v[i].flags &= ~(uint32_t)VMA_FILE;
	is_int(gadgets_find(r.k.target, &r.maps, &g, &err), 0, "the vdso has a system call");
	ok(g.syscall_ret && !g.sigreturn, "but no restorer");
	for (size_t i = 0; i < r.maps.n; i++)
		r.maps.v[i].flags |= VMA_WRITE;
	is_int(gadgets_find(r.k.target, &r.maps, &g, &err), -ENOTSUP, "writable code is not used");
	remote_close(&r);
	victim_end(&v);
}

/* ---------------------------------------------------------------- frozen */

static char cgroup[100];

__attribute__((format(printf, 2, 3))) static void cgroup_put(const char *name, const char *fmt, ...)
{
	char path[160], text[32];
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	f = fopen(path, "we");
	need(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", path);
}

static bool cgroup_make(void)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[160];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
		snprintf(cgroup, sizeof(cgroup), "%s/decant-%d", roots[i], getpid());
		if (access(path, W_OK) == 0 && mkdir(cgroup, 0700) == 0)
			return true;
	}
	return false;
}

/* Its threads stop for us, but run nothing. */
static void frozen_run(const void *arg)
{
	struct victim v;
	struct remote r;
	char line[32];

	(void)arg;
	if (!cgroup_make())
		skip("no second version of control groups");
	victim_begin(&v, 0, "stacks plain");
	remote_open(&r, v.pid, remote_act_calls);
	cgroup_put("cgroup.procs", "%d", v.pid);
	cgroup_put("cgroup.freeze", "1");
	for (int i = 0; i < 1000; i++) {
		if (kit_line(line, sizeof(line), "grep frozen %s/cgroup.events", cgroup) &&
		    strcmp(line, "frozen 1") == 0)
			break;
		kit_sleep_ms(1);
	}
	is_str(line, "frozen 1", "it is frozen");
	is_int(remote_once(&r), -ENOTSUP, "no call can be made");
	ok(strstr(r.err.text, "frozen"), "says why: %s", r.err.text);
	remote_close(&r);
	cgroup_put("cgroup.freeze", "0");
	is_str(victim_harm(&v), NULL, "it is not harmed");
	is_int(v.report->eintr, 0, "no call was broken off");
	victim_end(&v);
	for (int i = 0; i < 1000 && rmdir(cgroup) != 0; i++)
		kit_sleep_ms(1);
	ok(access(cgroup, F_OK) != 0, "the group is gone");
}

/* ------------------------------------------------------- in the last resort */

static void plain_run(const void *arg)
{
	const char *name = arg;
	struct victim v;
	struct remote r;
	int ret = 0;

	victim_begin(&v, 0, "%s", name);
	remote_open(&r, v.pid, remote_act_calls);
	r.method = CALL_PLAIN;
	for (unsigned i = 0; i < TIMES && ret == 0; i++) {
		ret = remote_once(&r);
		kit_sleep_ms(kit_random() % 3);
	}
	is_int(ret, 0, "calls are made: %s", r.err.text);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

/* ------------------------------------------------------------ our death */

static void sweep_run(const void *arg)
{
	const struct prey *p = arg;

	dying_sweep(p->victim, p->habits, remote_act_asks, false);
}

static void errors_run(const void *arg)
{
	(void)arg;
	dying_errors(remote_act_asks);
}

static void control_run(const void *arg)
{
	(void)arg;
	dying_control(remote_act_asks);
}

static const struct prey dying[] = {
	{ "blocker nanosleep --ms 4", 0, false },
	{ "registers general --ms 2", 0, false },
	{ "blocker epoll_wait --ms 4", 0, false },
	{ "stacks alt", 0, false },
	{ "registers rseq", 0, false },
	{ "life storm", VICTIM_SIGMASK, false },
	{ "life threads --n 9", 0, false },
	{ "static plain", 0, false },
	{ "blocker read --ms 3", 0, false },
};

int main(void)
{
	kit_start(300);
	need_root();
	tap_case_seconds = 60;
	kit_case(gadgets_run, NULL, "where gadgets are looked for");
	for (size_t i = 0; i < sizeof(preys) / sizeof(*preys); i++)
		kit_case(calls_run, &preys[i], "calls: %s%s", preys[i].victim,
			 preys[i].pop ? ", no restorer" : "");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		kit_case(refusal_run, &refusals[i], "refused: %s, %s", refusals[i].victim,
			 refusals[i].why);
	kit_case(frozen_run, NULL, "refused: a frozen cgroup");
	kit_case(plain_run, "stacks plain", "plain: stacks plain");
	kit_case(plain_run, "stacks coroutine", "plain: stacks coroutine");
	kit_case(plain_run, "registers general --ms 1", "plain: registers general");
	for (size_t i = 0; i < sizeof(dying) / sizeof(*dying); i++)
		kit_case(sweep_run, &dying[i], "dying: %s", dying[i].victim);
	kit_case(errors_run, NULL, "an error at each step");
	kit_case(control_run, NULL, "control: dying with registers changed in place");
	return done();
}
