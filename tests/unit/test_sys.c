/* SPDX-License-Identifier: MIT */
/* sys/: the wrappers' results, and the gate through which calls are made to fail. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "tap.h"
#include "uapi/cachestat.h"
#include "uapi/io_uring.h"
#include "uapi/rwf.h"

#ifndef DECANT_FAULTS
int main(void)
{
	skip_all("built without -Dfaults=true");
	return done();
}
#else

static int null_fd, zero_fd;

/* Open descriptors of this process, without opening one. */
static unsigned fds_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int file_of(size_t len)
{
	int fd = sys_memfd_create("test", 0);

	need(fd >= 0 && sys_ftruncate(fd, len) == 0, "memory file");
	return fd;
}

/* ------------------------------------------------------------- the results */

static void test_results(void)
{
	char buf[64], big[4096];
	int fd = file_of(100), v = -7, fds[2];
	uint64_t off = 90;
	void *p = NULL;
	struct stat st;

	is_int(sys_open("/nonexistent/x", O_RDONLY, 0), -ENOENT, "open: the errno, negative");
	is_int(sys_close(-1), -EBADF, "close of no descriptor");
	is_int(sys_close(200), -EBADF, "close of a closed one");
	is_int(sys_pread(fd, buf, 64, 90), 10, "pread: a short count");
	is_int(sys_pread(fd, buf, 64, 100), 0, "pread: the end");
	is_int(sys_pread(fd, buf, 64, UINT64_MAX - 5), -EINVAL, "pread: an offset too large");
	is_int(sys_pwrite(fd, "abc", 3, 98), 3, "pwrite");
	is_int(sys_fstat(fd, &st), 0, "fstat");
	is_int(st.st_size, 101, "its size");
	is_int(sys_lseek(fd, 5ll << 32, SEEK_SET), 5ll << 32, "lseek beyond 4 GiB");
	is_int(sys_posix_fadvise(fd, 0, 0, 99), -EINVAL, "posix_fadvise: negative too");
	is_int(sys_mmap(&p, NULL, 0, PROT_READ, MAP_SHARED, fd, 0), -EINVAL, "mmap of nothing");
	ok(p == NULL, "leaves *ret alone");
	is_int(sys_mmap(&p, NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), 0, "mmap");
	ok(p && memcmp((char *)p + 98, "abc", 3) == 0, "is the file");
	is_int(sys_munmap(p, 4096), 0, "munmap");
	is_int(sys_blkgetsize64(fd, &off), -ENOTTY, "not a block device");
	is_int(sys_pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0, "pipe2");
	is_int(sys_setlease(fds[0], F_RDLCK), -EINVAL, "no lease on a pipe");
	is_int(sys_read(fds[0], buf, 1), -EAGAIN, "read of an empty pipe");
	is_int(sys_write(fds[1], "xyz", 3), 3, "write to it");
	is_int(sys_fionread(fds[0], &v), 0, "FIONREAD");
	is_int(v, 3, "says how many");
	is_int(sys_setpipe_sz(fds[1], 8192), 8192, "F_SETPIPE_SZ");
	is_int(sys_getpipe_sz(fds[0]), 8192, "F_GETPIPE_SZ");
	is_int(sys_splice(fds[0], NULL, fd, &off, 3, 0), 3, "splice with an offset");
	is_int(off, 93, "moves it on");
	is_int(sys_dupfd_cloexec(fd, 100) >= 100, 1, "dup above a number");
	is_int(sys_readlink("/proc/self/exe", buf, 2), -ENAMETOOLONG, "readlink: no room");
	ok(sys_readlink("/proc/self/exe", big, sizeof(big)) > 0 && big[0] == '/' &&
	   strstr(big, "test"), "readlink: ended by 0");
	is_int(sys_poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, 0), 0, "poll: 0");
	ok(sys_cpus() >= 1, "at least one CPU");
	ok(sys_clock_ns() > 0 && sys_thread_cpu_ns() > 0 && sys_process_cpu_ns() > 0, "clocks");
}

static void heap_is(void *p, uintptr_t align, const char *what)
{
	ok(p && (uintptr_t)p % align == 0, "%s", what);
	free(p);
}

static void test_heap(void)
{
	char *s = sys_strdup("x");

	heap_is(sys_malloc(0), 1, "malloc of 0 bytes is not NULL");
	heap_is(sys_calloc(0, 0), 1, "nor calloc");
	heap_is(sys_realloc(NULL, 0), 1, "nor realloc");
	heap_is(sys_aligned_alloc(4096, 0), 4096, "nor aligned_alloc");
	heap_is(sys_aligned_alloc(4096, 5), 4096, "aligned, though the length is odd");
	is_str(s, "x", "strdup");
	free(s);
}

static void test_sleep(void)
{
	uint64_t t = sys_clock_ns();

	is_int(sys_sleep_ns(20000000), 0, "sleep");
	t = sys_clock_ns() - t;
	ok(t >= 20000000, "as long as asked: %llu ns", (unsigned long long)t);
}

static void test_cachestat(void)
{
	struct cachestat_range range = { 0, 0 };
	struct cachestat cs = { 0 };
	char path[] = "./cachestat-XXXXXX";
	char page[8192] = "x";
	int fd = mkstemp(path), r;

	need(fd >= 0 && unlink(path) == 0 && write(fd, page, sizeof(page)) == sizeof(page), "file");
	r = sys_cachestat(fd, &range, &cs, 0);
	ok(r == 0 || r == -ENOSYS, "cachestat: 0 or a kernel before 6.5, got %d", r);
	if (r == 0)
		is_int(cs.nr_cache, 2, "two pages were written and are there");
}

