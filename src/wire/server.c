/* SPDX-License-Identifier: MIT */
/* decant_page_server_*(): who is let in, and what is told of it. */
#include "wire/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sys/sys.h"

#define SERVER_FLAGS (DECANT_PAGE_SERVER_ONCE | DECANT_PAGE_SERVER_CLEAN | \
		      DECANT_PAGE_SERVER_SYNC | DECANT_PAGE_SERVER_DISCARD | \
		      DECANT_PAGE_SERVER_CHAIN)
#define SERVER_OWN_MAX (256u << 10)     /* of a connection */
#define SERVER_OWN_MIN (64u << 10)
#define SERVER_LEND_BYTES (2ull << 20)  /* the least, and the step: a huge page */
#define SERVER_TIRED_MS 100             /* no descriptors, no threads: others may end */

/* ------------------------------------------------------------------ memory */

uint32_t server_own_bytes(const struct decant_page_server *s)
{
	uint64_t own = SERVER_MEMORY_BYTES / 2 / s->o.connections_max;

	return (uint32_t)align_down(min_u64(max_u64(own, SERVER_OWN_MIN), SERVER_OWN_MAX),
				    2 * CRIU_PAGE);
}

/* Half of what there is, so that those who come later find some, too. */
uint64_t server_borrow(struct decant_page_server *s, uint64_t most_bytes)
{
	uint64_t all = SERVER_MEMORY_BYTES - (uint64_t)server_own_bytes(s) * s->o.connections_max;
	uint64_t bytes;

	(void)pthread_mutex_lock(&s->lock);
	bytes = (all - s->lent_bytes) / 2;
	bytes = align_down(min_u64(bytes, most_bytes), SERVER_LEND_BYTES);
	s->lent_bytes += bytes;
	(void)pthread_mutex_unlock(&s->lock);
	return bytes;
}

void server_give_back(struct decant_page_server *s, uint64_t bytes)
{
	(void)pthread_mutex_lock(&s->lock);
	s->lent_bytes -= bytes;
	(void)pthread_mutex_unlock(&s->lock);
}

void server_kept(struct decant_page_server *s, unsigned image)
{
	(void)pthread_mutex_lock(&s->lock);
	s->kept = true;
	if (image > s->last)
		s->last = image;
	(void)pthread_mutex_unlock(&s->lock);
}

unsigned server_last(struct decant_page_server *s)
{
	unsigned last;

	(void)pthread_mutex_lock(&s->lock);
	last = s->last;
	(void)pthread_mutex_unlock(&s->lock);
	return last;
}

/* ------------------------------------------------------------- open, close */

static int server_check(const char *dir, const struct decant_page_server_options *o,
			struct err *e)
{
	bool discard = o->flags & DECANT_PAGE_SERVER_DISCARD;

	if (o->size < sizeof(*o))
		return err_set(e, -EINVAL, "options: size is not set (use "
			       "DECANT_PAGE_SERVER_OPTIONS_INIT)");
	if (o->flags & ~(uint32_t)SERVER_FLAGS || o->reserved)
		return err_set(e, -EINVAL, "options: unknown flag");
	if (o->connections_max > SERVER_CONNECTIONS_MAX)
		return err_set(e, -EINVAL, "options: more than %u connections",
			       SERVER_CONNECTIONS_MAX);
	if (o->flags & DECANT_PAGE_SERVER_CHAIN && (o->parent || discard))
		return err_set(e, -EINVAL, "options: a chain has its own parents");
	if (discard && (dir || o->parent))
		return err_set(e, -EINVAL, "options: what is thrown away needs no directory");
	if (!discard && (!dir || !dir[0] || strlen(dir) > DIR_PATH_MAX - 16))
		return err_set(e, -EINVAL, "directory: its name is empty or too long");
	return 0;
}

