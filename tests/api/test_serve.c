/* SPDX-License-Identifier: MIT */
/* decant_serve_...() as a library's functions: misuse, threads as workers, stopping. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decant.h"
#include "lib/kit.h"
#include "tap.h"

#define REQUESTS 200

static char dir[] = "/tmp/decant-serve.XXXXXX";

static int open_server(struct decant_server **ret, const char *listen, uint32_t workers,
		       struct decant_serve_report *report)
{
	struct decant_serve_options o = DECANT_SERVE_OPTIONS_INIT;

	o.path = dir;
	o.listen = listen;
	o.workers = workers;
	return decant_serve_open(ret, &o, report);
}

static void misuse(void)
{
	struct decant_serve_options o = DECANT_SERVE_OPTIONS_INIT;
	struct decant_serve_report r = DECANT_SERVE_REPORT_INIT;
	struct decant_server *s = NULL;

	is_int(decant_serve_open(NULL, &o, &r), -EINVAL, "nowhere to put it");
	is_int(decant_serve_open(&s, NULL, &r), -EINVAL, "no options");
	ok(strstr(r.message, "size"), "says why: %s", r.message);
	is_int(decant_serve_open(&s, &o, &r), -EINVAL, "no path");
	o.path = "/dev/null";
	is_int(decant_serve_open(&s, &o, &r), -ENOTSUP, "a device");
	o.path = "/nothing/here";
	is_int(decant_serve_open(&s, &o, NULL), -ENOENT, "nothing, and no report");
	o.path = dir;
	o.flags = 1u << 30;
	is_int(decant_serve_open(&s, &o, &r), -EINVAL, "a flag of another time");
	o.flags = 0;
	o.workers = 100000;
	is_int(decant_serve_open(&s, &o, &r), -EINVAL, "too many workers");
	o.workers = 1;
	o.rate_bytes = 1;
	is_int(decant_serve_open(&s, &o, &r), -EINVAL, "a rate that is none");
	o.rate_bytes = 0;
	o.size = 4;
	is_int(decant_serve_open(&s, &o, &r), -EINVAL, "a size that is too small");
	o.size = sizeof(o);
	o.listen = "0.0.0.0";
	is_int(decant_serve_open(&s, &o, &r), -EINVAL, "no port");
	ok(!s, "nothing was written");
	decant_serve_close(NULL);
	is_int(decant_serve_status(NULL, &r), -EINVAL, "the status of nothing");
	is_int(open_server(&s, "[::1]:0", 1, &r), 0, "IPv6: %s", r.message);
	ok(strncmp(r.address, "[::1]:", 6) == 0 && atoi(r.address + 6) > 0, "at %s", r.address);
	is_int(decant_serve_run(s, 1, &r), -EINVAL, "there is no worker 1");
	decant_serve_stop(s, 1000);
	is_int(decant_serve_run(s, 0, &r), 0, "stopped before it began");
	decant_serve_close(s);
}

static int port_of(const struct decant_serve_report *r)
{
	return atoi(strrchr(r->address, ':') + 1);
}

/* The status of one answer, all of which was read. */
static int ask(int port, const char *target)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = kit_must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), status = -1;
	char text[65536];
	size_t len = 0;
	ssize_t n;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		(void)close(fd);
		return -errno;
	}
	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n"
		       "Connection: close\r\n\r\n", target);
	kit_write_all(fd, text, strlen(text), -1);
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (strncmp(text, "HTTP/1.1 ", 9) == 0 && strstr(text, "\r\n\r\n"))
		status = atoi(text + 9);
	(void)close(fd);
	return status;
}

struct worker_arg {
	struct decant_server *s;
	uint32_t number;
	int result;
};

static void *work(void *arg)
{
	struct worker_arg *w = arg;

	w->result = decant_serve_run(w->s, w->number, NULL);
	return NULL;
}

static struct decant_server *stopped_by_signal;

static void on_signal(int sig)
{
	(void)sig;
	decant_serve_stop(stopped_by_signal, 10000);
}

static void threads(void)
{
	struct decant_serve_report r = DECANT_SERVE_REPORT_INIT;
	struct worker_arg w[3];
	pthread_t thread[3];
	int good = 0;

	need(open_server(&stopped_by_signal, "127.0.0.1:0", 3, &r) == 0, "%s", r.message);
	is_int(r.workers, 3, "three workers are to be run");
	for (uint32_t i = 0; i < 3; i++) {
		w[i] = (struct worker_arg){ stopped_by_signal, i, -1 };
		need(pthread_create(&thread[i], NULL, work, &w[i]) == 0, "a thread");
	}
	for (int i = 0; i < REQUESTS; i++)
		good += ask(port_of(&r), i % 2 ? "/file" : "/") == 200;
	is_int(good, REQUESTS, "requests are answered by threads");
	is_int(ask(port_of(&r), "/none"), 404, "and refused");
	is_int(decant_serve_status(stopped_by_signal, &r), 0, "how is it");
	ok(r.requests == REQUESTS + 1 && r.sent_bytes > REQUESTS / 2 * 5, "%llu requests",
	   (unsigned long long)r.requests);
	(void)signal(SIGUSR1, on_signal);
	(void)raise(SIGUSR1);
	for (uint32_t i = 0; i < 3; i++) {
		(void)pthread_join(thread[i], NULL);
		is_int(w[i].result, 0, "worker %u was stopped by a handler", i);
	}
	is_int(ask(port_of(&r), "/file"), -ECONNREFUSED, "nobody listens any more");
	decant_serve_close(stopped_by_signal);
}

static void busy(void)
{
	struct decant_serve_report r = DECANT_SERVE_REPORT_INIT, q = DECANT_SERVE_REPORT_INIT;
	struct decant_server *s, *other;
	struct worker_arg w;
	pthread_t thread;
	char address[64];

	need(open_server(&s, "127.0.0.1:0", 1, &r) == 0, "%s", r.message);
	(void)snprintf(address, sizeof(address), "%s", r.address);
	is_int(open_server(&other, address, 2, &q), -EADDRINUSE, "a port that somebody has");
	ok(strstr(q.message, address), "says which: %s", q.message);
	w = (struct worker_arg){ s, 0, -1 };
	need(pthread_create(&thread, NULL, work, &w) == 0, "a thread");
	is_int(ask(port_of(&r), "/file"), 200, "it runs");
	is_int(decant_serve_run(s, 0, NULL), -EBUSY, "once");
	decant_serve_stop(s, 0);
	(void)pthread_join(thread, NULL);
	decant_serve_close(s);
}

int main(void)
{
	char path[64];
	int fd;

	kit_start(100);
	if (!mkdtemp(dir))
		kit_die("%s: %m", dir);
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	fd = kit_must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	kit_write_all(fd, "12345", 5, 0);
	(void)close(fd);
	tap_case("misuse", misuse);
	tap_case("threads as workers", threads);
	tap_case("one port, one worker", busy);
	(void)unlink(path);
	(void)rmdir(dir);
	return done();
}
