/* SPDX-License-Identifier: MIT */
/* Part of victim-blocker: calls with a time-out. */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blocker.h"
#include "victim.h"

static sigset_t usr1;
static aio_context_t aio;
static struct io_uring ring;

static int block_nanosleep(void)
{
	struct timespec t = block_time(), rem = { 0 };

	return nanosleep(&t, &rem) == 0 ? 0 : block_wrong("nanosleep", -1, errno);
}

static int block_clock_nanosleep(void)
{
	uint64_t until = victim_now_ns() + block.wait_ns;
	struct timespec t = { (time_t)(until / 1000000000), (long)(until % 1000000000) };
	int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);

	return r == 0 ? 0 : block_wrong("clock_nanosleep", r, r);
}

static int block_futex(void)
{
	struct timespec t = block_time();

	if (syscall(SYS_futex, &block.word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) == -1 &&
	    errno == ETIMEDOUT)
		return 0;
	return block_wrong("futex", -1, errno);
}

void setup_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	block.id = epoll_create1(0);
	if (block.id < 0 || pipe(block.fd) != 0 ||
	    epoll_ctl(block.id, EPOLL_CTL_ADD, block.fd[0], &e) != 0)
		victim_die("epoll");
}

static int block_epoll_wait(void)
{
	struct epoll_event e[4];
	int r = epoll_wait(block.id, e, 4, block_ms());

	return r == 0 ? 0 : block_wrong("epoll_wait", r, errno);
}

static int block_epoll_pwait(void)
{
	struct epoll_event e[4];
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = epoll_pwait(block.id, e, 4, block_ms(), &none);
	return r == 0 ? 0 : block_wrong("epoll_pwait", r, errno);
}

void setup_pipe(void)
{
	if (pipe(block.fd) != 0)
		victim_die("pipe");
}

static int block_poll(void)
{
	struct pollfd p = { .fd = block.fd[0], .events = POLLIN };
	int r = poll(&p, 1, block_ms());

	return r == 0 ? 0 : block_wrong("poll", r, errno);
}

static int block_ppoll(void)
{
	struct pollfd p = { .fd = block.fd[0], .events = POLLIN };
	struct timespec t = block_time();
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = ppoll(&p, 1, &t, &none);
	return r == 0 ? 0 : block_wrong("ppoll", r, errno);
}

static int block_select(void)
{
	struct timeval t = { .tv_usec = (suseconds_t)(block.wait_ns / 1000) };
	fd_set set;
	int r;

	FD_ZERO(&set);
	FD_SET(block.fd[0], &set);
	r = select(block.fd[0] + 1, &set, NULL, NULL, &t);
	return r == 0 ? 0 : block_wrong("select", r, errno);
}

static int block_pselect(void)
{
	struct timespec t = block_time();
	sigset_t none;
	fd_set set;
	int r;

	FD_ZERO(&set);
	FD_SET(block.fd[0], &set);
	sigemptyset(&none);
	r = pselect(block.fd[0] + 1, &set, NULL, NULL, &t, &none);
	return r == 0 ? 0 : block_wrong("pselect", r, errno);
}

static void setup_socket(void)
{
	struct timeval t = { .tv_usec = (suseconds_t)(block.wait_ns / 1000) };

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, block.fd) != 0 ||
	    setsockopt(block.fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) != 0)
		victim_die("socketpair");
}

static int block_recv(void)
{
	char c[8];
	ssize_t r = recv(block.fd[0], c, sizeof(c), 0);

	return r == -1 && errno == EAGAIN ? 0 : block_wrong("recv", r, r < 0 ? errno : 0);
}

