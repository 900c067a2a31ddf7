/* SPDX-License-Identifier: MIT */
/*
 * contract SEED STEPS: random calls, right and wrong ones, and what came of
 * them, one line each: to be the same whoever carries them out.
 *
 * Pipes are emptied after each call: how many pages fit beside those that are
 * there is not the same for a page that is lent and for bytes that are copied.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_MAX (300 * 1024)

static uint64_t state;
static volatile sig_atomic_t sigpipes;
static char data[FILE_MAX], sink[FILE_MAX * 2];

static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static void on_pipe(int sig)
{
	(void)sig;
	sigpipes++;
}

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

/* ------------------------------------------------------------------ ends */

enum { IN_MAX = 8, OUT_MAX = 12 };
static struct {
	const char *name;
	int fd;
} ins[IN_MAX];
static struct {
	const char *name;
	int fd, peer; /* where it comes out; -1: nowhere */
} outs[OUT_MAX];
static int ins_n, outs_n;

static void in(const char *name, int fd)
{
	ins[ins_n].name = name;
	ins[ins_n++].fd = fd;
}

static void out(const char *name, int fd, int peer)
{
	if (peer >= 0 && fcntl(peer, F_SETFL, fcntl(peer, F_GETFL) | O_NONBLOCK) < 0)
		die("fcntl");
	outs[outs_n].name = name;
	outs[outs_n].fd = fd;
	outs[outs_n++].peer = peer;
}

static int file(size_t size)
{
	char path[] = "/tmp/decant-contract-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		die("file");
	(void)unlink(path);
	return fd;
}

static void pipes(const char *name, int flags, int size)
{
	int p[2];

	if (pipe2(p, flags) < 0)
		die("pipe2");
	if (size && fcntl(p[1], F_SETPIPE_SZ, size) < 0)
		die("F_SETPIPE_SZ");
	out(name, p[1], p[0]);
}

static void fifo(void)
{
	char dir[] = "/tmp/decant-contract-XXXXXX", path[64];
	int r, w;

	if (!mkdtemp(dir))
		die("mkdtemp");
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	if (mkfifo(path, 0600) < 0)
		die("mkfifo");
	r = open(path, O_RDONLY | O_NONBLOCK);
	w = open(path, O_WRONLY);
	(void)unlink(path);
	(void)rmdir(dir);
	out("fifo", w, r);
}

static void sockets(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0), s[2];
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0 ||
	    connect(s[0], (struct sockaddr *)&at, len) < 0)
		die("tcp");
	s[1] = accept(listener, NULL, NULL);
	(void)close(listener);
	out("tcp", s[0], s[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) < 0)
		die("socketpair");
	out("unix", s[0], s[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) < 0)
		die("socketpair");
	out("seqpacket", s[0], s[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		die("socketpair");
	(void)close(s[1]);
	out("unix-broken", s[0], -1);
}

static void make(void)
{
	int p[2];

	for (size_t i = 0; i < FILE_MAX; i++)
		data[i] = (char)rnd(256);
	in("file", file(FILE_MAX));
	in("odd", file(10007));
	in("empty", file(0));
	in("memfd", memfd_create("contract", 0));
	if (write(ins[3].fd, data, 70000) != 70000)
		die("memfd");
	in("write-only", open("/dev/null", O_WRONLY));
	in("dir", open("/", O_RDONLY | O_DIRECTORY));
	in("zero", open("/dev/zero", O_RDONLY));
	in("proc", open("/proc/self/limits", O_RDONLY));
	pipes("pipe", 0, 0);
	pipes("nonblock", O_NONBLOCK, 0);
	pipes("big", 0, 1 << 20);
	pipes("tiny", O_NONBLOCK, 4096);
	fifo();
	sockets();
	if (pipe(p) < 0)
		die("pipe");
	(void)close(p[0]);
	out("broken", p[1], -1);
	out("read-only", open("/dev/null", O_RDONLY), -1);
	out("null", open("/dev/null", O_WRONLY), -1);
}

/* ----------------------------------------------------------------- calls */

/* All that came out at the other end: how much, and a sum of it. */
static void drain(int fd, ssize_t moved)
{
	uint64_t sum = 1469598103934665603u;
	size_t total = 0;
	ssize_t n;

	if (fd < 0)
		return;
	/* What TCP has on the way is there a moment later. */
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if ((ssize_t)total < moved)
			(void)poll(&p, 1, 2000);
		n = read(fd, sink, sizeof(sink));
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ (unsigned char)sink[i]) * 1099511628211u;
		total += (size_t)n;
	}
	printf(" out %zu %llx", total, (unsigned long long)sum);
}

