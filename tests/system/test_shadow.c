/* SPDX-License-Identifier: MIT */
/*
 * Shadows: that they hold the memory of the instant, never run, and are seen
 * by nobody; that none outlives us, and the target does, whenever we die.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "lib/dying.h"
#include "lib/instant.h"
#include "lib/kit.h"
#include "lib/remote.h"
#include "lib/victims.h"
#include "process/maps.h"
#include "process/pages.h"
#include "process/procfs.h"
#include "tap.h"

#define PAGE 4096

/* ---------------------------------------------------------------- comparing */

static bool copy_differs(const unsigned char *a, const unsigned char *b, size_t *ret_at)
{
	for (size_t i = 0; i < PAGE; i++)
		if (a[i] != b[i]) {
			*ret_at = i;
			return true;
		}
	return false;
}

static unsigned copy_compare(const struct instant *c, const struct remote *r, uint64_t *ret_addr)
{
	unsigned char page[PAGE];
	unsigned wrong = 0;
	size_t off = 0, at = 0;

	for (size_t i = 0; i < c->n; i++)
		for (uint64_t a = c->v[i].start; a < c->v[i].end; a += PAGE, off += PAGE) {
			if (pages_read(&r->shadow.target, PAGES_SHADOW, a, page, PAGE) != PAGE) {
				wrong++;
				continue;
			}
			if (copy_differs(page, c->bytes + off, &at)) {
				if (wrong++ == 0)
					*ret_addr = a + at;
				diag("page %llx differs from byte %zu on", (unsigned long long)a,
				     at);
			}
		}
	return wrong;
}

static uint64_t proc_ticks(pid_t pid)
{
	unsigned long user = 1;
	char path[64], text[1024] = "", *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	p = f && fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &user) != 1)
		bail("no %s", path);
	fclose(f);
	return user;
}

static unsigned proc_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	need(d, "%s", path);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* ---------------------------------------------------------------- the cases */

struct prey {
	const char *victim;
	unsigned habits;
	bool direct;             /* it is the child of the target */
	bool waits;              /* middle by CLONE_VFORK: no wait for any child is possible */
	unsigned times;
};

static const struct prey preys[] = {
	{ "counter --mib 4", 0, false, false, 10 },
	{ "counter --mib 4 --threads 2 --idle 2", 0, false, false, 10 },
	{ "registers general --ms 1", 0, false, false, 20 },
	{ "registers rseq", 0, false, false, 20 },
	{ "blocker epoll_wait --ms 4", 0, false, false, 20 },
	{ "blocker wait4 --ms 3", VICTIM_FAMILY, false, false, 20 },
	{ "life waiter --ms 1", VICTIM_FAMILY, false, false, 40 },
	{ "life storm", VICTIM_SIGMASK, false, false, 20 },
	{ "life seccomp", 0, false, true, 20 },
	{ "life leader", 0, false, false, 10 },
	{ "stacks alt", 0, false, false, 20 },
	{ "stacks pipe", VICTIM_FDS, false, false, 20 },
	{ "stacks clones", VICTIM_FAMILY, false, false, 20 },
	{ "stacks subreaper", 0, true, false, 20 },
	{ "stacks plain --as-init", 0, true, false, 20 },
	{ "static plain", 0, false, false, 20 },
};

static int act_reap(struct remote *r, struct call *c)
{
	return shadow_reap(&r->shadow, c, &r->err);
}

static void shadow_look(const struct prey *p, struct remote *r, struct instant *copy)
{
	struct proc_stat stat;
	uint64_t addr = 0;
	pid_t pid = r->shadow.pid;
	unsigned wrong;

	is_int(shadow_open(&r->shadow, r->k.target, &r->err), 0, "opened: %s", r->err.text);
	is_int(copy->reaps, !p->waits, "its end is waited for as it should be");
	is_int(procfs_stat(r->shadow.target.proc_fd, &stat), 0, "it is there");
	is_int(stat.state, 't', "it stands in a ptrace stop");
	is_int(stat.ppid == r->k.target->pid, p->direct, "it is the target's child or not");
	is_int(r->shadow.ns_pid != 0, p->direct, "... and says so");
	is_int(proc_fds(pid), 0, "it has no descriptors");
	kit_sleep_ms(kit_random() % 8);
	wrong = copy_compare(copy, r, &addr);
	is_int(wrong, 0, "pages that are not those of the instant, the first at %llx",
	       (unsigned long long)addr);
	is_int(proc_ticks(pid), 0, "it never ran");
}

/* A shadow that was the target's child is a zombie there, until the next stop. */
static void shadow_after(struct remote *r, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (r->shadow.ns_pid) {
		ok(access(path, F_OK) == 0, "it is a zombie still");
		instant_off(r, act_reap);
		is_int(remote_once(r), 0, "it is reaped: %s", r->err.text);
	} else {
		is_int(waitpid(pid, NULL, 0), pid, "it came to the subreaper, and has ended");
	}
	ok(access(path, F_OK) != 0, "nothing is left of it");
}

static void shadow_run(const void *arg)
{
	const struct prey *p = arg;
	struct victim v;
	struct remote r;

	/* Orphans come here: process 1 may take its time with them. */
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_begin(&v, p->habits, "%s", p->victim);
	instant_open(&r, v.pid);
	for (unsigned i = 0; i < p->times; i++) {
		struct instant copy = { 0 };
		pid_t pid;
		int ret;

		instant_on(&r, &copy);
		ret = remote_once(&r);
		need(ret == 0, "shadow: %s", r.err.text);
		pid = r.shadow.pid;
		if (i < 3 || i % 8 == 0)
			shadow_look(p, &r, &copy);
		remote_end_shadow(&r);
		shadow_after(&r, pid);
		instant_free(&copy);
	}
	diag("clone %llu us, all %llu us", (unsigned long long)r.shadow.clone_ns / 1000,
	     (unsigned long long)r.act_ns / 1000);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	is_int(v.report->eintr, 0, "no call was broken off");
	is_int(v.report->foreign, 0, "nobody ran in its place");
	victim_end(&v);
}

