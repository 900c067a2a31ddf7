/* SPDX-License-Identifier: MIT */
/* process/target: what is not opened, and the sentence that says why; nothing is touched. */
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/child.h"
#include "lib/kit.h"
#include "lib/opening.h"
#include "tap.h"

#define NOBODY 65534

/* ---------------------------------------------------------- no such process */

static pid_t *thread_tid;

static void child_threads(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, child_waiter, thread_tid))
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
	opening_refused(gone, -ESRCH, "no such process");
	opening_refused(0, -ESRCH, "PID 0: no such process");
	opening_refused(-1, -ESRCH, "PID -1: no such process");
	opening_refused(INT32_MAX, -ESRCH, "PID 2147483647: no such process");
	opening_refused(getpid(), -ENOTSUP, "this process itself");
	thread_tid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = child_of(child_threads);
	opening_refused(*thread_tid, -ESRCH, "is a thread of process");
	opening_end(pid);
}

static void test_zombie(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	opening_refused(pid, -ESRCH, "zombie");
	opening_end(pid);
}

static void test_kernel_thread(void)
{
	struct stat st;
	char exe[8];

	if (stat("/proc/2", &st) < 0 || readlink("/proc/2/exe", exe, sizeof(exe)) >= 0)
		skip("no kernel thread is seen here");
	opening_refused(2, -ESRCH, "kernel thread");
	caps_destroy(opening_caps);
}

/* -------------------------------------------------------------- not allowed */

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
	opening_refused(roots, -EPERM, "belongs to user 0 and we are 65534|CAP_SYS_PTRACE");
	opening_refused(group, -EPERM, "belongs to group 7");
	opening_refused(hidden, -EPERM, "not dumpable|CAP_SYS_PTRACE");
	is_int(opening_try(good, &e), 0, "control: one of our own %s", e.text);
	caps_destroy(opening_caps);
}

static void test_hidepid(void)
{
	pid_t roots = child_of(NULL);

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, "hidepid=2"))
		skip("no mount namespace: %s", strerror(errno));
	become(NOBODY);
	opening_refused(roots, -EPERM, "/proc does not show it|hidepid");
	caps_destroy(opening_caps);
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
	opening_refused(pid, -EBUSY, "is traced already, by process |(my tracer)");
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	is_int(opening_try(pid, &(struct err){ "" }), 0, "control: not any more");
	opening_end(pid);
}

/* ------------------------------------------------------------------ 32 bits */

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
	opening_refused(pid, -ENOTSUP, "32-bit");
	opening_end(pid);
}

/* -------------------------------------------------------------------- vfork */

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
		r = opening_try(pid, &e);
		kit_sleep_ms(10);
	}
	is_int(r, -EAGAIN, "in vfork: %s", e.text);
	need(write(vfork_go[1], "x", 1) == 1, "go");
	for (int i = 0; i < 300 && r == -EAGAIN; i++) {
		r = opening_try(pid, &e);
		kit_sleep_ms(10);
	}
	is_int(r, 0, "control: the child has exited: %s", e.text);
	opening_end(pid);
}

int main(void)
{
	static const struct vfork_case vforks[] = {
		{ SYS_clone, false }, { SYS_clone3, false },
		{ SYS_clone, true }, { SYS_clone3, true },
	};

	need_root();
	kit_start(120);
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
	return done();
}