static size_t length(void)
{
	static const size_t some[] = { 0, 1, 100, 4095, 4096, 4097, 10007, 65535, 65536, 65537,
				       100000, 200000, 1 << 20 };

	return some[rnd(sizeof(some) / sizeof(some[0]))];
}

/* A socket that is full would have us wait for ourselves. */
static size_t length_for(int fd)
{
	size_t len = length();
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && len > 65537 ? 65537 : len;
}

static off64_t offset(void)
{
	static const off64_t some[] = { 0, 0, 1, 4096, 5000, 10006, 10007, 65536, FILE_MAX - 1,
					FILE_MAX, FILE_MAX + 1, 1ll << 40, -1, INT64_MAX };

	return some[rnd(sizeof(some) / sizeof(some[0]))];
}

static void result(ssize_t r, int error)
{
	printf(" = %zd %s pipes %d", r, r < 0 ? strerrorname_np(error) : "", (int)sigpipes);
}

static void do_sendfile(void)
{
	int i = (int)rnd(ins_n), o = (int)rnd(outs_n), how = (int)rnd(8);
	size_t len = length_for(outs[o].fd);
	off64_t off = offset(), *p = &off;
	ssize_t r;
	int error;

	if (how < 3)
		p = NULL;
	else if (how == 3)
		p = (off64_t *)8;
	if (how == 0 && lseek(ins[i].fd, offset() & 0xfffff, SEEK_SET) < 0)
		errno = 0;
	errno = 0;
	r = sendfile(outs[o].fd, ins[i].fd, p, len);
	error = errno;
	printf("sendfile %s %s %zu %s", ins[i].name, outs[o].name, len, p == &off ? "at" : "pos");
	result(r, error);
	printf(" off %lld pos %lld", (long long)off, (long long)lseek(ins[i].fd, 0, SEEK_CUR));
	drain(outs[o].peer, r);
	printf("\n");
}

static void do_splice(void)
{
	int i = (int)rnd(ins_n), o = (int)rnd(outs_n), how = (int)rnd(8);
	size_t len = length_for(outs[o].fd);
	off64_t off = offset(), *p = &off, off_out = 0;
	unsigned flags = rnd(16) == 0 ? 64 : (unsigned)rnd(2) * SPLICE_F_NONBLOCK |
					     (unsigned)rnd(2) * SPLICE_F_MORE;
	ssize_t r;
	int error;

	if (how < 3)
		p = NULL;
	else if (how == 3)
		p = (off64_t *)8;
	if (how == 0 && lseek(ins[i].fd, offset() & 0xfffff, SEEK_SET) < 0)
		errno = 0;
	errno = 0;
	r = splice(ins[i].fd, p, outs[o].fd, rnd(12) ? NULL : &off_out, len, flags);
	error = errno;
	printf("splice %s %s %zu %s flags %u", ins[i].name, outs[o].name, len,
	       p == &off ? "at" : "pos", flags);
	result(r, error);
	printf(" off %lld pos %lld", (long long)off, (long long)lseek(ins[i].fd, 0, SEEK_CUR));
	drain(outs[o].peer, r);
	printf("\n");
}

