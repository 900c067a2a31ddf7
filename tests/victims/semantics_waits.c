/* SPDX-License-Identifier: MIT */
/* Part of victim-semantics: calls that wait, and signals that meet them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

static pid_t sem_reader_after(int p[2], unsigned ms, size_t len)
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

void case_blocking(void)
{
	int p[2];
	pid_t pid;

	sem_pipe(p, 0);
	sem_stuff(p[1]);
	pid = sem_reader_after(p, 40, PIPE_BYTES);
	sem_say("waits for room", sem_put(p[1], sem_buf, 10, 0));
	sem_reap(pid);
	sem_pipe(p, 0);
	pid = sem_reader_after(p, 40, 2 * PIPE_BYTES);
	sem_say("more than fits", sem_put(p[1], sem_buf, 2 * PIPE_BYTES, 0));
	sem_say("the rest", sem_put(p[1], sem_buf, 2 * PIPE_BYTES - PIPE_BYTES, 0));
	close(p[0]);
	close(p[1]);
	sem_reap(pid);
}

void case_epipe(void)
{
	int p[2];

	sem_catch(SIGPIPE, 0);
	for (unsigned f = 0; f < 2; f++) {
		sem_pipe(p, 0);
		close(p[0]);
		sem_signals = 0;
		for (int i = 0; i < 50; i++)
			if (sem_put(p[1], sem_buf, 10, f ? SPLICE_F_NONBLOCK : 0) != -1 ||
			    errno != EPIPE || sem_signals != i + 1) {
				printf("signal %d: out of order\n", i);
				break;
			}
		printf("signals %d, each before the call returned\n", (int)sem_signals);
	}
	signal(SIGPIPE, SIG_IGN);
	sem_say("ignored", sem_put(p[1], sem_buf, 10, 0));
	if (sem_fork() == 0) {
		signal(SIGPIPE, SIG_DFL);
		(void)sem_put(p[1], sem_buf, 10, 0);
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

void case_signal(void)
{
	int p[2];
	pid_t pid;

	sem_pipe(p, 0);
	sem_stuff(p[1]);
	sem_catch(SIGALRM, 0);
	sem_alarm(40);
	sem_say("interrupted", sem_put(p[1], sem_buf, 10, 0));
	printf("signals %d\n", (int)sem_signals);
	sem_catch(SIGALRM, SA_RESTART);
	pid = sem_reader_after(p, 120, PIPE_BYTES);
	sem_alarm(40);
	sem_say("goes on", sem_put(p[1], sem_buf, 10, 0));
	printf("signals %d\n", (int)sem_signals);
	sem_reap(pid);
	sem_catch(SIGALRM, 0);
	sem_pipe(p, 0);
	sem_alarm(40);
	sem_say("a part, then a signal", sem_put(p[1], sem_buf, 2 * PIPE_BYTES, 0));
	sem_say("reading is interrupted", (sem_alarm(40), sem_say_read("read", p[0], PIPE_BYTES, 0),
				       sem_put(p[0], sem_buf, 10, 0)));
}

void case_stopped(void)
{
	int p[2];
	pid_t pid, self = getpid(), other;

	sem_pipe(p, 0);
	sem_stuff(p[1]);
	other = sem_fork();
	if (other == 0) {
		usleep(40000);
		kill(self, SIGSTOP);
		usleep(40000);
		kill(self, SIGCONT);
		_exit(0);
	}
	pid = sem_reader_after(p, 150, PIPE_BYTES);
	sem_say("stopped in the middle", sem_put(p[1], sem_buf, 10, 0));
	sem_reap(other);
	sem_reap(pid);
}

/* -------------------------------------------------------------------- storm */

static unsigned sem_writes = 20000;

/* Every number once, in order, while signals come from a timer. */
void case_storm(void)
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
		while (sem_put(p[1], at, sizeof(*at), 0) != sizeof(*at)) {
			if (errno != EINTR) {
				sem_say("storm", -1);
				exit(1);
			}
			interrupted++;
		}
	}
	memset(&t, 0, sizeof(t));
	setitimer(ITIMER_REAL, &t, NULL);
	close(p[1]);
	sem_reap(pid);
	fprintf(stderr, "%d signals, %u times interrupted\n", (int)sem_signals, interrupted);
}
