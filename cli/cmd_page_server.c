/* SPDX-License-Identifier: MIT */
/* decant page-server -D DIR: listen, serve, tell. */
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli.h"
#include "net.h"
#include "page_server_options.h"
#include "page_server_report.h"
#include "wait.h"

#define PAGE_SERVER_BACKLOG 128

struct page_server {
	struct page_server_options o;
	struct waiter w;
	int listen_fd, done_fd;
	struct decant *engine;
	struct decant_page_server *server;
	struct decant_page_server_report report;
	int result;
};

static bool page_server_is_loopback(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (host[0] == '\0' || strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static void page_server_connection(void *arg, const struct decant_page_connection *c)
{
	page_server_tell_connection(arg, c);
}

static void *page_server_thread(void *arg)
{
	struct page_server *p = arg;

	p->result = decant_page_server_run(p->server, &p->report);
	(void)eventfd_write(p->done_fd, 1);
	return NULL;
}

/* The first signal lets those end that are at it; the second does not. */
static void page_server_wait(struct page_server *p)
{
	struct pollfd f[2] = {
		{ .fd = p->done_fd, .events = POLLIN },
		{ .fd = p->w.signal_fd, .events = POLLIN },
	};
	unsigned signals = 0;

	while (!f[0].revents) {
		(void)poll(f, 2, -1);
		if (waiter_signal(&p->w)) {
			if (++signals == 1 && !p->o.quiet && !p->o.json)
				(void)fprintf(stderr, "no new connections; again to break off "
					      "those that are there\n");
			decant_page_server_stop(p->server, signals > 1);
			/* Those who come now hear it at once, instead of waiting. */
			(void)shutdown(p->listen_fd, SHUT_RDWR);
		}
	}
}

static int page_server_serve(struct page_server *p)
{
	pthread_t thread;
	int r;

	p->done_fd = eventfd(0, EFD_CLOEXEC);
	r = p->done_fd < 0 ? errno : pthread_create(&thread, NULL, page_server_thread, p);
	if (r) {
		cli_error("a thread: %s", strerror(r));
		return CLI_FAILED;
	}
	page_server_wait(p);
	(void)pthread_join(thread, NULL);
	if (p->result < 0) {
		cli_error("%s", decant_strerror(p->engine));
		return CLI_FAILED;
	}
	page_server_tell_end(&p->o, &p->report);
	return p->o.once && !p->report.connections ? CLI_FAILED : CLI_OK;
}

static int page_server_open(struct page_server *p)
{
	struct decant_options engine = DECANT_OPTIONS_INIT;
	struct decant_page_server_options options;
	struct decant_tls tls;
	int r;

	engine.mask = p->o.mask;
	r = decant_open(&p->engine, &engine);
	if (r >= 0) {
		page_server_options_library(&p->o, &tls, &options);
		options.connection = page_server_connection;
		options.arg = &p->o;
		r = decant_page_server_open(p->engine, &p->server, p->o.dir, p->listen_fd,
					    &options);
	}
	if (r < 0) {
		cli_error("%s", decant_strerror(p->engine));
		cli_hint(r == -EEXIST ? "--clean removes what a killed run left; images that are "
			 "complete it leaves" : cli_advice(r));
		return CLI_FAILED;
	}
	return CLI_OK;
}

static int page_server_listen(struct page_server *p)
{
	char name[NET_NAME_MAX];
	struct err e = { "" };
	uint16_t port;
	int status;

	p->listen_fd = net_tcp_listen(p->o.host, p->o.port, name, &port, &p->w, &e);
	if (p->listen_fd >= 0 && listen(p->listen_fd, PAGE_SERVER_BACKLOG) < 0) {
		(void)err_errno(&e, -errno, "listening on %s", name);
		(void)close(p->listen_fd);
		p->listen_fd = -1;
	}
	if (p->listen_fd < 0) {
		cli_error("%s", e.text);
		cli_hint(cli_advice(p->listen_fd));
		return CLI_FAILED;
	}
	status = page_server_open(p);
	if (status == CLI_OK)
		page_server_tell_listening(&p->o, name);
	return status;
}

int cmd_page_server(int argc, char **argv)
{
	struct page_server p = {
		.w = { .signal_fd = -1 }, .listen_fd = -1, .done_fd = -1,
		.report = DECANT_PAGE_SERVER_REPORT_INIT,
	};
	struct err e = { "" };
	int status;

	if (page_server_options_parse(&p.o, argc, argv, &e) < 0)
		return cli_usage("page-server", "%s", e.text);
	if (p.o.help) {
		page_server_options_help();
		return CLI_OK;
	}
	if (!cli_mask_ok(p.o.mask))
		return CLI_USAGE;
	if (!p.o.tls_cert && !p.o.insecure && !page_server_is_loopback(p.o.host))
		return cli_usage("page-server", "--listen: %s is not loopback: whoever reaches it "
				 "could write images; --tls-cert, --tls-key and --tls-ca let in "
				 "only whom you trust, --insecure lets in all", p.o.host);
	if (waiter_open(&p.w) < 0) {
		cli_error("signals: cannot be waited for");
		return CLI_FAILED;
	}
	status = page_server_listen(&p);
	if (status == CLI_OK)
		status = page_server_serve(&p);
	decant_page_server_close(p.server);
	decant_close(p.engine);
	if (p.listen_fd >= 0)
		(void)close(p.listen_fd);
	if (p.done_fd >= 0)
		(void)close(p.done_fd);
	waiter_close(&p.w);
	return status;
}