/* From a pipe that holds something; what is left in it counts too. */
static void do_tee(void)
{
	int o = (int)rnd(outs_n), p[2];
	size_t len = length(), held = length();
	unsigned flags = rnd(16) == 0 ? 64 : (unsigned)rnd(2) * SPLICE_F_NONBLOCK;
	ssize_t r, kept;
	int error, same;

	if (pipe2(p, rnd(2) ? O_NONBLOCK : 0) < 0)
		die("pipe2");
	if (held > 50000)
		held = 50000;
	if (held && write(p[1], data, held) != (ssize_t)held)
		die("write");
	if (!held && !rnd(3)) {
		(void)close(p[1]);
		p[1] = -1;
	} else if (!held) {
		flags |= SPLICE_F_NONBLOCK;
	}
	same = p[1] >= 0 && !rnd(10);
	errno = 0;
	r = tee(p[0], same ? p[1] : outs[o].fd, len, flags);
	error = errno;
	printf("tee %zu %s %zu flags %u", held, same ? "same" : outs[o].name, len, flags);
	result(r, error);
	if (p[1] >= 0)
		(void)close(p[1]);
	kept = read(p[0], sink, sizeof(sink));
	printf(" kept %zd %s", kept,
	       kept > 0 && memcmp(sink, data, (size_t)kept) != 0 ? "DIFFERENT" : "");
	(void)close(p[0]);
	drain(outs[o].peer, r);
	printf("\n");
}

/* What has pipes on both sides, or files, passes as it is. */
static void do_other(void)
{
	int o = (int)rnd(outs_n), i = (int)rnd(ins_n), p[2], error;
	size_t len = length();
	off64_t off = offset();
	ssize_t r;

	if (rnd(3) == 0) {
		int to = file(100);

		errno = 0;
		r = copy_file_range(ins[i].fd, rnd(2) ? &off : NULL, rnd(4) ? to : outs[o].fd, NULL,
				    len, rnd(8) ? 0 : 1);
		error = errno;
		printf("copy_file_range %s %zu", ins[i].name, len);
		result(r, error);
		printf(" off %lld at %lld\n", (long long)off, (long long)lseek(to, 0, SEEK_CUR));
		(void)close(to);
		return;
	}
	if (pipe(p) < 0 || write(p[1], data, 20000) != 20000)
		die("pipe");
	(void)close(p[1]);
	errno = 0;
	r = splice(p[0], NULL, outs[o].fd, NULL, len, SPLICE_F_NONBLOCK);
	error = errno;
	printf("splice pipe %s %zu", outs[o].name, len);
	result(r, error);
	printf(" left %zd", read(p[0], sink, sizeof(sink)));
	(void)close(p[0]);
	drain(outs[o].peer, r);
	printf("\n");
}

static void do_vmsplice(void)
{
	int o = (int)rnd(outs_n), bad = (int)rnd(12), error;
	struct iovec iov[3] = { { data + rnd(5000), length() % 20000 },
				{ data + rnd(5000), length() % 20000 }, { data, 1 } };
	unsigned flags = rnd(16) == 0 ? 64 : (unsigned)rnd(2) * SPLICE_F_NONBLOCK |
					     (unsigned)rnd(2) * SPLICE_F_GIFT;
	size_t n = rnd(10) ? rnd(4) : 1025;
	ssize_t r;

	if (bad == 0)
		iov[0].iov_base = (void *)8;
	errno = 0;
	r = vmsplice(outs[o].fd, bad == 1 ? (struct iovec *)8 : iov, n, flags);
	error = errno;
	printf("vmsplice %s %zu flags %u", outs[o].name, n, flags);
	result(r, error);
	drain(outs[o].peer, r);
	printf("\n");
}

int main(int argc, char **argv)
{
	int steps = argc > 2 ? atoi(argv[2]) : 100;
	state = 88172645463325252u ^ (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b9u;
	(void)signal(SIGPIPE, on_pipe);
	make();
	for (int i = 0; i < steps; i++) {
		switch (rnd(argc > 3 ? 8 : 7)) {
		case 0:
		case 1:
			do_sendfile();
			break;
		case 2:
		case 3:
			do_splice();
			break;
		case 4:
		case 5:
			do_tee();
			break;
		case 6:
			do_other();
			break;
		default:
			do_vmsplice();
			break;
		}
	}
	return 0;
}
