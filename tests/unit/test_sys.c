/* SPDX-License-Identifier: MIT */
/* sys/: the results of the wrappers. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sys/sys.h"
#include "tap.h"
#include "uapi/cachestat.h"
#include "uapi/io_uring.h"

static int file_of(size_t len)
{
	int fd = sys_memfd_create("test", 0);

	need(fd >= 0 && sys_ftruncate(fd, len) == 0, "memory file");
	return fd;
}

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

int main(void)
{
	tap_case("results are negative errnos", test_results);
	tap_case("the heap", test_heap);
	tap_case("sleep", test_sleep);
	tap_case("cachestat", test_cachestat);
	tap_case("SIGPIPE is kept away", test_sigpipe);
	tap_case("threads get no signals", test_thread);
	tap_case("threads have names without a descriptor", test_thread_name);
	tap_case("io_uring", test_uring);
	return done();
}
