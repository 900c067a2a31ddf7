/* SPDX-License-Identifier: MIT */
/*
 * hole: one sendfile() by the instruction itself: "old" or "new".
 * hole exec FILE...: executes FILE with an empty environment.
 * hole life: what programs do that makes life hard for a library in them; "ok".
 * hole quiet, killed: one sendfile(), and an end without exit().
 * hole late: says that it runs, and makes its call when its parent is gone.
 * hole deny, ring: the errno of vmsplice(), of io_uring_setup().
 * hole blocked: its pid, and a vmsplice() to a full pipe that SIGUSR1 empties.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN 8192

static char text[LEN];

/* 1: the reader gets what the file held at the call; 0: what it held later; -1: neither. */
static int is_stable(long (*send)(int out, int in, off64_t *off, size_t len))
{
	int fd = memfd_create("hole", MFD_CLOEXEC), p[2];
	off64_t off = 0;
	long r;

	if (fd < 0 || pipe2(p, O_CLOEXEC) < 0)
		return -1;
	memset(text, 'o', LEN);
	if (pwrite(fd, text, LEN, 0) != LEN)
		return -1;
	r = send(p[1], fd, &off, LEN);
	memset(text, 'n', LEN);
	if (r != LEN || off != LEN || pwrite(fd, text, LEN, 0) != LEN ||
	    read(p[0], text, LEN) != LEN)
		return -1;
	(void)close(fd);
	(void)close(p[0]);
	(void)close(p[1]);
	return text[0] == 'o' && text[LEN - 1] == 'o' ? 1 : text[0] == 'n' ? 0 : -1;
}

static long by_libc(int out, int in, off64_t *off, size_t len)
{
	return sendfile(out, in, off, len);
}

static long by_number(int out, int in, off64_t *off, size_t len)
{
	return syscall(SYS_sendfile, out, in, off, len);
}

