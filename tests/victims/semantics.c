/* SPDX-License-Identifier: MIT */
/*
 * One case of what vmsplice does, told in lines: by the call itself, or by the
 * calls that a policy says it is (pwritev2, preadv2), made here.
 * Not a judge: whoever runs it twice compares the lines.
 *
 *	semantics CASE call|v1|v2 [kernel]
 *
 * kernel: RWF_NOWAIT as this kernel has it (nowait=kernel), for v1 and v2.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

#define KIB 1024
#define PIPE_BYTES (64 * KIB)
#define FLAGS_ALL 15u
#define SEM_PAGE 4096

static enum { SEM_CALL, SEM_V1, SEM_V2 } sem_mode;
static bool sem_kernel;          /* nowait=kernel */
static bool sem_restarts;        /* the handler of this case has SA_RESTART */
static char *sem_self;
static char sem_buf[256 * KIB] __attribute__((aligned(SEM_PAGE)));
static char sem_got[256 * KIB] __attribute__((aligned(SEM_PAGE)));

/* ------------------------------------------------------------- the reference */

static ssize_t sem_fail(int error)
{
	errno = error;
	return -1;
}

/* What the kernel refuses to RWF_NOWAIT, by another open file description. */
static ssize_t sem_ideal(int fd, bool out, const struct iovec *iov, unsigned long n)
{
	char path[48];
	ssize_t r;
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (out ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
	if (own < 0 && errno == ENXIO) {
		raise(SIGPIPE);
		return sem_fail(EPIPE);
	}
	r = out ? writev(own, iov, (int)n) : readv(own, iov, (int)n);
	if (r < 0) {
		int error = errno;

		close(own);
		return sem_fail(error);
	}
	close(own);
	return r;
}

static ssize_t sem_vector(int fd, bool out, const struct iovec *iov, unsigned long n, int rwf)
{
	ssize_t r = out ? pwritev2(fd, iov, (int)n, -1, rwf) : preadv2(fd, iov, (int)n, -1, rwf);

	if (r < 0 && errno == EOPNOTSUPP && rwf && !sem_kernel)
		return sem_ideal(fd, out, iov, n);
	return r;
}

static ssize_t sem_v2_write(int fd, const struct iovec *iov, unsigned long n, unsigned flags,
			    bool o_nonblock)
{
	bool nonblock = (flags & SPLICE_F_NONBLOCK) || o_nonblock;

	if (flags == SPLICE_F_NONBLOCK && o_nonblock)
		return sem_fail(EINVAL);
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };
		int ready = poll(&pfd, 1, nonblock ? 0 : -1);
		ssize_t r;

		if (ready < 0 && errno == EINTR && sem_restarts)
			continue;
		if (ready < 0)
			return -1;
		if (ready == 0)
			return sem_fail(EAGAIN);
		r = sem_vector(fd, true, iov, n, RWF_NOWAIT);
		if (r >= 0 || errno != EAGAIN || nonblock)
			return r;
	}
}

static ssize_t sem_reference(int fd, const struct iovec *iov, unsigned long n, unsigned flags)
{
	int fl = fcntl(fd, F_GETFL), rwf = flags & SPLICE_F_NONBLOCK ? RWF_NOWAIT : 0;

	if (flags & ~FLAGS_ALL)
		return sem_fail(EINVAL);
	if (fl < 0 || fcntl(fd, F_GETPIPE_SZ) < 0)
		return sem_fail(EBADF);
	if ((fl & O_ACCMODE) == O_RDONLY)
		return sem_vector(fd, false, iov, n, rwf);
	if (sem_mode == SEM_V1)
		return sem_vector(fd, true, iov, n, rwf);
	return sem_v2_write(fd, iov, n, flags, fl & O_NONBLOCK);
}

static ssize_t sem_do(int fd, const struct iovec *iov, unsigned long n, unsigned flags)
{
	if (sem_mode != SEM_CALL)
		return sem_reference(fd, iov, n, flags);
	return syscall(SYS_vmsplice, fd, iov, n, flags);
}

/* -------------------------------------------------------------------- telling */

