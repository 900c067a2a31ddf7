/* SPDX-License-Identifier: MIT */
/* caps/: probes under failing calls: what fails must not be taken for an answer. */
#include <fcntl.h>

#include "caps/caps.h"
#include "lib/facts.h"
#include "lib/leak.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "tap.h"

#ifndef DECANT_FAULTS
int main(void)
{
	skip_all("built without -Dfaults=true");
	return done();
}
#else

/* More calls than any fact and what it needs makes. */
#define CALLS_MAX 10000
#define ALIKE_MAX 30             /* calls of one kind, one after the other */
#define STRIDE 100

struct fault_run {
	enum fact fact;
	enum sys_fault_mode mode;
	int error;          /* 0: a plausible one */
	const char *name;   /* of the call, or NULL */
};

/* What a failed call must never make of a fact. */
static bool is_wrong(enum fact f, enum fact_state honest, enum fact_state got)
{
	if (honest == FACT_NO && got == FACT_YES)
		return true;
	/* "Does not share" would be a promise. */
	return honest == FACT_YES && got == FACT_NO &&
	       (f == FACT_SPLICE_SHARES || f == FACT_VMSPLICE_SHARES);
}

/* Not system calls, or their results: there is nothing to go on with. */
static bool gives_up_on_eintr(const char *name)
{
	return strcmp(name, "aligned_alloc") == 0 || strcmp(name, "realloc") == 0 ||
	       strcmp(name, "malloc") == 0 ||
	       strcmp(name, "uring_send_zc") == 0;
}

/*
 * From call to call.  A file that is read page by page (the kernel's own types,
 * before 6.16) is gone through in strides; what comes behind it is not.
 */
struct walk {
	unsigned long n, stride;
	unsigned alike;
	const char *last;
};

/* name: of the nth call, which failed; NULL: there was none.  False: so that is all. */
static bool walk_on(struct walk *w, const char *name)
{
	if (name && w->last && strcmp(name, w->last) == 0) {
		w->stride = ++w->alike < ALIKE_MAX ? 1 : STRIDE;
		w->n += w->stride;
		return w->n < CALLS_MAX;
	}
	w->last = name;
	w->alike = 0;
	if (w->stride > 1) {
		w->n -= w->stride - 1;
		w->stride = 1;
		return true;
	}
	w->n++;
	return name;
}

/* Fail the Nth call while this fact is asked for, until none is left to fail. */
static void fault_each(const void *arg)
{
	const struct fault_run *run = arg;
	struct caps *c = facts_masked(NULL);
	enum fact_state honest = caps_state(c, run->fact), got;
	struct walk w = { .n = 1, .stride = 1 };
	const char *left, *name;
	unsigned long n, fired;
	struct leak before;
	uint64_t start, took;

	caps_destroy(c);
	leak_take(&before);
	do {
		n = w.n;
		c = facts_masked(NULL);
		start = sys_clock_ns();
		sys_fault_arm(&(struct sys_fault_plan){
			.mode = run->mode, .nth = n, .name = run->name, .error = run->error });
		got = caps_state(c, run->fact);
		sys_fault_disarm();
		fired = sys_fault_fired();
		name = fired ? sys_fault_fired_name() : NULL;
		took = sys_clock_ns() - start;
		left = leak_since(&before, 2000);
		ok(!left, "call %lu (%s): leaves nothing: %s", n,
		   name ? name : "none", left ? left : "");
		ok(!is_wrong(run->fact, honest, got), "call %lu (%s): said %s, is %s: %s", n,
		   name ? name : "none", facts_state(got),
		   facts_state(honest), caps_why(c, run->fact));
		ok(took < 5000000000ull, "call %lu: within 5 s", n);
		ok(caps_why(c, run->fact)[0], "call %lu: a reason", n);
		if (!fired)
			is_int(got, honest, "nothing failed: the honest answer");
		else if (run->error == EINTR && !gives_up_on_eintr(name))
			is_int(got, honest, "call %lu (%s): interrupted and gone on: %s", n,
			       name, caps_why(c, run->fact));
		caps_destroy(c);
	} while (walk_on(&w, name));
	ok(!fired, "ended after %lu calls", n);
	ok(n > 1 || run->mode == SYS_FAULT_SHORT || run->name, "control: something failed");
}

static void test_faults(void)
{
	for FACTS_EACH(f) {
		struct fault_run run = { .fact = f };

		tap_case_arg(fault_each, &run, "%s: every call fails once", caps_name(f));
		run.error = EINTR;
		tap_case_arg(fault_each, &run, "%s: every call is interrupted", caps_name(f));
		run.error = 0;
		run.mode = SYS_FAULT_SHORT;
		tap_case_arg(fault_each, &run, "%s: every call comes short", caps_name(f));
	}
	/* Where there is no O_TMPFILE, a name exists for a moment. */
	tap_case_arg(fault_each,
		     &(struct fault_run){ FACT_REFLINK, SYS_FAULT_ERROR, EOPNOTSUPP, "open" },
		     "files with a name");
}

