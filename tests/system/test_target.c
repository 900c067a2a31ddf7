/* SPDX-License-Identifier: MIT */
/*
 * process/target: what is known of one that was opened: plain ones, after exec,
 * with a dead leader, in other namespaces, with many threads.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/opening.h"
#include "process/maps.h"
#include "process/pages.h"
#include "process/target.h"
#include "sys/fault.h"
#include "tap.h"

static void test_good(void)
{
	pid_t pid = child_of(NULL);
	unsigned before = kit_fds_open();
	struct target *t = NULL;
	struct err e;
	char c = 0;

	need(caps_create(&opening_caps, NULL, &e) == 0, "caps");
	is_int(target_open(&t, pid, opening_caps, &e), 0, "open %s", e.text);
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
	is_int(kit_fds_open(), before, "all is closed");
	opening_end(pid);
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

	need(caps_create(&opening_caps, NULL, &e) == 0 &&
	     target_open(&t, pid, opening_caps, &e) == 0, "open");
	is_int(target_coredump_filter(t), 0x5a, "its own filter");
	target_close(t);
	opening_end(pid);
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
	need(caps_create(&opening_caps, NULL, &e) == 0 &&
	     target_open(&t, pid, opening_caps, &e) == 0, "open");
	is_int(target_execed(t), false, "not yet");
	need(write(go[1], "x", 1) == 1, "go");
	for (int i = 0; i < 500 && !target_execed(t); i++)
		kit_sleep_ms(10);
	is_int(target_execed(t), true, "it is another program now");
	is_int(target_gone(t), false, "but there");
	target_close(t);
	opening_end(pid);
}

/* -------------------------------------------------------------- dead leader */

static pid_t *thread_tid;

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
	    pthread_create(&t, NULL, child_waiter, thread_tid))
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
	need(pipe2(fds, 0) == 0 && caps_create(&opening_caps, NULL, &e) == 0, "pipe");
	pid = fork();
	if (pid == 0)
		child_leader_exits(fds);
	for (int i = 0; i < 300 && state_of(pid) != 'Z'; i++)
		kit_sleep_ms(10);
	is_int(state_of(pid), 'Z', "the leader is a zombie");
	is_int(target_open(&t, pid, opening_caps, &e), 0, "open: %s", e.text);
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
	opening_end(pid);
}

/* --------------------------------------------------------------- namespaces */

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

	is_int(target_open(&t, pid, opening_caps, &e), 0, "open: %s", e.text);
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

	need(caps_create(&opening_caps, NULL, NULL) == 0, "caps");
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
	opening_end(pid);
}

/* ----------------------------------------------------------------- the rest */

#define MANY 1000

static void child_many_threads(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < MANY; i++)
		if (pthread_create(&t, &attr, child_waiter, thread_tid))
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
	is_int(opening_try(pid, &e), 0, "open: %s", e.text);
	diag("%d threads: %llu us", MANY, (unsigned long long)(kit_now_ns() - before) / 1000);
	opening_end(pid);
}

#ifdef DECANT_FAULTS
static void test_faults(void)
{
	pid_t pid = child_of(NULL);
	struct err e;
	unsigned long n;
	int r;

	is_int(opening_try(pid, &e), 0, "open");
	for (n = 1; n < 200; n++) {
		sys_fault_arm(&(struct sys_fault_plan){ .nth = n });
		r = opening_try(pid, &e);
		sys_fault_disarm();
		if (sys_fault_fired() == 0)
			break;
		diag("call %lu (%s): %d %s", n, sys_fault_fired_name(), r, e.text);
	}
	is_int(r, 0, "without a fault it opens");
	ok(n > 15 && n < 200, "%lu calls", n - 1);
	opening_end(pid);
}
#endif

int main(void)
{
	need_root();
	kit_start(120);
	tap_case("a child", test_good);
	tap_case("the filter of cores", test_filter);
	tap_case("exec", test_exec);
	tap_case("a dead leader", test_dead_leader);
	tap_case("namespaces", test_namespaces);
	tap_case("a thousand threads", test_many_threads);
#ifdef DECANT_FAULTS
	tap_case("each call fails once", test_faults);
#endif
	return done();
}