static int server_open(struct decant_page_server *s, const char *dir, struct err *e)
{
	int r;

	s->wake_fd = sys_eventfd(0, O_CLOEXEC | O_NONBLOCK);
	s->cancel_fd = sys_eventfd(0, O_CLOEXEC | O_NONBLOCK);
	if (s->wake_fd < 0 || s->cancel_fd < 0)
		return err_set(e, s->wake_fd < 0 ? s->wake_fd : s->cancel_fd,
			       "page server: no descriptors");
	if (dir && !(s->path = sys_strdup(dir)))
		return err_set(e, -ENOMEM, "page server: out of memory");
	r = sys_getfl(s->listen_fd);
	if (r >= 0)
		r = sys_setfl(s->listen_fd, r | O_NONBLOCK);
	if (r < 0)
		return err_errno(e, r, "page server: the listening socket");
	r = tls_open(&s->tls, s->o.tls, true, e);
	return r < 0 ? r : server_house(s, e);
}

int decant_page_server_open(struct decant *d, struct decant_page_server **ret, const char *dir,
			    int listen_fd, const struct decant_page_server_options *options)
{
	static const struct decant_page_server_options none = DECANT_PAGE_SERVER_OPTIONS_INIT;
	struct decant_page_server *s;
	int r;

	if (!d || !ret)
		return -EINVAL;
	if (!options)
		options = &none;
	r = server_check(dir, options, &d->err);
	if (r < 0)
		return r;
	s = sys_calloc(1, sizeof(*s));
	if (!s)
		return err_set(&d->err, -ENOMEM, "page server: out of memory");
	s->d = d;
	s->o = *options;
	s->listen_fd = listen_fd;
	s->wake_fd = s->cancel_fd = -1;
	if (!s->o.connections_max)
		s->o.connections_max = SERVER_CONNECTIONS;
	if (!s->o.patience_ns)
		s->o.patience_ns = SERVER_PATIENCE_NS;
	list_init(&s->connections);
	(void)pthread_mutex_init(&s->lock, NULL);
	r = server_open(s, dir, &d->err);
	s->o.tls = NULL;
	s->o.parent = NULL;
	if (r < 0) {
		decant_page_server_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void decant_page_server_close(struct decant_page_server *s)
{
	struct err ignored;

	if (!s)
		return;
	/* The parent link and the directory stay if there are images. */
	if (s->house && s->kept)
		(void)dir_commit(s->house, NULL, NULL, &ignored);
	dir_close(s->house);
	tls_close(s->tls);
	(void)sys_close(s->wake_fd);
	(void)sys_close(s->cancel_fd);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

static void server_raise(int fd)
{
	uint64_t one = 1;

	(void)sys_write(fd, &one, sizeof(one));
}

void decant_page_server_stop(struct decant_page_server *s, int now)
{
	atomic_store(&s->stop, true);
	if (now)
		server_raise(s->cancel_fd);
	server_raise(s->wake_fd);
}

/* ------------------------------------------------------------- connections */

static void *server_thread(void *arg)
{
	struct connection *c = arg;
	int wake_fd = c->s->wake_fd;

	connection_serve(c);
	atomic_store(&c->over, true);
	server_raise(wake_fd);
	return NULL;
}

static void server_drop(struct connection *c)
{
	channel_break(&c->channel);
	free(c);
}

static void server_begin(struct decant_page_server *s, int fd)
{
	struct connection *c = sys_calloc(1, sizeof(*c));

	if (!c) {
		s->report.refused++;
		(void)sys_close(fd);
		return;
	}
	c->s = s;
	c->channel = (struct channel)CHANNEL_INIT;
	c->channel.fd = fd;
	c->channel.cancel_fd = s->cancel_fd;
	c->channel.patience_ns = s->o.patience_ns;
	c->begin_ns = sys_clock_ns();
	c->told = (struct decant_page_connection){ .size = sizeof(c->told) };
	store_init(&c->store, s);
	if (s->active >= s->o.connections_max ||
	    sys_thread_create(&c->thread, "decant-pages", server_thread, c) < 0) {
		s->report.refused++;
		server_drop(c);
		return;
	}
	c->told.number = ++s->number;
	s->active++;
	list_push(&s->connections, &c->link);
}

static void server_account(struct decant_page_server *s, const struct connection *c)
{
	struct decant_page_server_report *r = &s->report;

	r->bytes += c->told.bytes;
	if (c->told.error < 0) {
		r->failed++;
		r->error = c->told.error;
	} else {
		r->connections++;
		r->pagemaps += c->told.pagemaps;
		r->present_pages += c->told.present_pages;
		r->parent_pages += c->told.parent_pages;
	}
	if (s->o.connection)
		s->o.connection(s->o.arg, &c->told);
}

/* Those that have ended. */
static void server_reap(struct decant_page_server *s)
{
	struct list *next;

	for (struct list *l = s->connections.next; l != &s->connections; l = next) {
		struct connection *c = list_entry(l, struct connection, link);

		next = l->next;
		if (!atomic_load(&c->over))
			continue;
		(void)sys_thread_join(c->thread);
		list_remove(&c->link);
		s->active--;
		server_account(s, c);
		/* Somebody who connects and says nothing (a probe of the port) is not the one. */
		if (s->o.flags & DECANT_PAGE_SERVER_ONCE && c->told.error != -ENODATA)
			atomic_store(&s->stop, true);
		free(c);
	}
}

static int server_accept(struct decant_page_server *s, struct err *e)
{
	while (!atomic_load(&s->stop)) {
		int fd = sys_accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			server_begin(s, fd);
			/* One after the other, and others only if this one comes to nothing. */
			if (s->o.flags & DECANT_PAGE_SERVER_ONCE)
				return 0;
			continue;
		}
		switch (fd) {
		case -EAGAIN:
			return 0;
		case -EBADF:
		case -EINVAL:
		case -ENOTSOCK:
		case -EOPNOTSUPP:
			if (atomic_load(&s->stop))
				return 0;
			return err_errno(e, fd, "page server: the listening socket");
		case -EMFILE:
		case -ENFILE:
		case -ENOBUFS:
		case -ENOMEM:
			(void)sys_poll(NULL, 0, SERVER_TIRED_MS);
			return 0;
		default:
			/* Of a connection that is gone again. */
			return 0;
		}
	}
	return 0;
}

static int server_loop(struct decant_page_server *s, struct err *e)
{
	int r = 0;

	while (r == 0) {
		struct pollfd f[2] = {
			{ .fd = s->wake_fd, .events = POLLIN },
			{ .fd = s->listen_fd, .events = POLLIN },
		};
		uint64_t n;

		server_reap(s);
		if (atomic_load(&s->stop))
			return 0;
		if (s->o.flags & DECANT_PAGE_SERVER_ONCE && s->active)
			f[1].fd = -1;
		r = sys_poll(f, 2, -1);
		if (r == -EINTR)
			r = 0;
		if (r < 0)
			return err_errno(e, r, "page server: waiting");
		if (f[0].revents)
			(void)sys_read(s->wake_fd, &n, sizeof(n));
		r = f[1].revents ? server_accept(s, e) : 0;
	}
	return r;
}

int decant_page_server_run(struct decant_page_server *s, struct decant_page_server_report *report)
{
	uint64_t n;
	int r;

	if (!s || (report && report->size < sizeof(*report)))
		return -EINVAL;
	s->report = (struct decant_page_server_report)DECANT_PAGE_SERVER_REPORT_INIT;
	r = server_loop(s, &s->d->err);
	if (r < 0)
		decant_page_server_stop(s, 1);
	for (server_reap(s); s->active; server_reap(s)) {
		struct pollfd f = { .fd = s->wake_fd, .events = POLLIN };

		(void)sys_poll(&f, 1, -1);
		(void)sys_read(s->wake_fd, &n, sizeof(n));
	}
	if (report)
		*report = s->report;
	return r;
}
