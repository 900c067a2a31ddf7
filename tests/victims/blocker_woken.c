/* SPDX-License-Identifier: MIT */
/* Part of victim-blocker: calls that somebody ends, the wakers. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blocker.h"
#include "victim.h"

static void *waker_run(void *arg)
{
	void (*wake)(void) = (void (*)(void))(uintptr_t)arg;

	for (;;) {
		victim_sleep_ns(block.wait_ns);
		/* Not ahead by more than a few. */
		while (__atomic_load_n(&block.sent, __ATOMIC_ACQUIRE) >=
		       __atomic_load_n(&block.received, __ATOMIC_ACQUIRE) + 4)
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
	uint64_t n = __atomic_fetch_add(&block.sent, 1, __ATOMIC_ACQ_REL);

	if (write(block.fd[1], &n, sizeof(n)) != sizeof(n))
		victim_error("the waker could not write");
}

static int block_got(const char *call, ssize_t r, uint64_t n)
{
	if (r != sizeof(n))
		return block_wrong(call, r, r < 0 ? errno : 0);
	if (n != block.received) {
		victim_error("%s: message %llu came when %llu was next", call,
			     (unsigned long long)n, (unsigned long long)block.received);
		block.received = n;
	}
	__atomic_fetch_add(&block.received, 1, __ATOMIC_ACQ_REL);
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
	ssize_t r = read(block.fd[0], &n, sizeof(n));

	return block_got("read", r, n);
}

static void setup_recv_forever(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, block.fd) != 0)
		victim_die("socketpair");
	waker_start(wake_by_bytes);
}

static int block_recv_forever(void)
{
	uint64_t n = 0;
	ssize_t r = recv(block.fd[0], &n, sizeof(n), MSG_WAITALL);

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
	int r = epoll_wait(block.id, &e, 1, -1);

	return r == 1 ? block_read() : block_wrong("epoll_wait", r, errno);
}

static void wake_futex(void)
{
	__atomic_fetch_add(&block.sent, 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&block.word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &block.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void setup_futex_forever(void)
{
	waker_start(wake_futex);
}

static int block_futex_forever(void)
{
	static uint32_t seen;

	while (__atomic_load_n(&block.word, __ATOMIC_SEQ_CST) == seen)
		if (syscall(SYS_futex, &block.word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0) != 0 &&
		    errno != EAGAIN)
			block_wrong("futex", -1, errno);
	seen++;
	__atomic_fetch_add(&block.received, 1, __ATOMIC_ACQ_REL);
	return 0;
}

static void signal_seen(int sig)
{
	(void)sig;
	__atomic_fetch_add(&block.received, 1, __ATOMIC_ACQ_REL);
}

static void wake_by_signal(void)
{
	/* One at a time: plain signals do not queue. */
	while (__atomic_load_n(&block.sent, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(&block.received, __ATOMIC_ACQUIRE))
		victim_sleep_ns(500000);
	__atomic_fetch_add(&block.sent, 1, __ATOMIC_ACQ_REL);
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
	uint64_t before = __atomic_load_n(&block.received, __ATOMIC_ACQUIRE);
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = sigsuspend(&none);
	if (r != -1 || errno != EINTR)
		return block_wrong("sigsuspend", r, errno == EINTR ? 0 : errno);
	if (__atomic_load_n(&block.received, __ATOMIC_ACQUIRE) != before + 1)
		victim_error("sigsuspend came back without its signal, or with two");
	return 0;
}

static void wake_by_message(void)
{
	struct {
		long type;
		uint64_t n;
	} m = { 1, __atomic_fetch_add(&block.sent, 1, __ATOMIC_ACQ_REL) };

	if (msgsnd(block.id, &m, sizeof(m.n), 0) != 0)
		victim_error("msgsnd: %s", strerror(errno));
}

static void setup_msg(void)
{
	block.id = msgget(IPC_PRIVATE, 0600);
	if (block.id < 0)
		victim_die("msgget");
	waker_start(wake_by_message);
}

static void end_msg(void)
{
	msgctl(block.id, IPC_RMID, NULL);
}

static int block_msgrcv(void)
{
	struct {
		long type;
		uint64_t n;
	} m = { 0 };
	ssize_t r = msgrcv(block.id, &m, sizeof(m.n), 0, 0);

	return block_got("msgrcv", r, m.n);
}

const struct blocker blockers_woken[] = {
	{ "futex_forever", setup_futex_forever, block_futex_forever, false, NULL },
	{ "epoll_forever", setup_epoll_forever, block_epoll_forever, false, NULL },
	{ "recv_forever", setup_recv_forever, block_recv_forever, false, NULL },
	{ "read", setup_read, block_read, false, NULL },
	{ "sigsuspend", setup_sigsuspend, block_sigsuspend, false, NULL },
	{ "msgrcv", setup_msg, block_msgrcv, false, end_msg },
	{ NULL, NULL, NULL, false, NULL },
};