static void say(const char *what, ssize_t r)
{
	if (r < 0)
		printf("%s: -%s\n", what, strerrorname_np(errno));
	else
		printf("%s: %zd\n", what, r);
	fflush(stdout);
}

static ssize_t put(int fd, void *at, size_t len, unsigned flags)
{
	struct iovec iov = { at, len };

	return sem_do(fd, &iov, 1, flags);
}

static void sem_pipe(int fds[2], int flags)
{
	if (pipe2(fds, flags) < 0)
		abort();
}

static void fill(char *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (char)(seed + i * 7 + i / 251);
}

static void say_read(const char *what, int fd, size_t len, unsigned seed)
{
	size_t n = 0;
	ssize_t r = 0;

	memset(sem_got, 0, sizeof(sem_got));
	while (n < len && (r = read(fd, sem_got + n, len - n)) > 0)
		n += (size_t)r;
	fill(sem_buf, len, seed);
	printf("%s: %zu bytes, %s\n", what, n,
	       memcmp(sem_got, sem_buf, n) == 0 ? "right" : "wrong");
}

/* Fills fd's pipe to the last slot. */
static void stuff(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	(void)fcntl(fd, F_SETFL, fl | O_NONBLOCK);
	while (write(fd, sem_got, SEM_PAGE) > 0)
		;
	(void)fcntl(fd, F_SETFL, fl);
}

static pid_t sem_fork(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		printf("child: status 0x%x\n", status);
}

/* ---------------------------------------------------------------------- cases */

static void case_basic(void)
{
	static const size_t lens[] = { 1, 100, 4095, 4096, 4097, 20000, 65536 };
	int p[2];

	sem_pipe(p, 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		fill(sem_buf, lens[i], (unsigned)i);
		say("write", put(p[1], sem_buf, lens[i], 0));
		say_read("read", p[0], lens[i], (unsigned)i);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct iovec v[3] = {
			{ sem_buf, 10 }, { sem_buf + 10, 5000 }, { sem_buf + 5010, 1 },
		};

		fill(sem_buf, 5011, i);
		say("pieces", sem_do(p[1], v, 3, 0));
		say_read("read", p[0], 5011, i);
	}
}

/* Only the sharing call shows what is written afterwards. */
static void case_later(void)
{
	ssize_t r;
	int p[2];

	sem_pipe(p, 0);
	memset(sem_buf, 'A', SEM_PAGE);
	r = put(p[1], sem_buf, SEM_PAGE, SPLICE_F_GIFT);
	say("write", r);
	if (r != SEM_PAGE)
		return;
	memset(sem_buf, 'B', SEM_PAGE);
	say("read", read(p[0], sem_got, SEM_PAGE));
	printf("a later write is %s\n", sem_got[0] == 'A' ? "not seen" : "seen");
}

/* Slow enough for whoever looks now and then. */
static void case_modified(void)
{
	int p[2];

	sem_pipe(p, 0);
	say("write", put(p[1], sem_buf, SEM_PAGE, SPLICE_F_GIFT));
	memset(sem_buf, 'B', SEM_PAGE);
	usleep(100000);
	say("read", read(p[0], sem_got, SEM_PAGE));
}