static void test_sigpipe(void)
{
	struct sys_sigpipe saved, inner;
	sigset_t set, pending;
	int fds[2];

	need(sys_pipe2(fds, 0) == 0 && close(fds[0]) == 0, "pipe without a reader");
	is_int(sys_sigpipe_block(&saved), 0, "block");
	is_int(sys_write(fds[1], "x", 1), -EPIPE, "EPIPE, and we live");
	sigpending(&pending);
	ok(sigismember(&pending, SIGPIPE) == 1, "control: the signal was raised");
	is_int(sys_sigpipe_block(&inner), 0, "block where one is pending");
	sys_sigpipe_restore(&inner);
	sigpending(&pending);
	ok(sigismember(&pending, SIGPIPE) == 1, "the one that was pending before stays");
	sys_sigpipe_restore(&saved);
	sigpending(&pending);
	ok(sigismember(&pending, SIGPIPE) == 0, "ours is thrown away");
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	ok(sigismember(&set, SIGPIPE) == 0, "the mask is as before");
}

static void *thread_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return NULL;
}

static void test_thread(void)
{
	sigset_t theirs, ours;
	pthread_t t;

	sigemptyset(&theirs);
	is_int(sys_thread_create(&t, "decant-test", thread_mask, &theirs), 0, "create");
	is_int(sys_thread_join(t), 0, "join");
	ok(sigismember(&theirs, SIGTERM) == 1 && sigismember(&theirs, SIGIO) == 1,
	   "the thread has its signals blocked");
	pthread_sigmask(SIG_SETMASK, NULL, &ours);
	ok(sigismember(&ours, SIGTERM) == 0, "we have not");
}

static void *thread_name(void *arg)
{
	(void)prctl(PR_GET_NAME, arg);
	return NULL;
}

/* A descriptor of a thread's name would be inherited by what others execute. */
static void test_thread_name(void)
{
	struct rlimit was, none;
	char name[16] = "";
	pthread_t t;

	need(getrlimit(RLIMIT_NOFILE, &was) == 0, "getrlimit");
	none = was;
	none.rlim_cur = 0;
	need(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
	is_int(open("/dev/null", O_RDONLY | O_CLOEXEC), -1, "control: nothing can be opened");
	is_int(sys_thread_create(&t, "decant-test", thread_name, name), 0, "create");
	is_int(sys_thread_join(t), 0, "join");
	(void)setrlimit(RLIMIT_NOFILE, &was);
	is_str(name, "decant-test", "it has its name");
}

static void test_uring(void)
{
	struct io_uring_params params = { 0 };
	struct io_uring_cqe *cqe = NULL;
	struct io_uring ring;
	struct iovec iov;
	uint64_t t;
	int r = sys_uring_init(&ring, 8, &params);

	if (r == -EPERM || r == -ENOSYS)
		skip("no io_uring: %s", strerror(-r));
	is_int(r, 0, "init");
	ok(params.features & IORING_FEAT_EXT_ARG, "features come out");
	is_int(sys_uring_wait(&ring, &cqe, 0), -ETIME, "nothing there, no wait");
	t = sys_clock_ns();
	is_int(sys_uring_wait(&ring, &cqe, 20000000), -ETIME, "nothing there, a short wait");
	ok(sys_clock_ns() - t >= 20000000, "as long as asked");
	is_int(io_uring_sq_ready(&ring), 0, "waiting used up no SQE");
	io_uring_prep_nop(io_uring_get_sqe(&ring));
	is_int(sys_uring_submit(&ring), 1, "submit");
	is_int(sys_uring_wait(&ring, &cqe, UINT64_MAX), 0, "wait");
	ok(cqe && cqe->res == 0, "the no-op");
	io_uring_cqe_seen(&ring, cqe);
	is_int(sys_uring_has_op(&ring, IORING_OP_NOP), 1, "it has the no-op");
	is_int(sys_uring_has_op(&ring, 255), 0, "and not operation 255");
	iov.iov_base = sys_aligned_alloc(4096, 4096);
	iov.iov_len = 4096;
	is_int(sys_uring_register_buffers_sparse(&ring, 4), 0, "sparse buffers");
	is_int(sys_uring_update_buffers(&ring, 2, &iov, 1), 1, "one is filled in");
	is_int(sys_uring_update_buffers(&ring, 4, &iov, 1), -EINVAL, "past the last");
	is_int(sys_uring_unregister_buffers(&ring), 0, "unregister");
	sys_uring_exit(&ring);
	free(iov.iov_base);
}

/* ----------------------------------------------------------------- the gate */

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
	unsigned before = fds_open();
	unsigned char vec;
	int finished = 0;
	pthread_t t;
	void *p;
	int fd;

	fd = sys_open("/dev/null", O_RDONLY, 0);
	is_int(fds_open(), before + 1, "control: an open descriptor is seen");
	arm(SYS_FAULT_ERROR, 1, "close", EIO);
	is_int(sys_close(fd), -EIO, "close fails");
	is_int(fds_open(), before, "and has closed");
	fd = sys_open("/dev/null", O_RDONLY, 0);
	arm(SYS_FAULT_ERROR, 1, "close", EINTR);
	is_int(sys_close(fd), 0, "interrupted: closed all the same");
	is_int(fds_open(), before, "really");
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
	heap_is(sys_malloc(10), 1, "nor is memory");
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

/* ------------------------------------------------------------ many threads */

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
	tap_case("results are negative errnos", test_results);
	tap_case("the heap", test_heap);
	tap_case("sleep", test_sleep);
	tap_case("cachestat", test_cachestat);
	tap_case("SIGPIPE is kept away", test_sigpipe);
	tap_case("threads get no signals", test_thread);
	tap_case("threads have names without a descriptor", test_thread_name);
	tap_case("io_uring", test_uring);
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