static unsigned names_in(const char *dir)
{
	char cmd[4200], count[20] = "";
	FILE *p;

	snprintf(cmd, sizeof(cmd), "ls -A '%s' | grep -c decant-probe", dir);
	p = popen(cmd, "r");
	need(p && fgets(count, sizeof(count), p), "ls");
	pclose(p);
	return (unsigned)atoi(count);
}

static void test_named_files(void)
{
	char cwd[4096], path[4200];
	struct caps *c = facts_masked(NULL);
	int fd;

	need(getcwd(cwd, sizeof(cwd)), "getcwd");
	setenv("TMPDIR", cwd, 1);
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .repeat = 1, .name = "open",
						.error = EOPNOTSUPP });
	is_int(caps_state(c, FACT_O_DIRECT) != FACT_UNKNOWN, true, "tried with a named file: %s",
	       caps_why(c, FACT_O_DIRECT));
	is_int(sys_fault_fired(), 1, "control: O_TMPFILE was refused");
	sys_fault_disarm();
	is_int(names_in(cwd), 0, "no name is left");
	snprintf(path, sizeof(path), "%s/.decant-probe-control", cwd);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	is_int(names_in(cwd), 1, "control: a name would be seen");
	close(fd);
	unlink(path);
	caps_destroy(c);
}

static void test_no_memory(void)
{
	struct caps *c = NULL;
	struct err e = { "" };

	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1 });
	is_int(caps_create(&c, NULL, &e), -ENOMEM, "no memory for the table");
	sys_fault_disarm();
	ok(c == NULL, "*ret is left alone");
	is_str(e.text, "facts: Cannot allocate memory", "the sentence");
}

/* A completion with an error is a no, though its notification comes. */
static void test_send_fails(void)
{
	struct caps *c = facts_masked(NULL);

	if (!caps_has(c, FACT_IO_URING))
		skip("no io_uring: %s", caps_why(c, FACT_IO_URING));
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 1, .name = "uring_send_zc" });
	is_int(caps_state(c, FACT_SEND_ZC), FACT_NO, "send_zc: %s", caps_why(c, FACT_SEND_ZC));
	is_int(sys_fault_fired(), 1, "control: it failed");
	sys_fault_disarm();
	is_str(caps_why(c, FACT_SEND_ZC), "SEND_ZC over loopback: Connection reset by peer", "why");
	caps_destroy(c);
}

/* io_uring refused in all the ways that occur. */
static void test_no_uring(void)
{
	static const struct {
		int error;
		const char *says;
		enum fact_state state;
	} cases[] = {
		{ EPERM, "io_uring_setup: a se", FACT_NO }, /* seccomp, security module */
		{ ENOSYS, "io_uring_setup: the kernel has none", FACT_NO },
		{ EINVAL, "io_uring_setup: Invalid argument", FACT_NO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct caps *c = facts_masked(NULL);

		sys_fault_arm(&(struct sys_fault_plan){
			.nth = 1, .name = "uring_init", .error = cases[i].error });
		is_int(caps_state(c, FACT_IO_URING), cases[i].state, "state");
		sys_fault_disarm();
		ok(strncmp(caps_why(c, FACT_IO_URING), cases[i].says, strlen(cases[i].says)) == 0,
		   "why: %s", caps_why(c, FACT_IO_URING));
		is_int(caps_has(c, FACT_SEND_ZC), false, "no send_zc either");
		caps_destroy(c);
	}
}

/* Short of descriptors or memory: that passes, and says nothing of the kernel. */
static void test_short(void)
{
	static const int errors[] = { ENOMEM, EMFILE, ENFILE };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct caps *c = facts_masked(NULL);

		if (!caps_has(c, FACT_IO_URING))
			skip("no io_uring: %s", caps_why(c, FACT_IO_URING));
		caps_destroy(c);
		c = facts_masked(NULL);
		sys_fault_arm(&(struct sys_fault_plan){
			.nth = 1, .repeat = 1000, .name = "uring_init", .error = errors[i] });
		is_int(caps_state(c, FACT_IO_URING), FACT_UNKNOWN, "state");
		ok(strstr(caps_why(c, FACT_IO_URING), "could not be tried now"), "why: %s",
		   caps_why(c, FACT_IO_URING));
		is_int(caps_state(c, FACT_SEND_ZC), FACT_UNKNOWN, "what needs it");
		sys_fault_disarm();
		is_int(caps_state(c, FACT_SEND_ZC), FACT_YES, "asked again later: %s",
		       caps_why(c, FACT_SEND_ZC));
		caps_destroy(c);
	}
}

int main(void)
{
	tap_case("without memory", test_no_memory);
	tap_case("io_uring refused", test_no_uring);
	tap_case("short of something", test_short);
	tap_case("a send that fails", test_send_fails);
	tap_case("files with a name are removed", test_named_files);
	test_faults();
	return done();
}

#endif
