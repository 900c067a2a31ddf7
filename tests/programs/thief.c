/* SPDX-License-Identifier: MIT */
/*
 * Becomes somebody else while its supervisor stands in the middle of a call
 * (DECANT_FAULT=N:name:stop): is anything done to that one?
 *	program-thief recycle HOW   the caller is killed, and a bystander gets its number
 *	program-thief exec HOW      another thread executes an image of its own
 *	program-thief swap HOW      the pipe becomes a file, open for reading only
 * HOW: write, full (the pipe), read (vmsplice), copy, pos (sendfile, the latter
 * from where the file stands).  What the call
 * is about: the memory at PLACE, the descriptors PIPE and FILE.  The bystander
 * (or the new image) has others of the same numbers, full of 'b'.
 * Prints one line: what came of the stop (not-stopped, held, same-number,
 * became), and "ok" or what was done to the bystander.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE ((char *)0x600000000000)
#define PLACE_LEN 8192
#define LEN 4096
#define PIPE 50     /* the end that the call is about */
#define PIPE_IN 51  /* its other end */
#define FILE_IN 52
#define TOGETHER 60 /* a memfd of struct together */

struct together {
	_Atomic int go, up;   /* nobody else has to be let go by a tracer any more */
	_Atomic int stopped;  /* the supervisor stands */
	_Atomic int ready;    /* the other one is there */
	_Atomic int check;    /* all is over: look */
	_Atomic int done;     /* the call returned */
	_Atomic int checked;
	char what[32], said[200];
};

static struct together *both;
static const char *how;

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!both->said[0])
		(void)vsnprintf(both->said, sizeof(both->said), format, args);
	va_end(args);
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool wait_for(const _Atomic int *what, int ms)
{
	for (; !*what && ms > 0; ms--)
		(void)usleep(1000);
	return *what;
}

static void map_together(void)
{
	both = mmap(NULL, sizeof(*both), PROT_READ | PROT_WRITE, MAP_SHARED, TOGETHER, 0);
	if (both == MAP_FAILED)
		_exit(90);
}

/* Memory, a pipe and a file of this letter, at the numbers that calls are about. */
static void own(char letter)
{
	static char text[65536];
	int p[2], file = memfd_create("own", 0);
	bool reads = is(how, "read");

	memset(text, letter, sizeof(text));
	if (mmap(PLACE, PLACE_LEN, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != PLACE ||
	    pipe2(p, O_NONBLOCK) < 0 || file < 0 || pwrite(file, text, 65536, 0) != 65536)
		_exit(91);
	memset(PLACE, letter, PLACE_LEN);
	if (is(how, "copy"))
		memset(PLACE, 0, 8); /* the offset */
	if ((reads || is(how, "full")) && write(p[1], text, reads ? LEN : 65536) < 0)
		_exit(92);
	(void)fcntl(p[!reads], F_SETFL, 0);
	if (dup2(p[!reads], PIPE) < 0 || dup2(p[reads], PIPE_IN) < 0 || dup2(file, FILE_IN) < 0)
		_exit(93);
	if (letter != 'p' && is(how, "full")) /* there is room in this one */
		(void)!read(PIPE_IN, text, sizeof(text));
	(void)close(p[0]);
	(void)close(p[1]);
	(void)close(file);
}

/*
 * At an address that every image of this program has, which is not relocated:
 * where a supervisor lays the arguments of calls of its own below the stack.
 */
static unsigned char stack[4096] __attribute__((aligned(16))) = { 's' };

/* Everything of 'b' is as it was. */
static void check_own(void)
{
	static char text[65536];
	ssize_t n;

	for (int i = is(how, "copy") ? 8 : 0; i < PLACE_LEN; i++)
		if (PLACE[i] != 'b')
			say("memory was changed at %d: %d", i, PLACE[i]);
	if (is(how, "copy") && *(uint64_t *)PLACE)
		say("memory was changed: an offset %lu", *(unsigned long *)PLACE);
	for (size_t i = 1; i < sizeof(stack); i++)
		if (stack[i])
			say("its data were changed at %zu: %d", i, stack[i]);
	if (lseek(FILE_IN, 0, SEEK_CUR) != 0)
		say("the file was read from");
	if (is(how, "read")) {
		(void)fcntl(PIPE, F_SETFL, O_NONBLOCK);
		n = read(PIPE, text, sizeof(text));
		if (n != LEN)
			say("the pipe was read from: %zd are left", n);
	} else {
		n = read(PIPE_IN, text, sizeof(text));
		if (n >= 0)
			say("the pipe was written to: %zd", n);
	}
}

static long call_there(const struct iovec *iov)
{
	long r;

	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %[flags], %%r10\n\t"
			 "mov %[top], %%rsp\n\t"
			 "syscall\n\t"
			 "mov %%rbx, %%rsp"
			 : "=a"(r)
			 : "0"(278L), "D"((long)PIPE), "S"(iov), "d"(1L), [flags] "r"(0L),
			   [top] "r"(stack + sizeof(stack) - 64)
			 : "rbx", "rcx", "r10", "r11", "memory");
	return r;
}

static void call(void)
{
	static struct iovec iov = { PLACE, LEN };

	if (is(how, "full"))
		(void)call_there(&iov);
	else if (is(how, "pos"))
		(void)sendfile(PIPE, FILE_IN, NULL, LEN);
	else if (is(how, "copy"))
		(void)sendfile(PIPE, FILE_IN, (off_t *)PLACE, LEN);
	else
		(void)vmsplice(PIPE, &iov, 1, 0);
	both->done = 1;
}

