/* SPDX-License-Identifier: MIT */
/*
 * A victim that blocks in one system call again and again, and looks at what
 * each gave and how long it took.
 *	blocker CALL [--ms N]
 * CALL is a name of the table at the end, or "list".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "victim.h"

static uint64_t wait_ns;          /* of a call with a time-out, or until somebody wakes it */
static int fd[2] = { -1, -1 };    /* read from the first */
static int id = -1;               /* of System V things, io_uring, ... */
static uint32_t word;             /* a futex */
static uint64_t sent, received;   /* what a waker says */
static sigset_t usr1;
static aio_context_t aio;
static struct io_uring ring;

/* A call gave what it must not: EINTR is counted apart. */
static int block_wrong(const char *call, long got, int error)
{
	if (error == EINTR) {
		__atomic_fetch_add(&report->eintr, 1, __ATOMIC_RELAXED);
		return -1;
	}
	victim_error("%s gave %ld, %s", call, got, strerror(error));
	return -1;
}

static struct timespec block_time(void)
{
	return (struct timespec){ .tv_sec = (time_t)(wait_ns / 1000000000),
				  .tv_nsec = (long)(wait_ns % 1000000000) };
}

static int block_ms(void)
{
	return (int)(wait_ns / 1000000);
}

/* --------------------------------------------------- calls with a time-out */

static int block_nanosleep(void)
{
	struct timespec t = block_time(), rem = { 0 };

	return nanosleep(&t, &rem) == 0 ? 0 : block_wrong("nanosleep", -1, errno);
}

static int block_clock_nanosleep(void)
{
	uint64_t until = victim_now_ns() + wait_ns;
	struct timespec t = { (time_t)(until / 1000000000), (long)(until % 1000000000) };
	int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);

	return r == 0 ? 0 : block_wrong("clock_nanosleep", r, r);
}

static int block_futex(void)
{
	struct timespec t = block_time();

	if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) == -1 &&
	    errno == ETIMEDOUT)
		return 0;
	return block_wrong("futex", -1, errno);
}

static void setup_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	id = epoll_create1(0);
	if (id < 0 || pipe(fd) != 0 || epoll_ctl(id, EPOLL_CTL_ADD, fd[0], &e) != 0)
		victim_die("epoll");
}

static int block_epoll_wait(void)
{
	struct epoll_event e[4];
	int r = epoll_wait(id, e, 4, block_ms());

	return r == 0 ? 0 : block_wrong("epoll_wait", r, errno);
}

static int block_epoll_pwait(void)
{
	struct epoll_event e[4];
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = epoll_pwait(id, e, 4, block_ms(), &none);
	return r == 0 ? 0 : block_wrong("epoll_pwait", r, errno);
}

static void setup_pipe(void)
{
	if (pipe(fd) != 0)
		victim_die("pipe");
}

static int block_poll(void)
{
	struct pollfd p = { .fd = fd[0], .events = POLLIN };
	int r = poll(&p, 1, block_ms());

	return r == 0 ? 0 : block_wrong("poll", r, errno);
}

static int block_ppoll(void)
{
	struct pollfd p = { .fd = fd[0], .events = POLLIN };
	struct timespec t = block_time();
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = ppoll(&p, 1, &t, &none);
	return r == 0 ? 0 : block_wrong("ppoll", r, errno);
}

static int block_select(void)
{
	struct timeval t = { .tv_usec = (suseconds_t)(wait_ns / 1000) };
	fd_set set;
	int r;

	FD_ZERO(&set);
	FD_SET(fd[0], &set);
	r = select(fd[0] + 1, &set, NULL, NULL, &t);
	return r == 0 ? 0 : block_wrong("select", r, errno);
}

static int block_pselect(void)
{
	struct timespec t = block_time();
	sigset_t none;
	fd_set set;
	int r;

	FD_ZERO(&set);
	FD_SET(fd[0], &set);
	sigemptyset(&none);
	r = pselect(fd[0] + 1, &set, NULL, NULL, &t, &none);
	return r == 0 ? 0 : block_wrong("pselect", r, errno);
}

static void setup_socket(void)
{
	struct timeval t = { .tv_usec = (suseconds_t)(wait_ns / 1000) };

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0 ||
	    setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) != 0)
		victim_die("socketpair");
}

static int block_recv(void)
{
	char c[8];
	ssize_t r = recv(fd[0], c, sizeof(c), 0);

	return r == -1 && errno == EAGAIN ? 0 : block_wrong("recv", r, r < 0 ? errno : 0);
}

static void setup_accept(void)
{
	struct timeval t = { .tv_usec = (suseconds_t)(wait_ns / 1000) };
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (fd[0] < 0 || bind(fd[0], (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(fd[0], 4) != 0 ||
	    setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) != 0)
		victim_die("a listener");
}

static int block_accept(void)
{
	int r = accept(fd[0], NULL, NULL);

	return r == -1 && errno == EAGAIN ? 0 : block_wrong("accept", r, r < 0 ? errno : 0);
}

static void setup_usr1(void)
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
	id = semget(IPC_PRIVATE, 1, 0600);
	/* It goes when the last process that has it does: it has nothing of the kind. */
	if (id < 0)
		victim_die("semget");
}

