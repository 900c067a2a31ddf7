/* SPDX-License-Identifier: MIT */
/*
 * Shadows: that they hold the memory of the instant, never run, and are seen
 * by nobody; that none outlives us, and the target does, whenever we die.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tap.h"

#include "lib/kit.h"
#include "lib/remote.h"
#include "process/drain.h"
#include "process/pages.h"

#define PAGE 4096
#define COPY_MAX ((size_t)64 << 20)

/* What was seen of the target's memory in the stop. */
struct copy {
	struct range *v;
	size_t n;
	unsigned char *bytes;    /* back to back */
	size_t len;
	bool reaps;              /* what the call said */
	uint64_t rseq;           /* page that the kernel writes to in the shadow */
};

static int64_t target_read(pid_t pid, uint64_t addr, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/* Private memory that can be written, as it is in the stop, but for what was never there. */
static void copy_take(struct copy *c, const struct remote *r)
{
	const uint32_t must = VMA_READ | VMA_WRITE;

	c->v = calloc(r->maps.n, sizeof(*c->v));
	c->bytes = mmap(NULL, COPY_MAX, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; i < r->maps.n; i++) {
		const struct vma *v = &r->maps.v[i];
		size_t len = v->end - v->start;

		if ((v->flags & (must | VMA_SHARED | VMA_SPECIAL)) != must ||
		    c->len + len > COPY_MAX)
			continue;
		if (target_read(r->k.target->live, v->start, c->bytes + c->len, len) !=
		    (int64_t)len)
			continue;
		c->v[c->n++] = (struct range){ v->start, v->end };
		c->len += len;
	}
}

static void copy_free(struct copy *c)
{
	free(c->v);
	munmap(c->bytes, COPY_MAX);
}

static int act_copy_and_shadow(struct remote *r, struct call *c)
{
	struct copy *copy = r->arg;

	/* The frame is there already, below the stack pointer: put aside what it covers. */
	copy->reaps = call_can_reap(c);
	return shadow_make(&r->shadow, c, &r->err);
}

/* Before the call is opened: remote.c has no hook for that, the stopper has. */
static int (*look_inner)(struct stopper *k, void *arg);

static int look_copy_first(struct stopper *k, void *arg)
{
	struct remote *r = arg;
	struct copy *c = r->arg;

	if (maps_read(k->target, MAPS_PLAIN, &r->maps, &r->err) == 0)
		copy_take(c, r);
	return look_inner(k, arg);
}

/* ------------------------------------------------------------- comparing */

static bool copy_differs(const unsigned char *a, const unsigned char *b, size_t *ret_at)
{
	for (size_t i = 0; i < PAGE; i++)
		if (a[i] != b[i]) {
			*ret_at = i;
			return true;
		}
	return false;
}

static unsigned copy_compare(const struct copy *c, const struct remote *r, uint64_t *ret_addr)
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

/* ------------------------------------------------------------- the cases */

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

static void shadow_look(const struct prey *p, struct remote *r, struct copy *copy)
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
		r->act = act_reap;
		r->k.look = look_inner;
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
	remote_open(&r, v.pid, act_copy_and_shadow);
	look_inner = r.k.look;
	for (unsigned i = 0; i < p->times; i++) {
		struct copy copy = { 0 };
		pid_t pid;
		int ret;

		r.k.look = look_copy_first;
		r.act = act_copy_and_shadow;
		r.arg = &copy;
		ret = remote_once(&r);
		need(ret == 0, "shadow: %s", r.err.text);
		pid = r.shadow.pid;
		if (i < 3 || i % 8 == 0)
			shadow_look(p, &r, &copy);
		remote_end_shadow(&r);
		shadow_after(&r, pid);
		copy_free(&copy);
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

/* ----------------------------------------------------------------- drains */

struct drained {
	struct remote *r;
	struct drain d;
	struct range v[DRAIN_RANGES_MAX];
	size_t n;
	uint64_t addr, len;
	int64_t got;
	int (*step)(struct drained *x);
};

static int drain_there(void *arg)
{
	struct drained *x = arg;

	return x->step(x);
}

static int drain_run(struct drained *x, int (*step)(struct drained *))
{
	x->step = step;
	return tracer_run(x->r->k.tracer, drain_there, x);
}

static int step_open(struct drained *x)
{
	return drain_open(&x->d, &x->r->shadow, &x->r->err);
}

static int step_fill(struct drained *x)
{
	x->got = drain_fill(&x->d, x->addr, x->len, &x->r->err);
	return 0;
}

static int step_fill_ranges(struct drained *x)
{
	x->got = drain_fill_ranges(&x->d, x->v, x->n, &x->r->err);
	return 0;
}

/* A mapping of the copy that has so many bytes at least. */
static size_t copy_find(const struct copy *c, size_t len, size_t *ret_off)
{
	*ret_off = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].end - c->v[i].start >= len)
			return i;
		*ret_off += c->v[i].end - c->v[i].start;
	}
	bail("the victim has no mapping of %zu bytes", len);
}

static void drain_whole(struct drained *x, const struct copy *copy)
{
	size_t off, i = copy_find(copy, (size_t)4 << 20, &off), done = 0, at;
	size_t len = copy->v[i].end - copy->v[i].start;
	unsigned char *back = malloc(len);
	uint64_t begin = kit_now_ns();

	for (done = 0; done < len;) {
		x->addr = copy->v[i].start + done;
		x->len = len - done;
		drain_run(x, step_fill);
		need(x->got > 0, "fill: %lld %s", (long long)x->got, x->r->err.text);
		for (at = 0; at < (size_t)x->got;) {
			ssize_t n = read(x->d.fd, back + done + at, (size_t)x->got - at);

			need(n > 0, "read");
			at += (size_t)n;
		}
		done += at;
	}
	diag("%zu MiB in %llu us by a pipe of %u KiB", len >> 20,
	     (unsigned long long)(kit_now_ns() - begin) / 1000, x->d.size >> 10);
	is_int(done, len, "all came");
	is_mem(back, copy->bytes + off, len, "as it was in the instant");
	free(back);
}