/* What came out of the caller's pipe is the caller's. */
static void check_pipe(void)
{
	static char text[65536];
	ssize_t n = is(how, "read") ? 0 : read(PIPE_IN, text, sizeof(text));

	for (ssize_t i = 0; i < n; i++)
		if (text[i] == 'b') {
			say("what is the bystander's is in the pipe at %zd", i);
			break;
		}
}

static char state_of(pid_t pid)
{
	char path[64], text[512], *at;
	int fd, n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : (int)read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

/* false: the call returned, or nothing came of it. */
static bool supervisor_stands(pid_t supervisor)
{
	for (int ms = 0; ms < 3000 && !both->done; ms++, usleep(1000))
		if (state_of(supervisor) == 'T')
			return true;
	return false;
}

/* It goes on, and has the time to do what it wants to do. */
static void let_go(pid_t supervisor)
{
	(void)kill(supervisor, SIGCONT);
	(void)usleep(60000);
}

static int tell(void)
{
	check_pipe();
	(void)dprintf(1, "%s %s\n", both->what, both->said[0] ? both->said : "ok");
	return 0;
}

/* ---------------------------------------------------------------- recycle */

static void bystander(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	own('b');
	both->ready = 1;
	if (!wait_for(&both->check, 10000))
		_exit(1);
	check_own();
	_exit(0);
}

/* A child with this number; 0: it cannot be had. */
static pid_t child_numbered(pid_t number)
{
	for (int i = 0; i < 20; i++) {
		int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
		pid_t pid;

		if (fd < 0 || dprintf(fd, "%d", (int)number - 1) < 0)
			return 0;
		(void)close(fd);
		pid = fork();
		if (pid == 0 && getpid() == number)
			bystander();
		if (pid == 0)
			_exit(0);
		if (pid == number)
			return pid;
		(void)waitpid(pid, NULL, 0);
	}
	return 0;
}

static bool reaped(pid_t pid, int ms)
{
	for (; ms > 0; ms--, usleep(1000))
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
	return false;
}

static int recycle(pid_t supervisor)
{
	pid_t caller = fork(), other = 0;

	if (caller == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (wait_for(&both->go, 10000))
			call();
		_exit(0);
	}
	both->go = 1;
	(void)strcpy(both->what, "not-stopped");
	if (!supervisor_stands(supervisor)) {
		(void)kill(caller, SIGKILL);
		(void)waitpid(caller, NULL, 0);
		return tell();
	}
	(void)kill(caller, SIGKILL);
	(void)strcpy(both->what, "held");
	if (reaped(caller, 100)) {
		other = child_numbered(caller);
		(void)strcpy(both->what, other ? "same-number" : "other-number");
	}
	if (other && !wait_for(&both->ready, 5000))
		say("no bystander");
	let_go(supervisor);
	both->check = 1;
	if (other && !reaped(other, 5000))
		say("the bystander stands");
	else if (!other)
		(void)reaped(caller, 5000);
	return tell();
}

/* -------------------------------------------------------------- exec, swap */

static void *become(void *arg)
{
	char *const argv[] = { (char *)"thief", (char *)"landed", (char *)how, NULL };

	both->up++;
	if (!wait_for(&both->stopped, 20000))
		return NULL;
	if (is(arg, "exec")) {
		(void)execve("/proc/self/exe", argv, environ);
		_exit(94);
	}
	/* Open for reading, where it was the end to write to. */
	(void)dup2(open("/proc/self/fd/52", O_RDONLY | O_CLOEXEC), PIPE);
	both->ready = 1;
	return NULL;
}

static int landed(void)
{
	map_together();
	own('b');
	both->ready = 1;
	if (!wait_for(&both->check, 10000))
		return 1;
	check_own();
	both->checked = 1;
	return 0;
}

static void check_file(void)
{
	static char text[65536];

	if (pread(FILE_IN, text, sizeof(text), 0) != 65536 ||
	    memchr(text, 'p', 65536) != text || memcmp(text, text + 1, 65535) != 0)
		say("the file was written to");
}

/* The one that lets the supervisor go on; the caller's pipe is its own, too. */
static int beside(pid_t supervisor, pid_t caller, bool exec)
{
	both->up++;
	(void)strcpy(both->what, "not-stopped");
	if (!supervisor_stands(supervisor)) {
		(void)kill(caller, SIGKILL);
		return tell();
	}
	both->stopped = 1;
	(void)strcpy(both->what, wait_for(&both->ready, 150) ? "became" : "held");
	let_go(supervisor);
	if (exec && !wait_for(&both->ready, 5000))
		say("the new image does not run");
	both->check = 1;
	if (exec && !wait_for(&both->checked, 5000))
		say("the new image did not end well");
	if (!exec)
		check_file();
	if (!exec)
		(void)kill(caller, SIGKILL);
	return tell();
}

static int race(pid_t supervisor, const char *what)
{
	pid_t self = getpid(), pid = fork();
	pthread_t thread;

	if (pid == 0)
		_exit(beside(supervisor, self, is(what, "exec")));
	if (pid < 0 || pthread_create(&thread, NULL, become, (void *)what))
		return 1;
	while (both->up < 2)
		(void)usleep(1000);
	call();
	(void)waitpid(pid, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t supervisor = getppid();
	int fd;

	if (argc != 3)
		return 2;
	how = argv[2];
	if (is(argv[1], "landed"))
		return landed();
	fd = memfd_create("together", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*both)) < 0 || dup2(fd, TOGETHER) < 0)
		return 1;
	map_together();
	own('p');
	if (is(argv[1], "recycle"))
		return recycle(supervisor);
	return race(supervisor, argv[1]);
}