static void case_given_back(void)
{
	char *at = mmap(NULL, SEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	int p[2];

	sem_pipe(p, 0);
	memset(at, 'A', SEM_PAGE);
	say("write", put(p[1], at, SEM_PAGE, SPLICE_F_GIFT));
	madvise(at, SEM_PAGE, MADV_DONTNEED);
	usleep(100000);
	say("read", read(p[0], sem_got, SEM_PAGE));
	printf("%c\n", sem_got[0]);
}

static void case_read(void)
{
	struct iovec v[2] = { { sem_got, 100 }, { sem_got + SEM_PAGE, 5000 } };
	int p[2];

	sem_pipe(p, 0);
	fill(sem_buf, 6000, 3);
	say("write", write(p[1], sem_buf, 6000));
	say("vmsplice from it", sem_do(p[0], v, 2, 0));
	printf("%s\n", memcmp(sem_got, sem_buf, 100) == 0 &&
		       memcmp(sem_got + SEM_PAGE, sem_buf + 100, 5000) == 0 ? "right" : "wrong");
	say("the rest", sem_do(p[0], v, 2, SPLICE_F_NONBLOCK));
	say("empty", sem_do(p[0], v, 2, SPLICE_F_NONBLOCK));
	(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
	say("empty, O_NONBLOCK", sem_do(p[0], v, 2, 0));
	close(p[1]);
	say("at the end", sem_do(p[0], v, 2, 0));
}

static void case_flags(void)
{
	int p[2];

	sem_pipe(p, 0);
	for (unsigned f = 0; f < 20; f++) {
		say("flags", put(p[1], sem_buf, 10, f));
		(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
		(void)!read(p[0], sem_got, 100);
	}
	say("high", put(p[1], sem_buf, 10, 0x80000000u));
}

static void case_bad(void)
{
	char *holed = mmap(NULL, 3 * SEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	struct iovec v[2] = { { holed, 3 * SEM_PAGE }, { sem_buf, 10 } };
	int p[2], s[2], null = open("/dev/null", O_RDWR), file = open("/proc/self/exe", O_RDONLY);

	munmap(holed + SEM_PAGE, SEM_PAGE);
	sem_pipe(p, 0);
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	say("fd -1", put(-1, sem_buf, 10, 0));
	say("fd 999", put(999, sem_buf, 10, 0));
	say("a device", put(null, sem_buf, 10, 0));
	say("a file", put(file, sem_buf, 10, 0));
	say("a socket", put(s[0], sem_buf, 10, 0));
	say("no pieces", sem_do(p[1], v, 0, 0));
	say("nothing", put(p[1], sem_buf, 0, 0));
	say("too many pieces", sem_do(p[1], v, 1025, 0));
	say("no vector", sem_do(p[1], NULL, 1, 0));
	say("a bad vector", sem_do(p[1], (struct iovec *)(holed + SEM_PAGE), 1, 0));
	say("a bad address", put(p[1], holed + SEM_PAGE, 10, 0));
	(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
	say("nothing came of it", read(p[0], sem_got, 100));
	(void)fcntl(p[0], F_SETFL, 0);
	say("a hole in the middle", sem_do(p[1], v, 2, 0));
	say("what came of it", read(p[0], sem_got, sizeof(sem_got)));
	/* Nothing is lost where it cannot be put. */
	say("write", write(p[1], "0123456789", 10));
	mprotect(holed, SEM_PAGE, PROT_READ);
	say("into what cannot be written", put(p[0], holed, 10, 0));
	say("into nothing", put(p[0], holed + SEM_PAGE, 10, SPLICE_F_NONBLOCK));
	say("it is still there", read(p[0], sem_got, 100));
}

static void case_full(void)
{
	int p[2];

	sem_pipe(p, 0);
	stuff(p[1]);
	say("full, NONBLOCK", put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
	(void)!read(p[0], sem_got, SEM_PAGE);
	say("a page is free", put(p[1], sem_buf, 2 * SEM_PAGE, SPLICE_F_NONBLOCK));
	say("full again", put(p[1], sem_buf, 1, SPLICE_F_NONBLOCK));
	sem_pipe(p, 0);
	say("more than fits, NONBLOCK", put(p[1], sem_buf, 2 * PIPE_BYTES, SPLICE_F_NONBLOCK));
	say_read("read", p[0], PIPE_BYTES, 0);
}

static void case_o_nonblock(void)
{
	int p[2];

	sem_pipe(p, O_NONBLOCK);
	say("room, no flag", put(p[1], sem_buf, 10, 0));
	say("room, NONBLOCK alone", put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
	say("room, NONBLOCK and MOVE", put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
	stuff(p[1]);
	if (sem_mode != SEM_CALL || getenv("SEM_POLICY")) /* natively it would wait for ever */
		say("full, no flag", put(p[1], sem_buf, 10, 0));
	say("full, NONBLOCK and MOVE", put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

/* All slots are taken, but the last page has room: v2 waits for a slot. */
static void case_slots(void)
{
	int p[2];

	sem_pipe(p, 0);
	stuff(p[1]);
	(void)!read(p[0], sem_got, SEM_PAGE);
	say("last slot", write(p[1], sem_buf, 10));
	say("into the last page, NONBLOCK", put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
}

static pid_t reader_after(int p[2], unsigned ms, size_t len)
{
	pid_t pid = sem_fork();

	if (pid)
		return pid;
	close(p[1]);
	while (len) {
		ssize_t n;

		usleep(ms * 1000);
		n = read(p[0], sem_got, len < sizeof(sem_got) ? len : sizeof(sem_got));
		if (n <= 0)
			break;
		len -= (size_t)n;
	}
	usleep(ms * 1000);
	_exit(0);
}

static void case_blocking(void)
{
	int p[2];
	pid_t pid;

	sem_pipe(p, 0);
	stuff(p[1]);
	pid = reader_after(p, 40, PIPE_BYTES);
	say("waits for room", put(p[1], sem_buf, 10, 0));
	reap(pid);
	sem_pipe(p, 0);
	pid = reader_after(p, 40, 2 * PIPE_BYTES);
	say("more than fits", put(p[1], sem_buf, 2 * PIPE_BYTES, 0));
	say("the rest", put(p[1], sem_buf, 2 * PIPE_BYTES - PIPE_BYTES, 0));
	close(p[0]);
	close(p[1]);
	reap(pid);
}

static volatile sig_atomic_t sem_signals;

static void sem_handler(int sig)
{
	(void)sig;
	sem_signals++;
}

static void sem_catch(int sig, int flags)
{
	struct sigaction act = { .sa_handler = sem_handler, .sa_flags = flags };

	sigaction(sig, &act, NULL);
	sem_restarts = flags & SA_RESTART;
}

static void case_epipe(void)
{
	int p[2];

	sem_catch(SIGPIPE, 0);
	for (unsigned f = 0; f < 2; f++) {
		sem_pipe(p, 0);
		close(p[0]);
		sem_signals = 0;
		for (int i = 0; i < 50; i++)
			if (put(p[1], sem_buf, 10, f ? SPLICE_F_NONBLOCK : 0) != -1 ||
			    errno != EPIPE || sem_signals != i + 1) {
				printf("signal %d: out of order\n", i);
				break;
			}
		printf("signals %d, each before the call returned\n", (int)sem_signals);
	}
	signal(SIGPIPE, SIG_IGN);
	say("ignored", put(p[1], sem_buf, 10, 0));
	if (sem_fork() == 0) {
		signal(SIGPIPE, SIG_DFL);
		(void)put(p[1], sem_buf, 10, 0);
		_exit(0);
	} else {
		int status;

		(void)!wait(&status);
		printf("by default: dies of %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
}

static void sem_alarm(unsigned ms)
{
	struct itimerval t = { .it_value = { .tv_usec = ms * 1000 } };

	setitimer(ITIMER_REAL, &t, NULL);
}

static void case_signal(void)
{
	int p[2];
	pid_t pid;

	sem_pipe(p, 0);
	stuff(p[1]);
	sem_catch(SIGALRM, 0);
	sem_alarm(40);
	say("interrupted", put(p[1], sem_buf, 10, 0));
	printf("signals %d\n", (int)sem_signals);
	sem_catch(SIGALRM, SA_RESTART);
	pid = reader_after(p, 120, PIPE_BYTES);
	sem_alarm(40);
	say("goes on", put(p[1], sem_buf, 10, 0));
	printf("signals %d\n", (int)sem_signals);
	reap(pid);
	sem_catch(SIGALRM, 0);
	sem_pipe(p, 0);
	sem_alarm(40);
	say("a part, then a signal", put(p[1], sem_buf, 2 * PIPE_BYTES, 0));
	say("reading is interrupted", (sem_alarm(40), say_read("read", p[0], PIPE_BYTES, 0),
				       put(p[0], sem_buf, 10, 0)));
}

static void case_stopped(void)
{
	int p[2];
	pid_t pid, self = getpid(), other;

	sem_pipe(p, 0);
	stuff(p[1]);
	other = sem_fork();
	if (other == 0) {
		usleep(40000);
		kill(self, SIGSTOP);
		usleep(40000);
		kill(self, SIGCONT);
		_exit(0);
	}
	pid = reader_after(p, 150, PIPE_BYTES);
	say("stopped in the middle", put(p[1], sem_buf, 10, 0));
	reap(other);
	reap(pid);
}

static void case_fifo(void)
{
	char name[] = "/tmp/semantics.XXXXXX", path[64];
	int in, out;

	if (!mkdtemp(name))
		abort();
	snprintf(path, sizeof(path), "%s/fifo", name);
	if (mkfifo(path, 0600) < 0)
		abort();
	in = open(path, O_RDONLY | O_NONBLOCK);
	out = open(path, O_WRONLY);
	(void)fcntl(in, F_SETFL, 0);
	unlink(path);
	rmdir(name);
	fill(sem_buf, 5000, 1);
	say("NONBLOCK", put(out, sem_buf, 5000, SPLICE_F_NONBLOCK));
	say("blocking", put(out, sem_buf + 100, 50, 0));
	say("plain", write(out, sem_buf, 5000)); /* so that reading never waits */
	say("read, NONBLOCK", put(in, sem_got, 3000, SPLICE_F_NONBLOCK));
	say("read, blocking", put(in, sem_got, 3000, 0));
	while (fcntl(in, F_SETFL, O_NONBLOCK), read(in, sem_got, SEM_PAGE) > 0)
		;
	say("empty, NONBLOCK", put(in, sem_got, 10, SPLICE_F_NONBLOCK));
	say("more than fits", put(out, sem_buf, 2 * PIPE_BYTES, SPLICE_F_NONBLOCK));
	say("full", put(out, sem_buf, 1, SPLICE_F_NONBLOCK));
	close(in);
	sem_catch(SIGPIPE, 0);
	say("no reader", put(out, sem_buf, 10, SPLICE_F_NONBLOCK));
	printf("signals %d\n", (int)sem_signals);
}

static void case_after_splice(void)
{
	int p[2], file = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_WRONLY);

	sem_pipe(p, 0);
	say("splice", splice(file, NULL, p[1], NULL, 100, 0));
	say("blocking", put(p[1], sem_buf, 10, 0));
	say("NONBLOCK", put(p[1], sem_buf, 10, SPLICE_F_NONBLOCK));
	say("plain", write(p[1], sem_buf, 200)); /* so that reading never waits */
	say("splice out", splice(p[0], NULL, null, NULL, 100, 0));
	say("read, NONBLOCK", put(p[0], sem_got, 5, SPLICE_F_NONBLOCK));
	say("read, blocking", put(p[0], sem_got, 50, 0));
	(void)!read(p[0], sem_got, SEM_PAGE);
	say("empty, NONBLOCK", put(p[0], sem_got, 10, SPLICE_F_NONBLOCK));
}

/* Registers that the call leaves alone are left alone. */
static void case_registers(void)
{
	struct iovec v = { sem_buf, 100 };
	int p[2];

	sem_pipe(p, 0);
	if (sem_mode != SEM_CALL) {
		printf("100, kept\n");
		return;
	}
#ifdef __x86_64__
	for (int i = 0; i < 2; i++) {
		register uint64_t r8 asm("r8") = 0x1111, r9 asm("r9") = 0x2222;
		register uint64_t r10 asm("r10") = i ? SPLICE_F_NONBLOCK | SPLICE_F_MOVE : 0;
		uint64_t was = r10, a = (uint64_t)p[1], b = (uint64_t)&v, c = 1, ret = SYS_vmsplice;

		asm volatile("syscall" : "+a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r8), "+r"(r9),
			     "+r"(r10) : : "rcx", "r11", "memory");
		if (ret != 100 || r8 != 0x1111 || r9 != 0x2222 || r10 != was ||
		    a != (uint64_t)p[1] || b != (uint64_t)&v || c != 1)
			printf("ret %jd r8 %jx r9 %jx r10 %jx\n", (intmax_t)ret, (uintmax_t)r8,
			       (uintmax_t)r9, (uintmax_t)r10);
	}
	printf("100, kept\n");
#else
	{
		unsigned ret, b = (unsigned)p[1], c = (unsigned)&v, d = 1, s = 0, di = 0x3333;

		asm volatile("int $0x80" : "=a"(ret), "+b"(b), "+c"(c), "+d"(d), "+S"(s), "+D"(di)
			     : "0"(SYS_vmsplice) : "memory");
		printf("%u, %s\n", ret, b == (unsigned)p[1] && c == (unsigned)&v && d == 1 &&
		       s == 0 && di == 0x3333 ? "kept" : "lost");
	}
#endif
}

/* ------------------------------------------------------ threads and processes */

static int sem_pair[2];

static void *thread_writes(void *arg)
{
	uint64_t record[2] = { (uintptr_t)arg, 0 };

	for (int i = 0; i < 500; i++) {
		ssize_t r;

		record[1] = (uint64_t)i;
		do {
			r = put(sem_pair[1], record, sizeof(record), 0);
		} while (r < 0 && errno == EINTR);
		if (r != sizeof(record))
			printf("thread: %zd\n", r);
	}
	return NULL;
}

/* More writers than slots, and a slow reader: all of them wait at times. */
static void case_threads(void)
{
	pthread_t t[24];
	uint64_t next[24] = { 0 }, record[2];
	unsigned wrong = 0, n = 0;

	sem_pipe(sem_pair, 0);
	for (uintptr_t i = 0; i < 24; i++)
		pthread_create(&t[i], NULL, thread_writes, (void *)i);
	/* Whole records: a shared buffer of another thread's would be seen. */
	while (n < 24 * 500 && read(sem_pair[0], record, sizeof(record)) == sizeof(record)) {
		if (sem_mode == SEM_CALL && !getenv("SEM_POLICY")) {
			n++;
			continue; /* natively the record may be a later one already */
		}
		wrong += record[0] >= 24 || record[1] != next[record[0]]++;
		n++;
	}
	for (int i = 0; i < 24; i++)
		pthread_join(t[i], NULL);
	printf("%u records, %u wrong\n", n, wrong);
}

static void *thread_private(void *arg)
{
	int p[2];

	(void)arg;
	(void)unshare(CLONE_FILES);
	close(sem_pair[0]);
	close(sem_pair[1]);
	sem_pipe(p, 0); /* the same numbers, other pipes */
	printf("%s\n", p[1] == sem_pair[1] ? "same number" : "other number");
	say("private", put(p[1], sem_buf, 77, 0));
	say("read", read(p[0], sem_got, 100));
	return NULL;
}

static void case_private(void)
{
	pthread_t t;

	sem_pipe(sem_pair, 0);
	pthread_create(&t, NULL, thread_private, NULL);
	pthread_join(t, NULL);
	(void)fcntl(sem_pair[0], F_SETFL, O_NONBLOCK);
	say("ours is empty", read(sem_pair[0], sem_got, 100));
}

static void *thread_closes(void *arg)
{
	(void)arg;
	usleep(50000);
	close(sem_pair[1]);
	usleep(50000);
	say("drained", read(sem_pair[0], sem_got, PIPE_BYTES));
	return NULL;
}

/* The call goes on with the pipe that it has. */
static void case_closed(void)
{
	pthread_t t;
	ssize_t r;

	sem_pipe(sem_pair, 0);
	stuff(sem_pair[1]);
	pthread_create(&t, NULL, thread_closes, NULL);
	r = put(sem_pair[1], sem_buf, 10, 0);
	pthread_join(t, NULL);
	if (sem_mode == SEM_V2 || getenv("SEM_POLICY_V2"))
		printf("a closed descriptor in the middle: %s\n",
		       r == 10 || (r < 0 && errno == EBADF) ? "written or EBADF" : "wrong");
	else
		say("a closed descriptor in the middle", r);
}

static char sem_word[8] = "call"; /* argv[2] */
static char sem_basic[] = "basic";

static void case_processes(void)
{
	char *argv[] = { sem_self, sem_basic, sem_word, NULL };
	int p[2];
	pid_t pid;

	sem_pipe(p, 0);
	pid = sem_fork();
	if (pid == 0) {
		say("child", put(p[1], sem_buf, 100, 0));
		fflush(stdout);
		_exit(0);
	}
	reap(pid);
	say("read", read(p[0], sem_got, SEM_PAGE));
	fflush(stdout);
	pid = vfork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(1);
	}
	reap(pid);
	say("after vfork and exec", put(p[1], sem_buf, 10, 0));
	fflush(stdout);
	execv(argv[0], argv);
}

static void *thread_execs(void *arg)
{
	char *argv[] = { sem_self, sem_basic, sem_word, NULL };

	(void)arg;
	usleep(20000);
	execv(argv[0], argv);
	return NULL;
}

/* exec by a thread that is not the first, while others make calls. */
static void case_thread_exec(void)
{
	pthread_t t[3];

	sem_pipe(sem_pair, 0);
	stuff(sem_pair[1]);
	pthread_create(&t[0], NULL, thread_writes, NULL);
	pthread_create(&t[1], NULL, thread_writes, NULL);
	pthread_create(&t[2], NULL, thread_execs, NULL);
	pause();
}

/* ---------------------------------------------------------------------- storm */

static unsigned sem_writes = 20000;

/* Every number once, in order, while signals come from a timer. */
static void case_storm(void)
{
	struct itimerval t = { .it_interval = { .tv_usec = 300 }, .it_value = { .tv_usec = 300 } };
	unsigned interrupted = 0;
	int p[2];
	pid_t pid;

	if (getenv("SEM_WRITES"))
		sem_writes = (unsigned)atoi(getenv("SEM_WRITES"));
	sem_pipe(p, 0);
	(void)fcntl(p[1], F_SETPIPE_SZ, SEM_PAGE); /* it is full most of the time */
	pid = sem_fork();
	if (pid == 0) {
		unsigned got, wrong = 0, n = 0;

		close(p[1]);
		while (read(p[0], &got, sizeof(got)) == sizeof(got)) {
			wrong += got != n++;
			if (n % 256 == 0)
				usleep(1000); /* so that it is full and the writer waits */
		}
		printf("%u numbers, %s\n", n, wrong ? "wrong" : "each once and in order");
		fflush(stdout);
		_exit(0);
	}
	close(p[0]);
	sem_catch(SIGALRM, 0);
	setitimer(ITIMER_REAL, &t, NULL);
	for (unsigned i = 0; i < sem_writes; i++) {
		/* Each in memory of its own: a sharing call must not change what waits. */
		unsigned *at = (unsigned *)(void *)sem_buf + i % (sizeof(sem_buf) / sizeof(*at));

		*at = i;
		while (put(p[1], at, sizeof(*at), 0) != sizeof(*at)) {
			if (errno != EINTR) {
				say("storm", -1);
				exit(1);
			}
			interrupted++;
		}
	}
	memset(&t, 0, sizeof(t));
	setitimer(ITIMER_REAL, &t, NULL);
	close(p[1]);
	reap(pid);
	fprintf(stderr, "%d signals, %u times interrupted\n", (int)sem_signals, interrupted);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "basic", case_basic }, { "later", case_later },
	{ "modified", case_modified }, { "given_back", case_given_back },
	{ "read", case_read },
	{ "flags", case_flags }, { "bad", case_bad }, { "full", case_full },
	{ "o_nonblock", case_o_nonblock }, { "slots", case_slots },
	{ "blocking", case_blocking }, { "epipe", case_epipe }, { "signal", case_signal },
	{ "stopped", case_stopped }, { "fifo", case_fifo }, { "after_splice", case_after_splice },
	{ "registers", case_registers }, { "threads", case_threads }, { "private", case_private },
	{ "closed", case_closed }, { "processes", case_processes },
	{ "thread_exec", case_thread_exec }, { "storm", case_storm },
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	sem_self = argv[0];
	sem_mode = strcmp(argv[2], "v1") == 0 ? SEM_V1 : strcmp(argv[2], "v2") == 0 ? SEM_V2 :
										      SEM_CALL;
	sem_kernel = argc > 3 && strcmp(argv[3], "kernel") == 0;
	snprintf(sem_word, sizeof(sem_word), "%s", argv[2]);
	alarm(60);
	fill(sem_buf, sizeof(sem_buf), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return fflush(stdout) != 0;
		}
	return 2;
}