static void drain_bounds(struct drained *x, const struct copy *copy)
{
	size_t off, i = copy_find(copy, (size_t)4 << 20, &off);
	uint64_t start = copy->v[i].start;
	unsigned char page[PAGE];

	x->addr = start;
	x->len = 4 << 20;
	drain_run(x, step_fill);
	is_int(x->got, x->d.size, "a full pipe takes what it has room for");
	drain_run(x, step_fill);
	is_int(x->got, -EAGAIN, "and no more");
	for (uint32_t done = 0; done < x->d.size; done += PAGE)
		need(read(x->d.fd, page, PAGE) == PAGE, "read");
	is_int(read(x->d.fd, page, PAGE), -1, "it is empty");
	for (x->n = 0; x->n < 100; x->n++)
		x->v[x->n] = (struct range){ start + x->n * 3 * PAGE,
					     start + x->n * 3 * PAGE + PAGE };
	drain_run(x, step_fill_ranges);
	is_int(x->got, 100 * PAGE, "many ranges by one call");
	for (size_t k = 0; k < 100; k++) {
		need(read(x->d.fd, page, PAGE) == PAGE, "read");
		is_mem(page, copy->bytes + off + k * 3 * PAGE, PAGE, "range %zu", k);
	}
	/* The victim's report, then nothing: so is its shadow's. */
	x->addr = REPORT_ADDR;
	x->len = 16 * PAGE;
	drain_run(x, step_fill);
	is_int(x->got, PAGE, "what cannot be read makes a short count");
	need(read(x->d.fd, page, PAGE) == PAGE, "read");
	x->addr = REPORT_ADDR + PAGE;
	drain_run(x, step_fill);
	is_int(x->got, -EFAULT, "or an error");
	is_int(read(x->d.fd, page, PAGE), -1, "and nothing went in");
}

static void drain_case(const void *arg)
{
	struct drained x = { 0 };
	struct copy copy = { 0 };
	struct victim v;
	struct remote r;

	victim_begin(&v, 0, "%s", (const char *)arg);
	remote_open(&r, v.pid, act_copy_and_shadow);
	look_inner = r.k.look;
	r.k.look = look_copy_first;
	r.arg = &copy;
	x.r = &r;
	need(remote_once(&r) == 0, "shadow: %s", r.err.text);
	need(shadow_open(&r.shadow, r.k.target, &r.err) == 0, "open: %s", r.err.text);
	need(drain_run(&x, step_open) == 0, "drain: %s", r.err.text);
	ok(x.d.size >= 65536, "the pipe has %u bytes", x.d.size);
	drain_whole(&x, &copy);
	drain_bounds(&x, &copy);
	drain_close(&x.d);
	remote_end_shadow(&r);
	copy_free(&copy);
	remote_close(&r);
	is_str(victim_harm(&v), NULL, "it is not harmed");
	victim_end(&v);
}

/* ---------------------------------------------------------------- refused */

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

/* ------------------------------------------------------------- our death */

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
	struct sweep s = { .act = remote_act_shadow, .method = CALL_FRAME };
	struct victim v;

	victim_begin(&v, p->habits, "%s", p->victim);
	s.v = &v;
	/* Its zombie is left to a target whose child it is. */
	s.quick = p->direct;
	s.step = kit_full() ? 1 : 5;
	s.first = 1 + kit_random() % s.step;
	remote_sweep(&s);
	diag("%u steps, %u deaths, %llu EINTR", s.steps, s.deaths,
	     (unsigned long long)v.report->eintr);
	ok(s.whole, "all steps were died at");
	is_int(s.harmed, 0, "not harmed: %s", s.what);
	victim_end(&v);
}

/* Not our death, but an error at each step. */
static void errors_run(const void *arg)
{
	struct sweep s = { .act = remote_act_shadow, .method = CALL_FRAME, .errors = true };
	struct victim v;

	(void)arg;
	victim_begin(&v, 0, "registers general --ms 2");
	s.v = &v;
	s.step = kit_full() ? 1 : 3;
	s.first = 1 + kit_random() % s.step;
	remote_sweep(&s);
	diag("%u steps, %u faults", s.steps, s.deaths);
	ok(s.whole, "all steps failed once");
	is_int(s.harmed, 0, "not harmed: %s", s.what);
	victim_end(&v);
}

static void control_run(const void *arg)
{
	struct sweep s = { .act = remote_act_shadow, .method = CALL_PLAIN, .quick = true };
	struct victim v;

	(void)arg;
	for (s.first = 1; !s.whole && s.killed < 1; s.first = s.last + 1) {
		victim_begin(&v, 0, "registers general --ms 2");
		s.v = &v;
		remote_sweep(&s);
		victim_end(&v);
	}
	diag("%u deaths, %u harmed, %u killed, the first: %s", s.deaths, s.harmed, s.killed,
	     s.what);
	ok(s.harmed > 0 && s.killed > 0, "the plain method is seen to kill");
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
	kit_case(drain_case, "counter --mib 8", "drain: 4 KiB pages");
	kit_case(drain_case, "counter --mib 8 --thp", "drain: huge pages");
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
