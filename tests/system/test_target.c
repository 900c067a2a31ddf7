/* SPDX-License-Identifier: MIT */
/* process/target: what can be opened, what is refused, and that nothing is touched. */
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/forked.h"
#include "lib/kit.h"
#include "process/maps.h"
#include "process/pages.h"
#include "process/target.h"
#include "sys/fault.h"
#include "tap.h"

#define NOBODY 65534

static struct caps *caps;

static unsigned fds_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Open and say what came of it; a sentence with each error, no descriptor left. */
static int try_open(pid_t pid, struct err *e)
{
	unsigned before = fds_open();
	struct target *t = NULL;
	int r;

	*e = (struct err){ "" };
	if (!caps)
		need(caps_create(&caps, NULL, e) == 0, "caps: %s", e->text);
	r = target_open(&t, pid, caps, e);
	if (r < 0)
		ok(t == NULL && e->text[0], "a sentence: %s", e->text);
	target_close(t);
	is_int(fds_open(), before, "no descriptor is left open");
	return r;
}

static void refused(pid_t pid, int code, const char *words)
{
	char text[200], *state = NULL;
	struct err e;

	is_int(try_open(pid, &e), code, "refused");
	diag("%s", e.text);
	snprintf(text, sizeof(text), "%s", words);
	for (char *w = strtok_r(text, "|", &state); w; w = strtok_r(NULL, "|", &state))
		ok(strstr(e.text, w), "\"%s\" is in: %s", w, e.text);
}

/* A child that runs fn and waits; it is there when this returns. */
static pid_t child_of(void (*fn)(void))
{
	int fds[2];
	pid_t pid;
	char c;

	need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fn)
			fn();
		if (write(fds[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	need(pid > 0 && read(fds[0], &c, 1) == 1, "child");
	close(fds[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	caps_destroy(caps);
	caps = NULL;
}

/* ------------------------------------------------------------------- good */

static void test_good(void)
{
	pid_t pid = child_of(NULL);
	unsigned before = fds_open();
	struct target *t = NULL;
	struct err e;
	char c = 0;

	need(caps_create(&caps, NULL, &e) == 0, "caps");
	is_int(target_open(&t, pid, caps, &e), 0, "open %s", e.text);
	need(t, "open");
	is_int(t->pid, pid, "pid");
	is_int(t->live, pid, "live");
	is_int(t->leader_dead, false, "leader lives");
	is_int(t->status.ppid, getpid(), "its parent");
	is_int(t->status.tracer, 0, "not traced");
	is_int(target_gone(t), false, "there");
	is_int(target_execed(t), false, "the same");
	is_int(target_in_vfork(t), false, "not in vfork");
	is_int(pread(t->mem_fd, &c, 1, (off_t)(uintptr_t)&before), 1, "its memory is read");
	is_int(pwrite(t->mem_fd, &c, 1, (off_t)(uintptr_t)&before), -1, "and not written");
	is_int(target_file(t, "no such file", O_RDONLY), -ENOENT, "no such file");
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	is_int(target_gone(t), true, "a zombie is gone");
	waitpid(pid, NULL, 0);
	is_int(target_gone(t), true, "none is gone");
	is_int(target_file(t, "maps", O_RDONLY) < 0, true, "nor has it files");
	is_int(target_in_vfork(t), false, "nor is it in vfork");
	is_int(target_coredump_filter(t), 0x33, "the default filter");
	target_close(t);
	target_close(NULL);
	is_int(fds_open(), before, "all is closed");
	end_child(pid);
}

static void child_filter(void)
{
	int fd = open("/proc/self/coredump_filter", O_WRONLY);

	if (fd < 0 || write(fd, "0x5a", 4) != 4)
		_exit(1);
	close(fd);
}

static void test_filter(void)
{
	pid_t pid = child_of(child_filter);
	struct target *t = NULL;
	struct err e;

	need(caps_create(&caps, NULL, &e) == 0 && target_open(&t, pid, caps, &e) == 0, "open");
	is_int(target_coredump_filter(t), 0x5a, "its own filter");
	target_close(t);
	end_child(pid);
}

static void test_exec(void)
{
	int go[2];
	struct target *t = NULL;
	struct err e;
	pid_t pid;
	char c;

	need(pipe2(go, 0) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(go[0], &c, 1) == 1)
			execl("/bin/sleep", "sleep", "100", NULL);
		_exit(1);
	}
	need(caps_create(&caps, NULL, &e) == 0 && target_open(&t, pid, caps, &e) == 0, "open");
	is_int(target_execed(t), false, "not yet");
	need(write(go[1], "x", 1) == 1, "go");
	for (int i = 0; i < 500 && !target_execed(t); i++)
		kit_sleep_ms(10);
	is_int(target_execed(t), true, "it is another program now");
	is_int(target_gone(t), false, "but there");
	target_close(t);
	end_child(pid);
}

/* ------------------------------------------------------------- no such process */

static void *thread_waits(void *arg)
{
	*(volatile pid_t *)arg = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static pid_t *thread_tid;

static void child_threads(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, thread_waits, thread_tid))
		_exit(1);
	while (!*(volatile pid_t *)thread_tid)
		usleep(1000);
}

static void test_none(void)
{
	pid_t pid, gone = fork();

	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	refused(gone, -ESRCH, "no such process");
	refused(0, -ESRCH, "PID 0: no such process");
	refused(-1, -ESRCH, "PID -1: no such process");
	refused(INT32_MAX, -ESRCH, "PID 2147483647: no such process");
	refused(getpid(), -ENOTSUP, "this process itself");
	thread_tid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = child_of(child_threads);
	refused(*thread_tid, -ESRCH, "is a thread of process");
	end_child(pid);
}

static void test_zombie(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	refused(pid, -ESRCH, "zombie");
	end_child(pid);
}

static void test_kernel_thread(void)
{
	struct stat st;
	char exe[8];

	if (stat("/proc/2", &st) < 0 || readlink("/proc/2/exe", exe, sizeof(exe)) >= 0)
		skip("no kernel thread is seen here");
	refused(2, -ESRCH, "kernel thread");
	caps_destroy(caps);
}

/* ------------------------------------------------------------------ not allowed */

static void become(uid_t id)
{
	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
		bail("cannot become %u", id);
	/* Changing ids takes it away. */
	prctl(PR_SET_DUMPABLE, 1);
}

static void child_nobody(void)
{
	become(NOBODY);
}

static void child_undumpable(void)
{
	become(NOBODY);
	prctl(PR_SET_DUMPABLE, 0);
}

static void child_other_group(void)
{
	if (setresgid(7, 7, 7) || setresuid(NOBODY, NOBODY, NOBODY))
		_exit(1);
	prctl(PR_SET_DUMPABLE, 1);
}

static void test_denied(void)
{
	pid_t roots = child_of(NULL), hidden = child_of(child_undumpable);
	pid_t group = child_of(child_other_group), good = child_of(child_nobody);
	struct err e;

	become(NOBODY);
	refused(roots, -EPERM, "belongs to user 0 and we are 65534|CAP_SYS_PTRACE");
	refused(group, -EPERM, "belongs to group 7");
	refused(hidden, -EPERM, "not dumpable|CAP_SYS_PTRACE");
	is_int(try_open(good, &e), 0, "control: one of our own %s", e.text);
	caps_destroy(caps);
}

static void test_hidepid(void)
{
	pid_t roots = child_of(NULL);

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, "hidepid=2"))
		skip("no mount namespace: %s", strerror(errno));
	become(NOBODY);
	refused(roots, -EPERM, "/proc does not show it|hidepid");
	caps_destroy(caps);
}

