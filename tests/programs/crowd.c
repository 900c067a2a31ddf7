/* SPDX-License-Identifier: MIT */
/*
 * crowd N: N writers and N readers, all threads of one process, each pair with
 * a pipe between them that is mostly full or empty; prints "ok".
 * crowd signals: blocked threads and signals of the whole process: each wait
 * ends with EINTR or goes on, and no errno comes through that is the kernel's own.
 * crowd first: the first thread is blocked, and signals of the process end its
 * waits; ends with 7.
 * crowd stop: a thread is blocked, and a stop of the process is complete all
 * the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL (512u << 10)
#define PIECE 12000

struct pair {
	pthread_t writer, reader;
	int p[2];
	const char *wrong;
};

static unsigned char value(uint64_t at)
{
	return (unsigned char)(at * 31 + (at >> 12));
}

static void *writer(void *arg)
{
	static _Thread_local unsigned char text[PIECE];
	struct pair *x = arg;
	uint64_t done = 0;

	while (done < ALL) {
		struct iovec iov = { text, PIECE };
		ssize_t r;

		for (unsigned i = 0; i < PIECE; i++)
			text[i] = value(done + i);
		if (iov.iov_len > ALL - done)
			iov.iov_len = ALL - done;
		r = vmsplice(x->p[1], &iov, 1, 0);
		if (r <= 0) {
			x->wrong = "write";
			break;
		}
		done += (uint64_t)r;
	}
	(void)close(x->p[1]);
	return NULL;
}

static void *reader(void *arg)
{
	static _Thread_local unsigned char text[PIECE];
	struct pair *x = arg;
	uint64_t at = 0;

	for (;;) {
		struct iovec iov[2] = { { text, 5000 }, { text + 5000, PIECE - 5000 } };
		ssize_t r = vmsplice(x->p[0], iov, 2, 0);

		if (r < 0)
			x->wrong = "read";
		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++, at++)
			if (text[i] != value(at))
				x->wrong = "data";
	}
	if (at != ALL)
		x->wrong = "length";
	return NULL;
}

static int crowd(unsigned n)
{
	struct pair x[64];
	int wrong = 0;

	memset(x, 0, sizeof(x));
	for (unsigned i = 0; i < n; i++) {
		if (pipe(x[i].p) < 0 || fcntl(x[i].p[1], F_SETPIPE_SZ, 4096) < 0 ||
		    pthread_create(&x[i].reader, NULL, reader, &x[i]) ||
		    pthread_create(&x[i].writer, NULL, writer, &x[i]))
			return 1;
	}
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(x[i].writer, NULL);
		(void)pthread_join(x[i].reader, NULL);
		if (x[i].wrong)
			wrong = printf("pair %u: %s\n", i, x[i].wrong);
	}
	if (!wrong)
		printf("ok\n");
	return !!wrong;
}

/* ---------------------------------------------------------------- signals */

#define BLOCKED 4

static _Atomic int handled;
static int full[2];
static int ended, foreign;

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static void *blocked(void *arg)
{
	char text[4096] = "";
	struct iovec iov = { text, sizeof(text) };

	(void)arg;
	while (vmsplice(full[1], &iov, 1, 0) < 0) {
		if (errno == EPIPE)
			break;
		if (errno != EINTR)
			__atomic_fetch_add(&foreign, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	char text[65536] = "";
	pthread_t t[BLOCKED];
	int late = 0;
	sigset_t usr1;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigaction(SIGUSR1, &act, NULL);
	if (pipe(full) < 0 || write(full[1], text, sizeof(text)) != sizeof(text))
		return 1;
	for (int i = 0; i < BLOCKED; i++)
		if (pthread_create(&t[i], NULL, blocked, NULL))
			return 1;
	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	(void)usleep(100000);
	for (int i = 0; i < 8; i++) {
		int before = handled;

		(void)kill(getpid(), SIGUSR1); /* one of the blocked ones has to take it */
		for (int ms = 0; handled == before && ms < 1000; ms += 10)
			(void)usleep(10000);
		late += handled == before;
		(void)pthread_kill(t[i % BLOCKED], SIGUSR1);
		(void)usleep(20000);
	}
	(void)close(full[0]);
	for (int i = 0; i < BLOCKED; i++)
		(void)pthread_join(t[i], NULL);
	if (foreign || late || handled < 16)
		printf("%d foreign errnos, %d signals late, %d handled, %d waits ended\n", foreign,
		       late, handled, ended);
	else
		printf("ok\n");
	return 0;
}

static void *sender(void *arg)
{
	sigset_t usr1;

	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &usr1, arg);
	for (int i = 0; i < 40; i++) {
		int before = handled;

		(void)kill(getpid(), SIGUSR1);
		for (int ms = 0; handled == before && ms < 1000; ms++)
			(void)usleep(1000);
	}
	(void)close(full[0]);
	return NULL;
}

static int first(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	char text[65536] = "";
	pthread_t t;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigaction(SIGUSR1, &act, NULL);
	if (pipe(full) < 0 || write(full[1], text, sizeof(text)) != sizeof(text) ||
	    pthread_create(&t, NULL, sender, NULL))
		return 1;
	(void)blocked(NULL);
	(void)pthread_join(t, NULL);
	return handled == 40 && !foreign ? 7 : 2;
}

/* ------------------------------------------------------------------- stop */

static void *idle(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
	return NULL;
}

static int stop(void)
{
	char text[65536] = "";
	pthread_t t[2];
	siginfo_t info = { 0 };
	pid_t pid;

	if (pipe(full) < 0 || write(full[1], text, sizeof(text)) != sizeof(text))
		return 1;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&t[0], NULL, blocked, NULL) ||
		    pthread_create(&t[1], NULL, idle, NULL))
			_exit(1);
		(void)idle(NULL);
	}
	(void)usleep(200000);
	(void)kill(pid, SIGTSTP);
	for (int ms = 0; info.si_pid == 0 && ms < 2000; ms += 10) {
		(void)usleep(10000);
		(void)waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG);
	}
	printf(info.si_pid ? "ok\n" : "it did not stop\n");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "8";

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "signals") == 0)
		return signals();
	if (strcmp(what, "first") == 0)
		return first();
	if (strcmp(what, "stop") == 0)
		return stop();
	return crowd((unsigned)atoi(what) % 65);
}