static long by_instruction(int out, int in, off64_t *off, size_t len)
{
	register size_t r10 __asm__("r10") = len;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(SYS_sendfile), "D"(out), "S"(in), "d"(off), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

static long by_dlsym(int out, int in, off64_t *off, size_t len)
{
	ssize_t (*fn)(int, int, off64_t *, size_t);
	void *p = dlsym(RTLD_DEFAULT, "sendfile64");

	memcpy(&fn, &p, sizeof(fn));
	return fn ? fn(out, in, off, len) : -1;
}

/* ------------------------------------------------------------------- life */

static int wrong;

static void expect(const char *what, int got)
{
	if (got != 1)
		wrong += printf("%s: %d\n", what, got) > 0;
}

static void *thread(void *arg)
{
	int *ret = arg;

	*ret = 1;
	for (int i = 0; i < 200; i++) {
		int r = 1;
		struct iovec iov = { &r, sizeof(r) };
		off64_t off = 0;
		char out[64], in[64];
		int fd = memfd_create("hole", MFD_CLOEXEC), p[2];

		memset(in, 'a' + i % 26, sizeof(in));
		if (pipe2(p, O_CLOEXEC) < 0 || write(fd, in, sizeof(in)) != sizeof(in) ||
		    sendfile(p[1], fd, &off, sizeof(in)) != sizeof(in) ||
		    read(p[0], out, sizeof(out)) != sizeof(out) ||
		    memcmp(in, out, sizeof(in)) != 0 ||
		    vmsplice(p[1], &iov, 1, 0) != sizeof(r))
			*ret = -1;
		(void)close(fd);
		(void)close(p[0]);
		(void)close(p[1]);
	}
	return NULL;
}

static void threads(void)
{
	pthread_attr_t attr;
	pthread_t t[16];
	int ret[16];

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
	for (int i = 0; i < 16; i++)
		if (pthread_create(&t[i], &attr, thread, &ret[i]))
			ret[i] = -1;
	for (int i = 0; i < 16; i++) {
		(void)pthread_join(t[i], NULL);
		expect("a thread with a small stack", ret[i]);
	}
}

static volatile int in_handler;

static void on_signal(int sig)
{
	(void)sig;
	in_handler = is_stable(by_libc);
}

/* A handler on a stack as small as can be. */
static void handler(void)
{
	static char stack[16384];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	(void)sigaltstack(&alt, NULL);
	(void)sigaction(SIGUSR1, &act, NULL);
	(void)raise(SIGUSR1);
	expect("in a handler", in_handler);
}

static int child_of(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
		       WEXITSTATUS(status) : -1;
}

static void children(char *self)
{
	char *const args[] = { self, (char *)"quiet", NULL };
	char *const none[] = { NULL };
	pid_t pid = fork();

	if (pid == 0)
		_exit(is_stable(by_libc));
	expect("after fork", child_of(pid));
	pid = vfork();
	if (pid == 0) {
		(void)execve("/proc/self/exe", args, none);
		_exit(100);
	}
	expect("after vfork and exec, environment cleaned", child_of(pid));
	if (posix_spawn(&pid, self, NULL, NULL, args, none))
		pid = -1;
	expect("by posix_spawn", child_of(pid));
	(void)clearenv();
	pid = fork();
	if (pid == 0) {
		(void)execl(self, self, "quiet", (char *)NULL);
		_exit(100);
	}
	expect("after clearenv and execl", child_of(pid));
	pid = fork();
	if (pid == 0) {
		closefrom(0);
		(void)execle(self, self, "quiet", (char *)NULL, none);
		_exit(100);
	}
	expect("after all descriptors were closed, and exec", child_of(pid));
}

static void say_errno(long r)
{
	const char *name = r < 0 ? strerrorname_np(errno) : "none";

	printf("%s\n", name ? name : "unknown");
}

static void deny(void)
{
	struct iovec iov = { text, LEN };
	int p[2];

	if (pipe(p) == 0)
		say_errno(vmsplice(p[1], &iov, 1, 0));
}

/* The call that fails has errno; what it did otherwise is old or new. */
static void late(void)
{
	pid_t parent = getppid();
	int r;

	printf("here\n");
	for (int ms = 0; getppid() == parent && ms < 10000; ms++)
		(void)usleep(1000);
	errno = 0;
	r = is_stable(by_libc);
	if (r < 0)
		say_errno(-1);
	else
		printf(r ? "old\n" : "new\n");
}

static int full[2], calls;

static void on_empty(int sig)
{
	static char rest[65536];

	(void)sig;
	if (read(full[0], rest, sizeof(rest)) < 0)
		_exit(1);
}

static void blocked(void)
{
	static char rest[65536];
	struct sigaction act = { .sa_handler = on_empty, .sa_flags = SA_RESTART };
	struct iovec iov = { text, 4096 };
	ssize_t r;

	(void)sigaction(SIGUSR1, &act, NULL);
	if (pipe(full) < 0 || write(full[1], rest, sizeof(rest)) != sizeof(rest))
		_exit(1);
	printf("%d\n", (int)getpid());
	do {
		calls++;
		r = vmsplice(full[1], &iov, 1, 0);
	} while (r < 0 && errno == EINTR);
	printf("%zd %s\n", r, calls == 1 ? "once" : "again");
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

int main(int argc, char **argv)
{
	char *const none[] = { NULL };

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && is(argv[1], "deny"))
		return deny(), 0;
	if (argc > 1 && is(argv[1], "late"))
		return late(), 0;
	if (argc > 1 && is(argv[1], "blocked"))
		return blocked(), 0;
	if (argc > 1 && is(argv[1], "ring"))
		return say_errno(syscall(SYS_io_uring_setup, 0, NULL)), 0;
	if (argc > 1 && is(argv[1], "killed")) {
		(void)is_stable(by_libc);
		(void)raise(SIGKILL);
	}

	if (argc > 2 && strcmp(argv[1], "exec") == 0) {
		(void)execve(argv[2], argv + 2, none);
		return 126;
	}
	if (argc > 1 && strcmp(argv[1], "quiet") == 0)
		_exit(is_stable(by_libc));
	if (argc > 1 && strcmp(argv[1], "life") == 0) {
		expect("by number", is_stable(by_number));
		expect("by dlsym", is_stable(by_dlsym));
		threads();
		handler();
		children(argv[0]);
		if (!wrong)
			printf("ok\n");
		return !!wrong;
	}
	printf("%s\n", is_stable(by_instruction) == 1 ? "old" : "new");
	return 0;
}
