/* SPDX-License-Identifier: MIT */
/*
 * Many kept HTTP connections to one server on this machine, and requests on them at a
 * fixed rate, whose time counts from when each was due: a server that falls behind
 * cannot slow the questions down.  Not a load generator for all one core can do: wrk.
 *
 *	decant-bench-herd PORT CONNECTIONS PATH
 *
 * Says "ready" when each connection has had one answer.  Then, for each line
 * "RATE SECONDS" of its input, says "REQUESTS P50-US P99-US".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HERD_ADDRESSES 8
#define HERD_EVENTS 256
#define HERD_SAMPLES 4000000

struct animal {
	int fd;
	size_t left;         /* bytes of the answer that have not come */
	uint64_t due_ns;
};

static struct {
	struct animal *all;
	uint32_t *idle;      /* a queue of n, as a ring */
	unsigned n, idle_at, idle_n;
	int epoll_fd;
	char request[256];
	size_t request_len, answer_len;
	uint32_t *samples;
	unsigned samples_n;
} herd;

static void herd_die(const char *what)
{
	(void)fprintf(stderr, "herd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t herd_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void herd_connect(unsigned i, uint16_t port)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
	struct animal *a = &herd.all[i];
	int one = 1;

	/* One address has not ports enough for some thousands, over and over. */
	from.sin_addr.s_addr = htonl(0x7f000002 + i % HERD_ADDRESSES);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(port);
	a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		herd_die("socket");
	(void)setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(a->fd, (void *)&from, sizeof(from)) < 0 ||
	    connect(a->fd, (void *)&to, sizeof(to)) < 0)
		herd_die("connect");
}

static void herd_ask(struct animal *a)
{
	a->left = herd.answer_len;
	if (send(a->fd, herd.request, herd.request_len, MSG_NOSIGNAL) != (ssize_t)herd.request_len)
		herd_die("send");
}

/* The first answer of a connection, to its end: its head says how long it is. */
static void herd_first(struct animal *a)
{
	char buf[65536 + 1];
	size_t len = 0, whole = 0;

	herd_ask(a);
	while (whole == 0 || len < whole) {
		ssize_t n = recv(a->fd, buf + len, sizeof(buf) - 1 - len, 0);
		const char *end, *length;

		if (n <= 0)
			herd_die("recv");
		len += (size_t)n;
		buf[len] = '\0';
		end = strstr(buf, "\r\n\r\n");
		length = strcasestr(buf, "content-length: ");
		if (end && length)
			whole = (size_t)(end + 4 - buf) + strtoul(length + 16, NULL, 10);
	}
	herd.answer_len = whole;
}

static void herd_grow(uint16_t port)
{
	for (unsigned i = 0; i < herd.n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		herd_connect(i, port);
		herd_first(&herd.all[i]);
		if (epoll_ctl(herd.epoll_fd, EPOLL_CTL_ADD, herd.all[i].fd, &e) < 0)
			herd_die("epoll");
		herd.idle[i] = i;
	}
	herd.idle_n = herd.n;
}

static void herd_answer(unsigned i)
{
	static char buf[65536];
	struct animal *a = &herd.all[i];
	ssize_t n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || (size_t)n > a->left)
		herd_die("an answer");
	a->left -= (size_t)n;
	if (a->left)
		return;
	if (herd.samples_n < HERD_SAMPLES)
		herd.samples[herd.samples_n++] = (uint32_t)((herd_now() - a->due_ns) / 100);
	herd.idle[(herd.idle_at + herd.idle_n++) % herd.n] = i;
}

static int herd_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void herd_run(double rate, double seconds)
{
	uint64_t begun = herd_now(), step = (uint64_t)(1e9 / rate), due = begun;
	uint64_t until = begun + (uint64_t)(seconds * 1e9);
	struct epoll_event events[HERD_EVENTS];

	herd.samples_n = 0;
	while (due < until || herd.idle_n < herd.n) {
		int n;

		while (due < until && herd.idle_n && due <= herd_now()) {
			struct animal *a = &herd.all[herd.idle[herd.idle_at]];

			herd.idle_at = (herd.idle_at + 1) % herd.n;
			herd.idle_n--;
			a->due_ns = due;
			due += step;
			herd_ask(a);
		}
		/* It has a CPU of its own: to sleep would be part of what is measured. */
		n = epoll_wait(herd.epoll_fd, events, HERD_EVENTS, 0);
		for (int i = 0; i < n; i++)
			herd_answer(events[i].data.u32);
		if (herd_now() > until + 30000000000u) {
			errno = ETIMEDOUT;
			herd_die("answers");
		}
	}
	qsort(herd.samples, herd.samples_n, sizeof(uint32_t), herd_compare);
	if (herd.samples_n == 0)
		herd_die("no answers");
	(void)printf("%u %.1f %.1f\n", herd.samples_n, herd.samples[herd.samples_n / 2] / 10.0,
		     herd.samples[(uint64_t)herd.samples_n * 99 / 100] / 10.0);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	double rate, seconds;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: decant-bench-herd PORT CONNECTIONS PATH\n");
		return 2;
	}
	herd.n = (unsigned)strtoul(argv[2], NULL, 10);
	herd.all = calloc(herd.n, sizeof(*herd.all));
	herd.idle = calloc(herd.n, sizeof(*herd.idle));
	herd.samples = calloc(HERD_SAMPLES, sizeof(*herd.samples));
	herd.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (herd.n == 0 || !herd.all || !herd.idle || !herd.samples || herd.epoll_fd < 0)
		herd_die("beginning");
	herd.request_len = (size_t)snprintf(herd.request, sizeof(herd.request),
					    "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", argv[3]);
	herd_grow((uint16_t)strtoul(argv[1], NULL, 10));
	(void)printf("ready\n");
	(void)fflush(stdout);
	while (scanf("%lf %lf", &rate, &seconds) == 2)
		herd_run(rate, seconds);
	return 0;
}
