/* SPDX-License-Identifier: MIT */
/* sys/: the gate through which calls are made to fail, come short, or kill. */
#include <fcntl.h>
#include <pthread.h>

#include "base/buf.h"
#include "lib/kit.h"
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

static int null_fd, zero_fd;

static int file_of(size_t len)
{
	int fd = sys_memfd_create("test", 0);

	need(fd >= 0 && sys_ftruncate(fd, len) == 0, "memory file");
	return fd;
}

static void arm(enum sys_fault_mode mode, unsigned long nth, const char *name, int error)
{
	sys_fault_arm(&(struct sys_fault_plan){
		.mode = mode, .nth = nth, .name = name, .error = error });
}

static void test_nth(void)
{
	char c;

	for (unsigned long n = 1; n <= 5; n++) {
		arm(SYS_FAULT_ERROR, n, NULL, 0);
		for (unsigned long i = 1; i <= 7; i++)
			is_int(sys_pread(zero_fd, &c, 1, 0), i == n ? -EIO : 1, "call %lu of %lu",
			       i, n);
		is_int(sys_fault_calls(), 7, "calls are counted");
		is_int(sys_fault_fired(), 1, "it fired once");
		is_str(sys_fault_fired_name(), "pread", "and says where");
	}
	arm(SYS_FAULT_ERROR, 100, NULL, 0);
	is_int(sys_pread(zero_fd, &c, 1, 0), 1, "too few calls: nothing fails");
	is_int(sys_fault_fired(), 0, "control: and it says so");
	ok(sys_fault_fired_name() == NULL, "no name then");
	sys_fault_disarm();
	is_int(sys_fault_calls(), 1, "disarmed, the count stays");
	(void)sys_pread(zero_fd, &c, 1, 0);
	is_int(sys_fault_calls(), 1, "and does not go on");
	arm(SYS_FAULT_ERROR, 0, NULL, 0);
	for (int i = 0; i < 3; i++)
		is_int(sys_pread(zero_fd, &c, 1, 0), 1, "nth 0 only counts");
	is_int(sys_fault_calls(), 3, "it counts");
	sys_fault_arm(&(struct sys_fault_plan){ .nth = 2, .repeat = 2 });
	for (int i = 1; i <= 5; i++)
		is_int(sys_pread(zero_fd, &c, 1, 0), i == 2 || i == 3 ? -EIO : 1, "repeat: %d", i);
	sys_fault_disarm();
}

static void test_names_and_errors(void)
{
	char name[] = "pwrite", c;

	arm(SYS_FAULT_ERROR, 2, name, ENOSPC);
	memset(name, 'z', sizeof(name) - 1); /* it has a copy */
	is_int(sys_pwrite(null_fd, "x", 1, 0), 1, "the first of that name");
	is_int(sys_pread(zero_fd, &c, 1, 0), 1, "another name does not count");
	is_int(sys_pwrite(null_fd, "x", 1, 0), -ENOSPC, "the second fails as told");
	is_int(sys_fault_calls(), 2, "two were counted");

	arm(SYS_FAULT_ERROR, 1, NULL, 0);
	is_int(sys_send(null_fd, "x", 1, 0), -ECONNRESET, "plausible: a send is reset");
	arm(SYS_FAULT_ERROR, 1, NULL, 0);
	is_int(sys_open("/dev/null", O_RDONLY, 0), -EMFILE, "an open has no descriptors left");
	arm(SYS_FAULT_ERROR, 1, NULL, 0);
	ok(sys_malloc(1) == NULL, "memory is NULL");
	arm(SYS_FAULT_ERROR, 1, "strdup", 0);
	ok(sys_strdup("x") == NULL, "a string, too");
	sys_fault_disarm();
}

static void test_base_allocations(void)
{
	struct buf b = BUF_INIT;

	arm(SYS_FAULT_ERROR, 1, "realloc", 0);
	buf_puts(&b, "x");
	is_int(b.error, -ENOMEM, "allocations in base/ pass the gate");
	is_int(sys_fault_fired(), 1, "control: it fired");
	sys_fault_disarm();
	buf_free(&b);
}

static void test_eintr(void)
{
	char c;
	struct pollfd pfd = { .fd = zero_fd, .events = POLLIN };

	arm(SYS_FAULT_ERROR, 1, NULL, EINTR);
	is_int(sys_pread(zero_fd, &c, 1, 0), 1, "a read is tried again");
	is_int(sys_fault_calls(), 2, "control: two calls");
	is_int(sys_fault_fired(), 1, "control: it fired");
	arm(SYS_FAULT_ERROR, 1, NULL, EINTR);
	is_int(sys_poll(&pfd, 1, 0), -EINTR, "a wait is not");
	arm(SYS_FAULT_ERROR, 1, NULL, EINTR);
	is_int(sys_connect(null_fd, NULL, 0), -EINTR, "a connect is not");
	sys_fault_disarm();
}