static void setup_accept(void)
{
	struct timeval t = { .tv_usec = (suseconds_t)(block.wait_ns / 1000) };
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	block.fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (block.fd[0] < 0 || bind(block.fd[0], (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(block.fd[0], 4) != 0 ||
	    setsockopt(block.fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) != 0)
		victim_die("a listener");
}

static int block_accept(void)
{
	int r = accept(block.fd[0], NULL, NULL);

	return r == -1 && errno == EAGAIN ? 0 : block_wrong("accept", r, r < 0 ? errno : 0);
}

void setup_usr1(void)
{
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
}

static int block_sigtimedwait(void)
{
	struct timespec t = block_time();
	int r = sigtimedwait(&usr1, NULL, &t);

	return r == -1 && errno == EAGAIN ? 0 : block_wrong("sigtimedwait", r, r < 0 ? errno : 0);
}

static void setup_sem(void)
{
	block.id = semget(IPC_PRIVATE, 1, 0600);
	/* It goes when the last process that has it does: it has nothing of the kind. */
	if (block.id < 0)
		victim_die("semget");
}

static void end_sem(void)
{
	semctl(block.id, 0, IPC_RMID);
}

static int block_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec t = block_time();
	int r = semtimedop(block.id, &op, 1, &t);

	return r == -1 && errno == EAGAIN ? 0 : block_wrong("semtimedop", r, r < 0 ? errno : 0);
}

static void setup_aio(void)
{
	if (syscall(SYS_io_setup, 8, &aio) != 0)
		victim_die("io_setup");
}

static int block_io_getevents(void)
{
	struct timespec t = block_time();
	struct io_event e[2];
	long r = syscall(SYS_io_getevents, aio, 1, 2, e, &t);

	return r == 0 ? 0 : block_wrong("io_getevents", r, errno);
}

static void setup_uring(void)
{
	if (io_uring_queue_init(8, &ring, 0) != 0)
		victim_die("io_uring");
}

static int block_uring_timed(void)
{
	struct __kernel_timespec t = { .tv_nsec = (long long)block.wait_ns };
	struct io_uring_cqe *cqe;
	int r = io_uring_wait_cqe_timeout(&ring, &cqe, &t);

	return r == -ETIME ? 0 : block_wrong("io_uring_enter", r, -r);
}

static int block_uring(void)
{
	struct __kernel_timespec t = { .tv_nsec = (long long)block.wait_ns };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe = NULL;
	int r, wrong = 0;

	io_uring_prep_timeout(sqe, &t, 0, 0);
	io_uring_submit(&ring);
	while ((r = io_uring_wait_cqe(&ring, &cqe)) == -EINTR)
		wrong = block_wrong("io_uring_enter", r, EINTR);
	if (r != 0 || cqe->res != -ETIME)
		wrong = block_wrong("io_uring_enter", r, -r);
	if (r == 0)
		io_uring_cqe_seen(&ring, cqe);
	return wrong;
}

static int block_wait4(void)
{
	static unsigned char n;
	int status = 0;
	pid_t pid, got;

	n = (unsigned char)(n + 1);
	pid = fork();
	if (pid < 0)
		victim_die("fork");
	if (pid == 0) {
		victim_sleep_ns(block.wait_ns);
		_exit(n);
	}
	__atomic_store_n(&report->child, (uint64_t)pid, __ATOMIC_RELAXED);
	got = wait4(pid, &status, 0, NULL);
	if (got < 0 && errno == EINTR) {
		block_wrong("wait4", got, EINTR);
		got = wait4(pid, &status, 0, NULL);
	}
	__atomic_store_n(&report->child, 0, __ATOMIC_RELAXED);
	if (got != pid || !WIFEXITED(status) || WEXITSTATUS(status) != n)
		return block_wrong("wait4", got, got < 0 ? errno : 0);
	return 0;
}

const struct blocker blockers_timed[] = {
	{ "nanosleep", NULL, block_nanosleep, true, NULL },
	{ "clock_nanosleep", NULL, block_clock_nanosleep, true, NULL },
	{ "futex", NULL, block_futex, true, NULL },
	{ "epoll_wait", setup_epoll, block_epoll_wait, true, NULL },
	{ "epoll_pwait", setup_epoll, block_epoll_pwait, true, NULL },
	{ "poll", setup_pipe, block_poll, true, NULL },
	{ "ppoll", setup_pipe, block_ppoll, true, NULL },
	{ "select", setup_pipe, block_select, true, NULL },
	{ "pselect", setup_pipe, block_pselect, true, NULL },
	{ "recv", setup_socket, block_recv, true, NULL },
	{ "accept", setup_accept, block_accept, true, NULL },
	{ "sigtimedwait", setup_usr1, block_sigtimedwait, true, NULL },
	{ "semtimedop", setup_sem, block_semtimedop, true, end_sem },
	{ "io_getevents", setup_aio, block_io_getevents, true, NULL },
	{ "io_uring_enter", setup_uring, block_uring, true, NULL },
	{ "io_uring_timed", setup_uring, block_uring_timed, true, NULL },
	{ "wait4", NULL, block_wait4, true, NULL },
	{ NULL, NULL, NULL, false, NULL },
};