static void end_sem(void)
{
	semctl(id, 0, IPC_RMID);
}

static int block_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec t = block_time();
	int r = semtimedop(id, &op, 1, &t);

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
	struct __kernel_timespec t = { .tv_nsec = (long long)wait_ns };
	struct io_uring_cqe *cqe;
	int r = io_uring_wait_cqe_timeout(&ring, &cqe, &t);

	return r == -ETIME ? 0 : block_wrong("io_uring_enter", r, -r);
}

static int block_uring(void)
{
	struct __kernel_timespec t = { .tv_nsec = (long long)wait_ns };
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

/* ----------------------------------------- calls that somebody ends: wakers */

static void *waker_run(void *arg)
{
	void (*wake)(void) = (void (*)(void))(uintptr_t)arg;

	for (;;) {
		victim_sleep_ns(wait_ns);
		/* Not ahead by more than a few. */
		while (__atomic_load_n(&sent, __ATOMIC_ACQUIRE) >=
		       __atomic_load_n(&received, __ATOMIC_ACQUIRE) + 4)
			victim_sleep_ns(1000000);
		wake();
	}
	return NULL;
}

static void waker_start(void (*wake)(void))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, waker_run, (void *)(uintptr_t)wake) != 0)
		victim_die("pthread_create");
}

static void wake_by_bytes(void)
{
	uint64_t n = __atomic_fetch_add(&sent, 1, __ATOMIC_ACQ_REL);

	if (write(fd[1], &n, sizeof(n)) != sizeof(n))
		victim_error("the waker could not write");
}

static int block_got(const char *call, ssize_t r, uint64_t n)
{
	if (r != sizeof(n))
		return block_wrong(call, r, r < 0 ? errno : 0);
	if (n != received) {
		victim_error("%s: message %llu came when %llu was next", call,
			     (unsigned long long)n, (unsigned long long)received);
		received = n;
	}
	__atomic_fetch_add(&received, 1, __ATOMIC_ACQ_REL);
	return 0;
}

static void setup_read(void)
{
	setup_pipe();
	waker_start(wake_by_bytes);
}

static int block_read(void)
{
	uint64_t n = 0;
	ssize_t r = read(fd[0], &n, sizeof(n));

	return block_got("read", r, n);
}

static void setup_recv_forever(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		victim_die("socketpair");
	waker_start(wake_by_bytes);
}

static int block_recv_forever(void)
{
	uint64_t n = 0;
	ssize_t r = recv(fd[0], &n, sizeof(n), MSG_WAITALL);

	return block_got("recv", r, n);
}

static void setup_epoll_forever(void)
{
	setup_epoll();
	waker_start(wake_by_bytes);
}

static int block_epoll_forever(void)
{
	struct epoll_event e;
	int r = epoll_wait(id, &e, 1, -1);

	return r == 1 ? block_read() : block_wrong("epoll_wait", r, errno);
}

static void wake_futex(void)
{
	__atomic_fetch_add(&sent, 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void setup_futex_forever(void)
{
	waker_start(wake_futex);
}

static int block_futex_forever(void)
{
	static uint32_t seen;

	while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == seen)
		if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0) != 0 &&
		    errno != EAGAIN)
			block_wrong("futex", -1, errno);
	seen++;
	__atomic_fetch_add(&received, 1, __ATOMIC_ACQ_REL);
	return 0;
}

static void signal_seen(int sig)
{
	(void)sig;
	__atomic_fetch_add(&received, 1, __ATOMIC_ACQ_REL);
}

