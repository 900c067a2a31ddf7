/* SPDX-License-Identifier: MIT */
#include "lib/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kit.h"

#define NET_RATE_KBIT 8000
#define NET_SMALL 4096
/*
 * Less, and TCP itself crawls: with segments of 64 KiB, and buffers that are
 * charged for whole pages, its window closes and the persist timer sets the pace.
 */
#define NET_SMALL_TCP (256 << 10)
#define NET_SMALL_SEND (64 << 10)

const char *const pair_names[PAIR_KINDS] = { "loopback", "veth", "slow-veth",
					     "unix",     "pipe", "fifo" };

/*
 * Two namespaces, "a" sends and "b" receives, joined by two veth pairs; the
 * second is the slow one.
 */
static struct {
	int home, a, b;
	bool made;
	uint32_t rate_kbit;
} net = { -1, -1, -1, false, 0 };

static int net_ns(void)
{
	return kit_must(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

static void net_in(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void net_in(int ns, const char *fmt, ...)
{
	char text[256], *argv[32], *state = NULL;
	unsigned n = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *s = strtok_r(text, " ", &state); s && n < 31; s = strtok_r(NULL, " ", &state))
		argv[n++] = s;
	argv[n] = NULL;
	if (kit_run_in(ns, argv))
		kit_die("%s %s failed in the test's network namespace", argv[0], argv[1]);
}

static void net_make(void)
{
	if (net.made)
		return;
	if (geteuid() != 0)
		kit_die("needs root: it makes network namespaces of its own");
	net.home = net_ns();
	kit_must(unshare(CLONE_NEWNET));
	net.a = net_ns();
	kit_must(unshare(CLONE_NEWNET));
	net.b = net_ns();
	kit_must(setns(net.home, CLONE_NEWNET));
	net_in(net.a, "ip link set lo up");
	net_in(net.b, "ip link set lo up");
	for (int i = 0; i < 2; i++) {
		net_in(net.a,
		       "ip link add decant%d type veth peer name peer%d netns /proc/%d/fd/%d", i, i,
		       (int)getpid(), net.b);
		net_in(net.a, "ip addr add 10.213.%d.1/30 dev decant%d", i, i);
		net_in(net.b, "ip addr add 10.213.%d.2/30 dev peer%d", i, i);
		net_in(net.a, "ip link set decant%d up", i);
		net_in(net.b, "ip link set peer%d up", i);
	}
	net.made = true;
}

static void net_rate(uint32_t rate_kbit)
{
	if (net.rate_kbit != rate_kbit)
		net_in(net.a,
		       "tc qdisc replace dev decant1 root tbf rate %ukbit burst 16kb limit 4mb",
		       rate_kbit);
	net.rate_kbit = rate_kbit;
}

static int net_socket(int ns)
{
	int fd;

	kit_must(setns(ns, CLONE_NEWNET));
	fd = kit_must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	kit_must(setns(net.home, CLONE_NEWNET));
	return fd;
}

/* FORCE: past the sysctl limits; before connect, for the window's scale. */
static void pair_buffer(int fd, int option, const struct pair_options *o)
{
	int small = option == SO_SNDBUFFORCE ? NET_SMALL_SEND : NET_SMALL_TCP;
	int bytes = o->small ? small : (int)(o->holds + o->holds / 2 + (1 << 18));

	if (o->small || o->holds)
		kit_must(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes)));
}