static void test_traced(void)
{
	pid_t pid = child_of(NULL), tracer;
	int fds[2];
	char c;

	need(pipe(fds) == 0, "pipe");
	tracer = fork();
	if (tracer == 0) {
		prctl(PR_SET_NAME, "my tracer");
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || write(fds[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	need(read(fds[0], &c, 1) == 1, "tracer");
	refused(pid, -EBUSY, "is traced already, by process |(my tracer)");
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	is_int(try_open(pid, &(struct err){ "" }), 0, "control: not any more");
	end_child(pid);
}

/* --------------------------------------------------------------------- 32 bits */

/* An i386 program that waits: mov eax, 29 (pause); int 0x80; jmp back. */
static const unsigned char program32[] = {
	0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	2, 0, 3, 0, 1, 0, 0, 0, 0x54, 0x80, 0x04, 0x08, 0x34, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0,
	1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08,
	0x5d, 0, 0, 0, 0x5d, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
	0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7,
};

static void test_32(void)
{
	int fd = memfd_create("program32", MFD_CLOEXEC), gone[2];
	char name[] = "program32", *argv[] = { name, NULL };
	pid_t pid;
	char c;

	need(pipe2(gone, O_CLOEXEC) == 0, "pipe");
	need(write(fd, program32, sizeof(program32)) == sizeof(program32), "program");
	fcntl(fd, F_SETFD, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fexecve(fd, argv, argv + 1);
		if (write(gone[1], "x", 1) != 1)
			_exit(2);
		_exit(1);
	}
	close(gone[1]);
	if (read(gone[0], &c, 1) == 1)
		skip("this kernel runs no 32-bit programs");
	refused(pid, -ENOTSUP, "32-bit");
	end_child(pid);
}

/* ----------------------------------------------------------------------- vfork */

static int vfork_go[2];

static __attribute__((noinline)) void child_waits(void)
{
	char c;

	if (read(vfork_go[0], &c, 1) != 1)
		_exit(1);
	_exit(0);
}

static void in_vfork(long nr)
{
	struct clone_args args = { .flags = CLONE_VFORK, .exit_signal = SIGCHLD };
	long r;

	if (nr == SYS_clone)
		r = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
	else
		r = syscall(SYS_clone3, &args, sizeof(args));
	if (r == 0)
		child_waits();
}

static void *thread_vforks(void *arg)
{
	in_vfork((long)(intptr_t)arg);
	for (;;)
		pause();
	return NULL;
}

struct vfork_case {
	long nr;
	bool thread;
};

static void test_vfork(const void *arg)
{
	const struct vfork_case *c = arg;
	struct err e = { "" };
	pthread_t t;
	pid_t pid;
	int r = 0;

	need(pipe(vfork_go) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (c->thread && pthread_create(&t, NULL, thread_vforks, (void *)(intptr_t)c->nr))
			_exit(1);
		if (!c->thread)
			in_vfork(c->nr);
		for (;;)
			pause();
	}
	for (int i = 0; i < 300 && r != -EAGAIN; i++) {
		r = try_open(pid, &e);
		kit_sleep_ms(10);
	}
	is_int(r, -EAGAIN, "in vfork: %s", e.text);
	need(write(vfork_go[1], "x", 1) == 1, "go");
	for (int i = 0; i < 300 && r == -EAGAIN; i++) {
		r = try_open(pid, &e);
		kit_sleep_ms(10);
	}
	is_int(r, 0, "control: the child has exited: %s", e.text);
	end_child(pid);
}

/* ----------------------------------------------------------------- dead leader */

static void *thread_serves(void *arg)
{
	struct pollfd p = { .fd = (int)(intptr_t)arg, .events = POLLIN };

	poll(&p, 1, -1); /* until it is told to end */
	return NULL;
}

static void child_leader_exits(int fds[2])
{
	pthread_t t;

	child_filter();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pthread_create(&t, NULL, thread_serves, (void *)(intptr_t)fds[0]) ||
	    pthread_create(&t, NULL, thread_waits, thread_tid))
		_exit(1);
	while (!*(volatile pid_t *)thread_tid)
		usleep(1000);
	pthread_exit(NULL);
}

static char state_of(pid_t pid)
{
	struct proc_stat st = { .state = 0 };
	char path[40];
	int dir;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	(void)procfs_stat(dir, &st);
	close(dir);
	return st.state;
}

static void test_dead_leader(void)
{
	struct maps m = MAPS_INIT;
	struct target *t = NULL;
	struct err e = { "" };
	static const uint64_t value = 0x1234567812345678;
	uint64_t got = 0;
	int fds[2], fd;
	pid_t pid, live;

	thread_tid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(pipe2(fds, 0) == 0 && caps_create(&caps, NULL, &e) == 0, "pipe");
	pid = fork();
	if (pid == 0)
		child_leader_exits(fds);
	for (int i = 0; i < 300 && state_of(pid) != 'Z'; i++)
		kit_sleep_ms(10);
	is_int(state_of(pid), 'Z', "the leader is a zombie");
	is_int(target_open(&t, pid, caps, &e), 0, "open: %s", e.text);
	need(t, "open");
	is_int(t->leader_dead, true, "says so");
	ok(t->live != pid && t->live > 0, "another thread speaks for it");
	is_int(t->status.pid, t->live, "whose status it has");
	is_int(t->status.tgid, pid, "of this process");
	is_int(target_gone(t), false, "it is not gone");
	is_int(target_coredump_filter(t), 0x5a, "its own filter");
	is_int(maps_read(t, MAPS_SMAPS, &m, &e), 0, "maps: %s", e.text);
	is_int(pages_read(t, PAGES_LIVE, (uintptr_t)&value, &got, 8), 8, "memory");
	ok(got == value, "is right");
	live = t->live;
	if (live == *thread_tid)
		skip("the other thread was chosen");
	close(fds[0]);
	need(write(fds[1], "x", 1) == 1 || errno == EPIPE, "end it");
	for (int i = 0; i < 300 && state_of(live) != 0; i++)
		kit_sleep_ms(10);
	fd = target_file(t, "maps", O_RDONLY);
	ok(fd >= 0, "that thread has ended: another has the files: %d", fd);
	close(fd);
	is_int(maps_read(t, MAPS_PLAIN, &m, &e), 0, "maps: %s", e.text);
	got = 0;
	is_int(pages_read(t, PAGES_LIVE, (uintptr_t)&value, &got, 8), 8, "memory");
	ok(got == value, "is right");
	maps_free(&m);
	target_close(t);
	end_child(pid);
}

/* ------------------------------------------------------------------ namespaces */

static pid_t inner_pid(pid_t outer)
{
	char text[32] = "", path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", outer, outer);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 1)
		return 0;
	close(fd);
	return atoi(text);
}

static void child_namespaces(void)
{
	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/proc", "tmpfs", 0, NULL))
		_exit(1);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			setpgid(0, 0);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
}

static void child_user_namespace(void)
{
	if (unshare(CLONE_NEWUSER))
		_exit(1);
}

/* The family as it is seen from within: from above, 0 is what it sees. */
static void namespace_opens(pid_t pid, pid_t want_ns_pid, struct target_family want)
{
	struct target_family got;
	struct target *t = NULL;
	struct maps m = MAPS_INIT;
	struct err e = { "" };

	is_int(target_open(&t, pid, caps, &e), 0, "open: %s", e.text);
	need(t, "open");
	is_int(t->status.ns_pid, want_ns_pid, "its pid, as it sees it");
	is_int(maps_read(t, MAPS_PLAIN, &m, &e), 0, "maps: %s", e.text);
	got = target_family(t);
	is_int(got.ppid, want.ppid, "its parent");
	is_int(got.pgrp, want.pgrp, "its process group");
	is_int(got.sid, want.sid, "its session");
	maps_free(&m);
	target_close(t);
}

static void test_namespaces(void)
{
	pid_t pid, init, grandchild;

	need(caps_create(&caps, NULL, NULL) == 0, "caps");
	if (unshare(CLONE_NEWNS))
		skip("no namespaces");
	pid = child_of(child_namespaces);
	init = inner_pid(pid);
	need(init > 0, "the inner init");
	for (int i = 0; i < 300 && inner_pid(init) == 0; i++)
		kit_sleep_ms(10);
	grandchild = inner_pid(init);
	namespace_opens(init, 1, (struct target_family){ 0, 0, 0 });
	/* It makes a process group once it is there. */
	for (int i = 0; i < 300 && getpgid(grandchild) != grandchild; i++)
		kit_sleep_ms(10);
	namespace_opens(grandchild, 2, (struct target_family){ 1, 2, 0 });
	kill(init, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = child_of(child_user_namespace);
	namespace_opens(pid, pid,
			(struct target_family){ getpid(), getpgid(pid), getsid(pid) });
	end_child(pid);
}

/* --------------------------------------------------------------------- the rest */

#define MANY 1000

static void child_many_threads(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < MANY; i++)
		if (pthread_create(&t, &attr, thread_waits, thread_tid))
			_exit(1);
}

static void test_many_threads(void)
{
	struct err e = { "" };
	uint64_t before;
	pid_t pid;

	thread_tid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = child_of(child_many_threads);
	before = kit_now_ns();
	is_int(try_open(pid, &e), 0, "open: %s", e.text);
	diag("%d threads: %llu us", MANY, (unsigned long long)(kit_now_ns() - before) / 1000);
	end_child(pid);
}

#ifdef DECANT_FAULTS
static void test_faults(void)
{
	pid_t pid = child_of(NULL);
	struct err e;
	unsigned long n;
	int r;

	is_int(try_open(pid, &e), 0, "open");
	for (n = 1; n < 200; n++) {
		sys_fault_arm(&(struct sys_fault_plan){ .nth = n });
		r = try_open(pid, &e);
		sys_fault_disarm();
		if (sys_fault_fired() == 0)
			break;
		diag("call %lu (%s): %d %s", n, sys_fault_fired_name(), r, e.text);
	}
	is_int(r, 0, "without a fault it opens");
	ok(n > 15 && n < 200, "%lu calls", n - 1);
	end_child(pid);
}
#endif

int main(void)
{
	static const struct vfork_case vforks[] = {
		{ SYS_clone, false }, { SYS_clone3, false },
		{ SYS_clone, true }, { SYS_clone3, true },
	};

	need_root();
	kit_start(120);
	tap_case("a child", test_good);
	tap_case("the filter of cores", test_filter);
	tap_case("exec", test_exec);
	tap_case("none, ourselves, a thread", test_none);
	tap_case("a zombie", test_zombie);
	tap_case("a kernel thread", test_kernel_thread);
	tap_case("not allowed", test_denied);
	tap_case("hidden", test_hidepid);
	tap_case("traced", test_traced);
	tap_case("32 bits", test_32);
	for (size_t i = 0; i < 4; i++)
		kit_case(test_vfork, &vforks[i], "vfork by clone%s, in %s",
			 vforks[i].nr == SYS_clone3 ? "3" : "",
			 vforks[i].thread ? "a thread" : "main");
	tap_case("a dead leader", test_dead_leader);
	tap_case("namespaces", test_namespaces);
	tap_case("a thousand threads", test_many_threads);
#ifdef DECANT_FAULTS
	tap_case("each call fails once", test_faults);
#endif
	return done();
}
