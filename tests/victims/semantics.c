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
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

enum sem_mode sem_mode;
bool sem_kernel;          /* nowait=kernel */
bool sem_restarts;        /* the handler of this case has SA_RESTART */
char *sem_self;
char sem_buf[256 * KIB] __attribute__((aligned(SEM_PAGE)));
char sem_got[256 * KIB] __attribute__((aligned(SEM_PAGE)));
char sem_word[8] = "call"; /* argv[2] */

/* ------------------------------------------------------------------ telling */

void sem_say(const char *what, ssize_t r)
{
	if (r < 0)
		printf("%s: -%s\n", what, strerrorname_np(errno));
	else
		printf("%s: %zd\n", what, r);
	fflush(stdout);
}

ssize_t sem_put(int fd, void *at, size_t len, unsigned flags)
{
	struct iovec iov = { at, len };

	return sem_do(fd, &iov, 1, flags);
}

void sem_pipe(int fds[2], int flags)
{
	if (pipe2(fds, flags) < 0)
		abort();
}

void sem_fill(char *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (char)(seed + i * 7 + i / 251);
}

void sem_say_read(const char *what, int fd, size_t len, unsigned seed)
{
	size_t n = 0;
	ssize_t r = 0;

	memset(sem_got, 0, sizeof(sem_got));
	while (n < len && (r = read(fd, sem_got + n, len - n)) > 0)
		n += (size_t)r;
	sem_fill(sem_buf, len, seed);
	printf("%s: %zu bytes, %s\n", what, n,
	       memcmp(sem_got, sem_buf, n) == 0 ? "right" : "wrong");
}

void sem_stuff(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	(void)fcntl(fd, F_SETFL, fl | O_NONBLOCK);
	while (write(fd, sem_got, SEM_PAGE) > 0)
		;
	(void)fcntl(fd, F_SETFL, fl);
}

pid_t sem_fork(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	return pid;
}

void sem_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		printf("child: status 0x%x\n", status);
}

/* ------------------------------------------------------------------ signals */

volatile sig_atomic_t sem_signals;

static void sem_handler(int sig)
{
	(void)sig;
	sem_signals++;
}

void sem_catch(int sig, int flags)
{
	struct sigaction act = { .sa_handler = sem_handler, .sa_flags = flags };

	sigaction(sig, &act, NULL);
	sem_restarts = flags & SA_RESTART;
}

/* ---------------------------------------------------------------- the cases */

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
	sem_fill(sem_buf, sizeof(sem_buf), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return fflush(stdout) != 0;
		}
	return 2;
}