static void pair_tcp(struct pair *p, const struct pair_options *o)
{
	bool local = p->kind == PAIR_LOOPBACK;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener, one = 1;

	net_make();
	if (p->kind == PAIR_SLOW)
		net_rate(o->rate_kbit ? o->rate_kbit : NET_RATE_KBIT);
	addr.sin_addr.s_addr = inet_addr(p->kind == PAIR_LOOPBACK ? "127.0.0.1"
					 : p->kind == PAIR_VETH	  ? "10.213.0.2"
								  : "10.213.1.2");
	listener = net_socket(local ? net.a : net.b);
	pair_buffer(listener, SO_RCVBUFFORCE, o);
	kit_must(bind(listener, (struct sockaddr *)&addr, sizeof(addr)));
	kit_must(listen(listener, 1));
	kit_must(getsockname(listener, (struct sockaddr *)&addr, &len));
	p->out = net_socket(net.a);
	pair_buffer(p->out, SO_SNDBUFFORCE, o);
	kit_must(connect(p->out, (struct sockaddr *)&addr, sizeof(addr)));
	p->in = kit_must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	kit_must(setsockopt(p->out, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	close(listener);
}

static void pair_unix(struct pair *p, const struct pair_options *o)
{
	int fd[2];

	kit_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
	p->out = fd[0];
	p->in = fd[1];
	/* unix sockets account the skb's overhead to the sender */
	pair_buffer(p->out, SO_SNDBUFFORCE, o);
}

/* As far as we may: without CAP_SYS_RESOURCE there is a limit for root too. */
static void pair_widen(int fd, uint64_t bytes)
{
	while (fcntl(fd, F_SETPIPE_SZ, (int)bytes) < 0) {
		if (errno != EPERM || bytes < 8192)
			kit_die("F_SETPIPE_SZ %llu: %m", (unsigned long long)bytes);
		bytes /= 2;
	}
}

static void pair_pipe(struct pair *p, const struct pair_options *o)
{
	int fd[2];

	if (p->kind == PAIR_PIPE) {
		kit_must(pipe2(fd, O_CLOEXEC));
	} else {
		char dir[] = "/tmp/decant-XXXXXX", path[64];

		if (!mkdtemp(dir))
			kit_die("mkdtemp: %m");
		snprintf(path, sizeof(path), "%s/fifo", dir);
		kit_must(mkfifo(path, 0600));
		fd[0] = kit_must(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
		fd[1] = kit_must(open(path, O_WRONLY | O_CLOEXEC));
		kit_must(fcntl(fd[0], F_SETFL, 0));
		unlink(path);
		rmdir(dir);
	}
	p->in = fd[0];
	p->out = fd[1];
	if (o->small)
		kit_must(fcntl(p->out, F_SETPIPE_SZ, NET_SMALL));
	else if (o->holds)
		/* pages more: an unaligned piece takes a slot at each end */
		pair_widen(p->out, o->holds + 8192);
}

bool pair_is_tcp(enum pair_kind kind)
{
	return kind <= PAIR_SLOW;
}

bool pair_is_pipe(enum pair_kind kind)
{
	return kind == PAIR_PIPE || kind == PAIR_FIFO;
}

void pair_open(struct pair *ret, enum pair_kind kind, const struct pair_options *options)
{
	static const struct pair_options defaults;

	if (!options)
		options = &defaults;
	*ret = (struct pair){ .kind = kind, .out = -1, .in = -1 };
	if (pair_is_tcp(kind))
		pair_tcp(ret, options);
	else if (kind == PAIR_UNIX)
		pair_unix(ret, options);
	else
		pair_pipe(ret, options);
	if (!options->blocking)
		kit_must(fcntl(ret->out, F_SETFL, O_NONBLOCK));
}

void pair_close(struct pair *p)
{
	if (p->out >= 0)
		close(p->out);
	if (p->in >= 0)
		close(p->in);
	p->out = p->in = -1;
}

void pair_veth_ready(void)
{
	struct pair p;

	pair_open(&p, PAIR_VETH, NULL);
	pair_close(&p);
}

uint64_t pair_waiting(const struct pair *p)
{
	int n = 0;

	kit_must(ioctl(p->in, FIONREAD, &n));
	return (uint64_t)n;
}

int64_t pair_read(const struct pair *p, void *buf, uint64_t len, int wait_ms)
{
	struct pollfd pfd = { .fd = p->in, .events = POLLIN };
	ssize_t n;

	if (poll(&pfd, 1, wait_ms) <= 0)
		return 0;
	n = read(p->in, buf, len);
	if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ECONNRESET)
		kit_die("read from %s: %m", pair_names[p->kind]);
	if (n < 0)
		return errno == ECONNRESET ? -1 : 0;
	return n == 0 ? -1 : n;
}

void pair_reset_in(struct pair *p)
{
	struct linger linger = { .l_onoff = 1 };

	if (pair_is_tcp(p->kind))
		kit_must(setsockopt(p->in, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(p->in);
	p->in = -1;
}