/* Not a shadow any more: with the registers of its original, and nobody who holds it. */
static int shadow_let_loose(void *arg)
{
	struct remote *r = arg;
	struct stop_thread *t = &r->k.stop.threads[0];

	if (arch_regs_set(r->shadow.pid, &t->resume) < 0)
		return -errno;
	return ptrace(PTRACE_DETACH, r->shadow.pid, NULL, NULL) == 0 ? 0 : -errno;
}

static void loose_run(const void *arg)
{
	struct victim v;
	struct remote r;
	pid_t pid;

	(void)arg;
	kit_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	victim_begin(&v, 0, "registers general --ms 1");
	remote_open(&r, v.pid, remote_act_shadow);
	need(remote_once(&r) == 0, "shadow: %s", r.err.text);
	pid = r.shadow.pid;
	is_int(tracer_run(r.k.tracer, shadow_let_loose, &r), 0, "let loose");
	for (int i = 0; i < 1000 && v.report->foreign == 0; i++)
		kit_sleep_ms(1);
	ok(v.report->foreign > 0, "a shadow that runs is seen");
	ok(victim_harm(&v) != NULL, "and is harm");
	kill(pid, SIGKILL);
	is_int(waitpid(pid, NULL, 0), pid, "ended");
	r.shadow.pid = 0;
	remote_close(&r);
	victim_end(&v);
}

/* ------------------------------------------------------------------ refused */

/* No more processes for this user: an error, and the target as before. */
static void no_process_run(const void *arg)
{
	struct victim v;
	struct remote r;

	victim_begin(&v, 0, "%s", (const char *)arg);
	remote_open(&r, v.pid, remote_act_shadow);
	for (int i = 0; i < 10; i++) {
		is_int(remote_once(&r), -EAGAIN, "no process is to be had");
		ok(strstr(r.err.text, "shadow"), "says what: %s", r.err.text);
		is_int(r.shadow.pid, 0, "there is no shadow");
	}
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

/* Somebody would be told of the fork, and it would wait for an answer. */
static void uffd_run(const void *arg)
{
	const bool *told = arg;
	struct maps maps = MAPS_INIT;
	struct victim v;
	struct remote r;
	int ret;

	victim_begin(&v, 0, "stacks uffd --n %d", *told);
	remote_open(&r, v.pid, remote_act_shadow);
	need(maps_read(r.k.target, MAPS_SMAPS, &maps, &r.err) == 0, "%s", r.err.text);
	ret = shadow_may(r.k.target, &maps, &r.err);
	is_int(ret, *told ? -ENOTSUP : 0, "refused where it is told");
	if (*told)
		ok(strstr(r.err.text, "told of a fork"), "says why: %s", r.err.text);
	else
		is_int(remote_once(&r), 0, "a shadow: %s", r.err.text);
	maps_free(&maps);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

/* ---------------------------------------------------------------- our death */

static const struct prey dying[] = {
	{ "blocker nanosleep --ms 4", 0, false, false, 0 },
	{ "registers general --ms 2", 0, false, false, 0 },
	{ "life waiter --ms 1", VICTIM_FAMILY, false, false, 0 },
	{ "stacks clones", VICTIM_FAMILY, false, false, 0 },
	{ "counter --mib 16 --threads 2", 0, false, false, 0 },
	{ "blocker recv --ms 4", 0, false, false, 0 },
	{ "life storm", VICTIM_SIGMASK, false, false, 0 },
	{ "stacks subreaper", 0, true, false, 0 },
	{ "stacks plain --as-init", 0, true, false, 0 },
	/* Not "life seccomp": see docs/ARCHITECTURE.md, "Remote calls". */
};

static void sweep_run(const void *arg)
{
	const struct prey *p = arg;

	/* Its zombie is left to a target whose child it is. */
	dying_sweep(p->victim, p->habits, remote_act_shadow, p->direct);
}

static void errors_run(const void *arg)
{
	(void)arg;
	dying_errors(remote_act_shadow);
}

static void control_run(const void *arg)
{
	(void)arg;
	dying_control(remote_act_shadow);
}

int main(void)
{
	static const bool no = false, yes = true;

	kit_start(300);
	need_root();
	tap_case_seconds = 60;
	for (size_t i = 0; i < sizeof(preys) / sizeof(*preys); i++)
		kit_case(shadow_run, &preys[i], "shadow: %s", preys[i].victim);
	kit_case(loose_run, NULL, "control: a shadow let loose");
	kit_case(uffd_run, &yes, "a userfaultfd that wants to know of forks");
	kit_case(uffd_run, &no, "a userfaultfd that does not");
	kit_case(no_process_run, "stacks poor --n 1", "no process for the middle one");
	kit_case(no_process_run, "stacks poor --n 2", "no process for a shadow");
	for (size_t i = 0; i < sizeof(dying) / sizeof(*dying); i++)
		kit_case(sweep_run, &dying[i], "dying: %s", dying[i].victim);
	kit_case(errors_run, NULL, "an error at each step");
	kit_case(control_run, NULL, "control: dying with registers changed in place");
	return done();
}
