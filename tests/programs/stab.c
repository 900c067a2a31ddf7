/* SPDX-License-Identifier: MIT */
/*
 * Is a later write seen?  One line per way: "NAME old", "NAME new", or
 * "NAME mixed", and what went wrong where something did.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LEN 32768

static char text[LEN];

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int file_make(void)
{
	char path[] = "/tmp/decant-stab-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0)
		die("mkstemp");
	(void)unlink(path);
	return fd;
}

static void fill(int fd, char c)
{
	memset(text, c, LEN);
	if (pwrite(fd, text, LEN, 0) != LEN)
		die("pwrite");
}

static void say(const char *name, int from)
{
	size_t got = 0, news = 0;

	while (got < LEN) {
		ssize_t n = read(from, text + got, LEN - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	for (size_t i = 0; i < got; i++)
		news += text[i] == 'n';
	printf("%s %s\n", name, got < LEN ? "short" : news == 0 ? "old" : news == LEN ? "new" :
			  "mixed");
}

static void pipe_make(int fds[2])
{
	if (pipe(fds) < 0)
		die("pipe");
}

static void tcp_make(int ret[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ret[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0 ||
	    connect(ret[0], (struct sockaddr *)&at, len) < 0)
		die("tcp");
	ret[1] = accept(listener, NULL, NULL);
	(void)close(listener);
}

static void move(const char *what, ssize_t n)
{
	if (n != LEN) {
		printf("# %s moved %zd: %s\n", what, n, strerror(errno));
		exit(1);
	}
}

static void by_pipe(const char *name, int fd, int how)
{
	int p[2], q[2], t[2], out;
	off64_t off = 0;

	pipe_make(p);
	fill(fd, 'o');
	if (lseek(fd, 0, SEEK_SET) < 0)
		die("lseek");
	if (how == 's')
		move(name, splice(fd, &off, p[1], NULL, LEN, 0));
	else if (how == 'f')
		move(name, sendfile(p[1], fd, NULL, LEN));
	else
		move(name, splice(fd, NULL, p[1], NULL, LEN, 0));
	if (how == 's' ? off != LEN : lseek(fd, 0, SEEK_CUR) != LEN)
		printf("# %s: the position is wrong\n", name);
	out = p[0];
	if (how == 't') {
		tcp_make(t);
		move(name, splice(p[0], NULL, t[0], NULL, LEN, 0));
		out = t[1];
	}
	if (how == 'e') {
		pipe_make(q);
		move(name, tee(p[0], q[1], LEN, 0));
		out = q[0];
	}
	if (how == 'm') {
		char *map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (map == MAP_FAILED)
			die("mmap");
		memset(map, 'n', LEN);
	} else {
		fill(fd, 'n');
	}
	say(name, out);
}

static void by_socket(const char *name, int fd, int to, int from)
{
	off_t off = 0;

	fill(fd, 'o');
	move(name, sendfile(to, fd, &off, LEN));
	fill(fd, 'n');
	say(name, from);
}

/* What is in the first pipe is live in any case: does tee() share it? */
static void by_tee(void)
{
	char *memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { memory, LEN };
	int p[2], q[2];

	pipe_make(p);
	pipe_make(q);
	memset(memory, 'o', LEN);
	move("vmsplice", vmsplice(p[1], &iov, 1, 0));
	move("tee", tee(p[0], q[1], LEN, 0));
	memset(memory, 'n', LEN);
	say("tee", q[0]);
}

int main(void)
{
	int s[2];

	by_pipe("splice", file_make(), 's');
	by_pipe("f_pos", file_make(), 'p');
	by_pipe("sendfile-pipe", file_make(), 'f');
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		die("socketpair");
	by_socket("sendfile-unix", file_make(), s[0], s[1]);
	tcp_make(s);
	by_socket("sendfile-tcp", file_make(), s[0], s[1]);
	by_tee();
	by_pipe("file-tee", file_make(), 'e');
	by_pipe("file-pipe-tcp", file_make(), 't');
	by_pipe("memfd", memfd_create("stab", 0), 's');
	by_pipe("memfd-mmap", memfd_create("stab", 0), 'm');
	return 0;
}
