/* SPDX-License-Identifier: MIT */
/*
 * storm HOW N [restart]: N records through a pipe while signals rain, none
 * twice, none lost.  HOW: vmsplice, splice (from a file), sendfile, tee; or
 * socket: sendfile to a blocking TCP socket.  Prints "ok", or what is wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORD 512u /* so that a pipe's page and a record end together */

static volatile sig_atomic_t signals;
static uint64_t restarts;

static void on_alarm(int sig)
{
	(void)sig;
	signals++;
}

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void record(uint64_t *r, uint64_t i)
{
	for (unsigned k = 0; k < RECORD / 8; k++)
		r[k] = i * 0x9e3779b97f4a7c15u + k;
}

/* In a process of its own; slow now and then, so that the pipe is full. */
static int reader(int fd, uint64_t n)
{
	static char text[1 << 16];
	uint64_t want[RECORD / 8], at = 0, seen = 0;
	ssize_t got;

	while ((got = read(fd, text, 1 + (size_t)rand() % sizeof(text))) > 0) {
		for (ssize_t i = 0; i < got; i++, at++) {
			if (at % RECORD == 0)
				record(want, at / RECORD);
			if (text[i] != ((char *)want)[at % RECORD]) {
				printf("byte %llu of record %llu is wrong\n",
				       (unsigned long long)(at % RECORD),
				       (unsigned long long)(at / RECORD));
				return 1;
			}
		}
		if (seen++ % 16 == 0)
			(void)usleep(200);
	}
	if (at != n * RECORD) {
		printf("%llu bytes came, not %llu\n", (unsigned long long)at,
		       (unsigned long long)n * RECORD);
		return 1;
	}
	return 0;
}

/* One call for what is left; how much it moved. */
static ssize_t step(char how, int from, int to, off64_t *off, const char *p, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };
	char text[4096];
	ssize_t r;

	switch (how) {
	case 'v':
		return vmsplice(to, &iov, 1, 0);
	case 's':
		return splice(from, off, to, NULL, len, 0);
	case 't':
		r = tee(from, to, len, 0);
		/* What was doubled is taken out of the first pipe. */
		for (ssize_t left = r; left > 0;) {
			ssize_t got = read(from, text, (size_t)left < sizeof(text) ?
							       (size_t)left : sizeof(text));

			if (got > 0)
				left -= got;
			else if (got == 0 || errno != EINTR)
				die("read");
		}
		return r;
	default:
		return sendfile(to, from, off, len);
	}
}

static void writer(char how, int from, int to, uint64_t n)
{
	static char text[4 * RECORD];
	uint64_t done = 0, all = n * RECORD;
	off64_t off = 0;

	while (done < all) {
		size_t at = done % RECORD, len;
		ssize_t r;

		record((uint64_t *)(void *)text, done / RECORD);
		record((uint64_t *)(void *)(text + RECORD), done / RECORD + 1);
		len = how == 'v' ? 2 * RECORD - at : 1 + (size_t)rand() % (8 * RECORD);
		if (len > all - done)
			len = all - done;
		r = step(how, from, to, &off, text + at, len);
		if (r < 0 && errno == EINTR) {
			restarts++;
			continue;
		}
		if (r <= 0)
			die("call");
		done += (uint64_t)r;
		if (how != 'v' && how != 't' && (uint64_t)off != done) {
			printf("the offset is %lld after %llu bytes\n", (long long)off,
			       (unsigned long long)done);
			exit(1);
		}
	}
}

static int source_file(uint64_t n)
{
	char path[] = "/tmp/decant-storm-XXXXXX";
	uint64_t r[RECORD / 8];
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		die("mkstemp");
	(void)unlink(path);
	for (uint64_t i = 0; i < n; i++) {
		record(r, i);
		if (fwrite(r, sizeof(r), 1, f) != 1)
			die("fwrite");
	}
	if (fflush(f))
		die("fflush");
	return fd;
}

/* A process that writes the records into a pipe, for tee(). */
static int source_pipe(uint64_t n)
{
	uint64_t r[RECORD / 8];
	int p[2];

	if (pipe(p) < 0)
		die("pipe");
	if (fork() == 0) {
		(void)close(p[0]);
		for (uint64_t i = 0; i < n; i++) {
			record(r, i);
			if (write(p[1], r, sizeof(r)) != sizeof(r))
				_exit(1);
		}
		_exit(0);
	}
	(void)close(p[1]);
	return p[0];
}

static void tcp(int ret[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0), size = 1;
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ret[1] = socket(AF_INET, SOCK_STREAM, 0);
	(void)setsockopt(ret[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0 ||
	    connect(ret[1], (struct sockaddr *)&at, len) < 0)
		die("tcp");
	ret[0] = accept(listener, NULL, NULL);
	(void)close(listener);
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval rain = { { 0, 300 }, { 0, 300 } };
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000;
	char how = argc > 1 ? argv[1][1] == 'o' ? 'k' : argv[1][0] : 'v';
	int p[2], from = -1, status;
	pid_t pid;

	if (argc > 1 && strcmp(argv[1], "sendfile") == 0)
		how = 'f';
	if (argc > 3)
		act.sa_flags = SA_RESTART;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (how == 'k')
		tcp(p);
	else if (pipe(p) < 0)
		die("pipe");
	if (how == 's' || how == 'f' || how == 'k')
		from = source_file(n);
	if (how == 't')
		from = source_pipe(n);
	pid = fork();
	if (pid == 0) {
		(void)close(p[1]);
		_exit(reader(p[0], n));
	}
	(void)close(p[0]);
	(void)sigaction(SIGALRM, &act, NULL);
	(void)setitimer(ITIMER_REAL, &rain, NULL);
	writer(how, from, p[1], n);
	memset(&rain, 0, sizeof(rain));
	(void)setitimer(ITIMER_REAL, &rain, NULL);
	(void)close(p[1]);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 1;
	if (argc > 3 && restarts)
		printf("%llu calls ended with EINTR in spite of SA_RESTART\n",
		       (unsigned long long)restarts);
	else
		printf("ok\n");
	fprintf(stderr, "# %d signals, %llu calls ended by one\n", (int)signals,
		(unsigned long long)restarts);
	return 0;
}