static void *thread_slow(void *arg)
{
	usleep(20000);
	*(int *)arg = 1;
	return NULL;
}

/* Each frees what it is given although it fails. */
static void test_close_never_leaks(void)
{
	unsigned before = kit_fds_open();
	unsigned char vec;
	int finished = 0;
	pthread_t t;
	void *p;
	int fd;

	fd = sys_open("/dev/null", O_RDONLY, 0);
	is_int(kit_fds_open(), before + 1, "control: an open descriptor is seen");
	arm(SYS_FAULT_ERROR, 1, "close", EIO);
	is_int(sys_close(fd), -EIO, "close fails");
	is_int(kit_fds_open(), before, "and has closed");
	fd = sys_open("/dev/null", O_RDONLY, 0);
	arm(SYS_FAULT_ERROR, 1, "close", EINTR);
	is_int(sys_close(fd), 0, "interrupted: closed all the same");
	is_int(kit_fds_open(), before, "really");
	sys_fault_disarm();
	need(sys_mmap(&p, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == 0, "mmap");
	is_int(sys_mincore(p, 4096, &vec), 0, "control: it is mapped");
	arm(SYS_FAULT_ERROR, 1, "munmap", 0);
	is_int(sys_munmap(p, 4096), -ENOMEM, "munmap fails");
	is_int(sys_mincore(p, 4096, &vec), -ENOMEM, "and has unmapped");
	need(sys_thread_create(&t, NULL, thread_slow, &finished) == 0, "thread");
	arm(SYS_FAULT_ERROR, 1, "thread_join", 0);
	is_int(sys_thread_join(t), -EINVAL, "join fails");
	is_int(finished, 1, "and has joined: the thread has come to its end");
	sys_fault_disarm();
}

static void short_is(size_t len, size_t want)
{
	is_int(sys_fault_len("pread", len), want, "%zu bytes become %zu", len, want);
}

static void test_short(void)
{
	static char buf[16384];
	int fd = file_of(sizeof(buf)), fds[2];
	struct iovec iov[3] = { { buf, 4 }, { buf + 4, 4 }, { buf + 8, 8 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	void *p;

	sys_fault_arm(&(struct sys_fault_plan){ .mode = SYS_FAULT_SHORT, .nth = 1, .repeat = 100 });
	short_is(0, 0);
	short_is(1, 1);
	is_int(sys_fault_calls(), 0, "what cannot be shorter does not count");
	short_is(2, 1);
	short_is(3, 1);
	short_is(1023, 511);
	short_is(1024, 512);
	short_is(4096, 2048);
	short_is(8192, 4096);
	short_is(16384, 8192);
	short_is(20000, 8192);
	is_int(sys_pread(fd, buf, sizeof(buf), 0), 8192, "pread comes short");
	is_int(sys_pwrite(fd, buf, 10, 0), 5, "pwrite comes short");
	is_int(sys_preadv2(fd, iov, 3, 0, 0), 8, "a vector: exactly two pieces");
	iov[0].iov_len = 6;
	is_int(sys_writev(fd, iov, 3), 9, "a vector: cut within a piece");
	is_int(iov[0].iov_len, 6, "the caller's vector is as before");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	is_int(sys_sendmsg(fds[0], &msg, 0), 9, "sendmsg comes short");
	is_int(msg.msg_iovlen, 3, "the caller's message is as before");
	is_int(sys_send(fds[0], "ab", 2, 0), 1, "send comes short");
	is_int(sys_recv(fds[1], buf, 6, 0), 3, "recv comes short");
	is_int(sys_sendfile(fds[0], fd, NULL, 100), 50, "sendfile comes short");
	is_int(sys_open("/dev/null", O_RDONLY, 0) >= 0, 1, "an open is not touched");
	p = sys_malloc(10);
	ok(p, "nor is memory");
	free(p);
	arm(SYS_FAULT_SHORT, 2, NULL, 0);
	is_int(sys_pread(fd, buf, 10, 0), 10, "the first is whole");
	is_int(sys_pread(fd, buf, 10, 0), 5, "the second short");
	is_int(sys_pread(fd, buf, 10, 0), 10, "the third whole");
	arm(SYS_FAULT_ERROR, 1, NULL, 0);
	is_int(sys_fault_len("pread", 10), 10, "error mode shortens nothing");
	is_int(sys_fault_calls(), 0, "and does not count there");
	sys_fault_disarm();
}

static void test_result(void)
{
	arm(SYS_FAULT_ERROR, 2, "uring_read", EIO);
	is_int(sys_fault_result("uring_read", 100), 100, "the first completion");
	is_int(sys_fault_result("uring_read", -EPIPE), -EPIPE, "an error stays what it is");
	is_int(sys_fault_result("uring_write", 7), 7, "another name");
	is_int(sys_fault_result("uring_read", 100), -EIO, "the second fails");
	arm(SYS_FAULT_ERROR, 1, NULL, 0);
	is_int(sys_fault_result("uring_send_zc", 1), -ECONNRESET, "plausible");
	sys_fault_disarm();
	is_int(sys_fault_result("uring_read", 100), 100, "disarmed");
}

/* ------------------------------------------------------------- many threads */

#define THREADS 4
#define CALLS 20000

static void *thread_calls(void *arg)
{
	unsigned long *failed = arg;
	char c;

	for (int i = 0; i < CALLS; i++)
		*failed += sys_pread(zero_fd, &c, 1, 0) == -EIO;
	return NULL;
}

static void test_threads(void)
{
	unsigned long failed[THREADS] = { 0 }, sum = 0;
	pthread_t t[THREADS];

	sys_fault_arm(&(struct sys_fault_plan){
		.nth = 1000, .repeat = 5, .name = "pread", .error = EIO });
	for (int i = 0; i < THREADS; i++)
		need(sys_thread_create(&t[i], NULL, thread_calls, &failed[i]) == 0, "thread");
	for (int i = 0; i < THREADS; i++) {
		need(sys_thread_join(t[i]) == 0, "join");
		sum += failed[i];
	}
	is_int(sum, 5, "exactly five calls failed");
	is_int(sys_fault_fired(), 5, "as it says");
	is_int(sys_fault_calls(), THREADS * CALLS, "every call was counted");
	sys_fault_disarm();
}

/* ---------------------------------------------------------- the environment */

struct env_case {
	const char *value;
	int first, second, third; /* results of three calls */
	int signal;
};

/* A fresh program reads the environment: ourselves, with an argument. */
static void env_program(void)
{
	char two[2];
	ssize_t a = sys_pread(zero_fd, two, 2, 0);
	ssize_t b = sys_pwrite(null_fd, two, 2, 0);
	ssize_t c = sys_pwrite(null_fd, two, 2, 0);

	dprintf(1, "%zd %zd %zd\n", a, b, c);
	_exit(0);
}

static void env_is(const void *arg)
{
	const struct env_case *t = arg;
	char got[100] = "", want[100];
	int fds[2], status;
	pid_t pid;

	need(pipe(fds) == 0 && (pid = fork()) >= 0, "fork");
	if (pid == 0) {
		setenv("DECANT_FAULT", t->value, 1);
		dup2(fds[1], 1);
		if (t->signal == SIGABRT)
			close(2);
		execl("/proc/self/exe", "test", "env", NULL);
		_exit(99);
	}
	close(fds[1]);
	(void)!read(fds[0], got, sizeof(got) - 1);
	need(waitpid(pid, &status, 0) == pid, "wait");
	if (t->signal) {
		ok(WIFSIGNALED(status) && WTERMSIG(status) == t->signal, "died of %d: status %x",
		   t->signal, (unsigned)status);
		is_str(got, "", "before it came to its end");
		return;
	}
	snprintf(want, sizeof(want), "%d %d %d\n", t->first, t->second, t->third);
	is_str(got, want, "results");
	is_int(status, 0, "status");
}

static void test_environment(void)
{
	static const struct env_case cases[] = {
		{ "", 2, 2, 2, 0 },
		{ "1", -EIO, 2, 2, 0 },
		{ "2", 2, -ENOSPC, 2, 0 },
		{ "4", 2, 2, 2, 0 },
		{ "2:pwrite", 2, 2, -ENOSPC, 0 },
		{ "1:pwrite:EPIPE", 2, -EPIPE, 2, 0 },
		{ "1:pwrite:5", 2, -5, 2, 0 },
		{ "3:*:EBADF", 2, 2, -EBADF, 0 },
		{ "3::EBADF", 2, 2, -EBADF, 0 },
		{ "2::short", 2, 1, 2, 0 },
		{ "1:pread:EINTR", 2, 2, 2, 0 },
		{ "2::kill", 0, 0, 0, SIGKILL },
		{ "9::kill", 2, 2, 2, 0 },
		{ "x", 0, 0, 0, SIGABRT },
		{ "0", 0, 0, 0, SIGABRT },
		{ "1x", 0, 0, 0, SIGABRT },
		{ "1:pread:ENONSENSE", 0, 0, 0, SIGABRT },
		{ "1:pread:", 0, 0, 0, SIGABRT },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_case_arg(env_is, &cases[i], "DECANT_FAULT=\"%s\"", cases[i].value);
}

int main(int argc, char **argv)
{
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (argc == 2 && strcmp(argv[1], "env") == 0)
		env_program();
	tap_case("the Nth call fails", test_nth);
	tap_case("by name, with an errno", test_names_and_errors);
	tap_case("allocations in base/", test_base_allocations);
	tap_case("EINTR", test_eintr);
	tap_case("what frees never leaks", test_close_never_leaks);
	tap_case("short counts", test_short);
	tap_case("results that come later", test_result);
	tap_case("many threads", test_threads);
	test_environment();
	return done();
}

#endif