static void wake_by_signal(void)
{
	/* One at a time: plain signals do not queue. */
	while (__atomic_load_n(&sent, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(&received, __ATOMIC_ACQUIRE))
		victim_sleep_ns(500000);
	__atomic_fetch_add(&sent, 1, __ATOMIC_ACQ_REL);
	kill(getpid(), SIGUSR1);
}

static void setup_sigsuspend(void)
{
	setup_usr1();
	signal(SIGUSR1, signal_seen);
	waker_start(wake_by_signal);
}

static int block_sigsuspend(void)
{
	uint64_t before = __atomic_load_n(&received, __ATOMIC_ACQUIRE);
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = sigsuspend(&none);
	if (r != -1 || errno != EINTR)
		return block_wrong("sigsuspend", r, errno == EINTR ? 0 : errno);
	if (__atomic_load_n(&received, __ATOMIC_ACQUIRE) != before + 1)
		victim_error("sigsuspend came back without its signal, or with two");
	return 0;
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
		victim_sleep_ns(wait_ns);
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

static void wake_by_message(void)
{
	struct {
		long type;
		uint64_t n;
	} m = { 1, __atomic_fetch_add(&sent, 1, __ATOMIC_ACQ_REL) };

	if (msgsnd(id, &m, sizeof(m.n), 0) != 0)
		victim_error("msgsnd: %s", strerror(errno));
}

static void setup_msg(void)
{
	id = msgget(IPC_PRIVATE, 0600);
	if (id < 0)
		victim_die("msgget");
	waker_start(wake_by_message);
}

static void end_msg(void)
{
	msgctl(id, IPC_RMID, NULL);
}

static int block_msgrcv(void)
{
	struct {
		long type;
		uint64_t n;
	} m = { 0 };
	ssize_t r = msgrcv(id, &m, sizeof(m.n), 0, 0);

	return block_got("msgrcv", r, m.n);
}

/* --------------------------------------------------------------- the table */

static const struct blocker {
	const char *name;
	void (*setup)(void);
	int (*once)(void);
	bool timed;               /* never comes back before wait_ns */
	void (*end)(void);
} blockers[] = {
	{ "nanosleep", NULL, block_nanosleep, true, NULL },
	{ "clock_nanosleep", NULL, block_clock_nanosleep, true, NULL },
	{ "futex", NULL, block_futex, true, NULL },
	{ "futex_forever", setup_futex_forever, block_futex_forever, false, NULL },
	{ "epoll_wait", setup_epoll, block_epoll_wait, true, NULL },
	{ "epoll_pwait", setup_epoll, block_epoll_pwait, true, NULL },
	{ "epoll_forever", setup_epoll_forever, block_epoll_forever, false, NULL },
	{ "poll", setup_pipe, block_poll, true, NULL },
	{ "ppoll", setup_pipe, block_ppoll, true, NULL },
	{ "select", setup_pipe, block_select, true, NULL },
	{ "pselect", setup_pipe, block_pselect, true, NULL },
	{ "recv", setup_socket, block_recv, true, NULL },
	{ "recv_forever", setup_recv_forever, block_recv_forever, false, NULL },
	{ "accept", setup_accept, block_accept, true, NULL },
	{ "read", setup_read, block_read, false, NULL },
	{ "sigtimedwait", setup_usr1, block_sigtimedwait, true, NULL },
	{ "sigsuspend", setup_sigsuspend, block_sigsuspend, false, NULL },
	{ "semtimedop", setup_sem, block_semtimedop, true, end_sem },
	{ "msgrcv", setup_msg, block_msgrcv, false, end_msg },
	{ "io_getevents", setup_aio, block_io_getevents, true, NULL },
	{ "io_uring_enter", setup_uring, block_uring, true, NULL },
	{ "io_uring_timed", setup_uring, block_uring_timed, true, NULL },
	{ "wait4", NULL, block_wait4, true, NULL },
};

#define BLOCKERS (sizeof(blockers) / sizeof(*blockers))
/* Some calls count in clock ticks or jiffies, or round to milliseconds. */
#define EARLY_NS 1000000

static const struct blocker *blocker_find(const char *name)
{
	size_t i;

	for (i = 0; i < BLOCKERS; i++)
		if (strcmp(blockers[i].name, name) == 0)
			return &blockers[i];
	return NULL;
}

static _Noreturn void blocker_loop(const struct blocker *b)
{
	uint64_t begin, took;
	int r;

	for (;;) {
		begin = victim_now_ns();
		r = b->once();
		took = victim_now_ns() - begin;
		if (b->timed && r == 0 && took + EARLY_NS < wait_ns)
			victim_error("%s came back after %llu of %llu us", b->name,
				     (unsigned long long)took / 1000,
				     (unsigned long long)wait_ns / 1000);
		if (b->timed && took > wait_ns && took - wait_ns > report->late_max_ns)
			report->late_max_ns = took - wait_ns;
		victim_round();
	}
}

/* System V objects outlive who made them: a second process takes them away. */
static void blocker_undertaker(const struct blocker *b)
{
	int life[2];
	char c;

	if (!b->end)
		return;
	if (pipe2(life, O_CLOEXEC) != 0)
		victim_die("pipe");
	switch (fork()) {
	case -1:
		victim_die("fork");
	case 0:
		if (fork() != 0)
			_exit(0);
		prctl(PR_SET_NAME, "undertaker");
		close(life[1]);
		close(1);
		close(2);
		while (read(life[0], &c, 1) < 0)
			;
		b->end();
		_exit(0);
	default:
		wait(NULL);
		close(life[0]);
	}
}

int main(int argc, char **argv)
{
	const struct blocker *b = argc > 1 ? blocker_find(argv[1]) : NULL;
	size_t i;

	if (argc > 1 && strcmp(argv[1], "list") == 0) {
		for (i = 0; i < BLOCKERS; i++)
			puts(blockers[i].name);
		return 0;
	}
	victim_start(&argc, argv);
	wait_ns = victim_option(argc, argv, "--ms", 20) * 1000000;
	if (!b)
		victim_die("which call? (\"list\" lists them)");
	if (b->setup)
		b->setup();
	blocker_undertaker(b);
	victim_ready();
	blocker_loop(b);
}
