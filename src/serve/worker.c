/* SPDX-License-Identifier: MIT */
/* One loop: what happened, whose turn it is, whose time is up. */
#include "serve/worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/checked.h"
#include "serve/date.h"
#include "serve/engines.h"
#include "serve/journal.h"
#include "serve/keep.h"
#include "sys/sys.h"

#define WORKER_EVENTS 256
#define WORKER_BACKLOG 4096
#define WORKER_ENGINE_EVENTS 32
#define WORKER_LINGER_NS 2000000000ull
#define WORKER_LAST_NS 1000000000ull
#define WORKER_REAL_NS 1000000000ull
/* Descriptors that are not connections: the engine's, files in flight, ours. */
#define WORKER_FDS_SPARE 64
#define WORKER_MS 1000000ull

/* ---------------------------------------------------------------- time */

static uint64_t worker_limit_ns(const struct worker *w, enum conn_list on)
{
	const struct decant_serve_options *o = &w->server->o;

	switch (on) {
	case LIST_IDLE: return o->idle_ms * WORKER_MS;
	/* Somebody who has not said anything yet does not hold up our end. */
	case LIST_HEAD: return w->stopping ? WORKER_LAST_NS : o->head_ms * WORKER_MS;
	case LIST_SEND: return o->stall_ms * WORKER_MS;
	default: return WORKER_LINGER_NS;
	}
}

void worker_time(struct worker *w, struct conn *c, enum conn_list on)
{
	c->on = (uint8_t)on;
	c->deadline_ns = w->now_ns + worker_limit_ns(w, on);
	list_remove(&c->timed);
	list_push(&w->lists[on], &c->timed);
}

void worker_ready(struct worker *w, struct conn *c)
{
	if (c->sleeping)
		return;
	list_remove(&c->ready);
	list_push(&w->ready, &c->ready);
}

void worker_sleep(struct worker *w, struct conn *c, uint64_t wait_ns)
{
	c->sleeping = true;
	c->wake_ns = w->now_ns + max_u64(wait_ns, WORKER_MS);
	list_remove(&c->ready);
	list_push(&w->sleepers, &c->ready);
}

static bool worker_close_oldest(struct worker *w, enum conn_list of)
{
	if (list_empty(&w->lists[of]))
		return false;
	conn_close(w, list_entry(w->lists[of].next, struct conn, timed));
	return true;
}

bool worker_make_room(struct worker *w)
{
	return worker_close_oldest(w, LIST_IDLE) || worker_close_oldest(w, LIST_LINGER);
}

/* The clocks; the wall clock is asked for once a second or so, and carried on. */
static void worker_clock(struct worker *w)
{
	w->now_ns = sys_clock_ns();
	if (w->real_at_ns == 0 || w->now_ns - w->real_at_ns > WORKER_REAL_NS) {
		w->real_at_ns = w->now_ns;
		w->real_base_ns = (int64_t)sys_real_ns();
	}
	w->real_ns = w->real_base_ns + (int64_t)(w->now_ns - w->real_at_ns);
	if (w->real_ns / 1000000000 != w->date_s) {
		w->date_s = w->real_ns / 1000000000;
		date_format(w->date, w->date_s);
	}
}

static void worker_expire(struct worker *w)
{
	for (unsigned i = 0; i < LISTS_N; i++)
		while (!list_empty(&w->lists[i])) {
			struct conn *c = list_entry(w->lists[i].next, struct conn, timed);

			if (c->deadline_ns > w->now_ns)
				break;
			conn_expired(w, c);
		}
}

static void worker_wake(struct worker *w)
{
	struct list *l = w->sleepers.next;

	while (l != &w->sleepers) {
		struct conn *c = list_entry(l, struct conn, ready);

		l = l->next;
		if (c->wake_ns > w->now_ns)
			continue;
		c->sleeping = false;
		worker_ready(w, c);
	}
}

static void worker_sooner(uint64_t *at, uint64_t when)
{
	if (when && when < *at)
		*at = when;
}

/* Milliseconds until something is due; -1: nothing is. */
static int worker_timeout(struct worker *w, uint64_t keep_ns, bool lines_left)
{
	uint64_t at = UINT64_MAX, ms;

	if (!list_empty(&w->ready))
		return 0;
	for (unsigned i = 0; i < LISTS_N; i++)
		if (!list_empty(&w->lists[i]))
			worker_sooner(&at, list_entry(w->lists[i].next, struct conn,
						      timed)->deadline_ns);
	for (struct list *l = w->sleepers.next; l != &w->sleepers; l = l->next)
		worker_sooner(&at, list_entry(l, struct conn, ready)->wake_ns);
	worker_sooner(&at, keep_ns);
	worker_sooner(&at, w->accept_again_ns);
	if (w->stopping)
		worker_sooner(&at, atomic_load(&w->server->stop_ns));
	if (lines_left)
		worker_sooner(&at, w->now_ns + 50 * WORKER_MS);
	if (at == UINT64_MAX)
		return -1;
	ms = at > w->now_ns ? (at - w->now_ns + WORKER_MS - 1) / WORKER_MS : 0;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* --------------------------------------------------------------- turns */

static void worker_engine(struct worker *w, struct decant *engine)
{
	struct decant_event v[WORKER_ENGINE_EVENTS];
	int n;

	do {
		n = decant_wait(engine, v, WORKER_ENGINE_EVENTS, 0);
		for (int i = 0; i < n; i++)
			if (v[i].type == DECANT_ENDED)
				conn_engine_ended(w, (struct conn *)(uintptr_t)v[i].user_data,
						  &v[i]);
	} while (n == WORKER_ENGINE_EVENTS);
}

/* The listening socket is looked at, or is not. */
static void worker_listen(struct worker *w, bool on)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &w->listen_fd };

	if (w->listening == on)
		return;
	if (sys_epoll_ctl(w->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, w->listen_fd, &e) == 0)
		w->listening = on;
	else if (on)
		w->accept_again_ns = w->now_ns + 100 * WORKER_MS;
}

static void worker_stop(struct worker *w)
{
	uint32_t how = atomic_load(&w->server->stopping);

	if (how == 0)
		return;
	if (!w->stopping) {
		w->stopping = true;
		/* Whoever is in the queue already was told that we are here. */
		conn_accept(w);
		worker_listen(w, false);
		/* For everybody who holds it: the next one is refused, or goes to another. */
		(void)sys_shutdown(w->listen_fd, SHUT_RDWR);
		w->accept_again_ns = 0;
		while (worker_close_oldest(w, LIST_IDLE))
			;
		for (struct list *l = w->lists[LIST_HEAD].next; l != &w->lists[LIST_HEAD];
		     l = l->next)
			list_entry(l, struct conn, timed)->deadline_ns =
				w->now_ns + worker_limit_ns(w, LIST_HEAD);
	}
	if (how > 1 || w->now_ns >= atomic_load(&w->server->stop_ns))
		for (unsigned i = 0; i < LISTS_N; i++) {
			struct list *l = w->lists[i].next;

			while (l != &w->lists[i]) {
				struct conn *c = list_entry(l, struct conn, timed);

				l = l->next;
				conn_close(w, c);
			}
		}
}

static void worker_event(struct worker *w, const struct epoll_event *e)
{
	struct decant *engine;
	uint64_t n;

	if (e->data.ptr == &w->listen_fd)
		conn_accept(w);
	else if (e->data.ptr == &w->wake_fd)
		(void)!sys_read(w->wake_fd, &n, sizeof(n));
	else if ((engine = engines_told(w->engines, e->data.ptr)) != NULL)
		worker_engine(w, engine);
	else
		conn_event(w, e->data.ptr, e->events);
}

static void worker_turns(struct worker *w)
{
	struct list now = LIST_INIT(now);

	/* Who gets ready meanwhile has the next turn. */
	while (!list_empty(&w->ready))
		list_push(&now, list_pop(&w->ready));
	while (!list_empty(&now))
		conn_turn(w, list_entry(list_pop(&now), struct conn, ready));
}

static void worker_bury(struct worker *w)
{
	while (!list_empty(&w->dead))
		free(list_entry(list_pop(&w->dead), struct conn, timed));
}

static int worker_loop(struct worker *w)
{
	struct epoll_event events[WORKER_EVENTS];
	bool lines_left = false;
	uint64_t keep_ns = 0;

	worker_clock(w);
	while (!w->stopping || w->conns_n > 0) {
		int n = sys_epoll_wait(w->epoll_fd, events, WORKER_EVENTS,
				       worker_timeout(w, keep_ns, lines_left));

		if (n < 0 && n != -EINTR)
			return err_errno(&w->err, n, "serve: waiting for events");
		worker_clock(w);
		for (int i = 0; i < n; i++)
			worker_event(w, &events[i]);
		worker_wake(w);
		worker_turns(w);
		worker_expire(w);
		worker_stop(w);
		if (w->accept_again_ns)
			worker_listen(w, false);
		if (w->accept_again_ns && w->accept_again_ns <= w->now_ns) {
			w->accept_again_ns = 0;
			worker_listen(w, !w->stopping);
		}
		keep_ns = keep_expire(w->keep, w->now_ns);
		lines_left = w->journal && journal_flush(w->journal);
		worker_bury(w);
	}
	return 0;
}

/* ---------------------------------------------------------------- life */

static unsigned worker_fds(void)
{
	struct rlimit rl;

	if (sys_getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 0;
	return rl.rlim_cur < UINT32_MAX ? (unsigned)rl.rlim_cur : UINT32_MAX;
}

/* So many descriptors there can be, less what else needs some. */
static unsigned worker_conns_max(const struct decant_server *s)
{
	unsigned max = s->o.connections_max ? (s->o.connections_max + s->workers_n - 1) /
					      s->workers_n : UINT32_MAX;
	unsigned fds = worker_fds(), room = fds > 4 * WORKER_FDS_SPARE ?
		 fds - fds / 8 - WORKER_FDS_SPARE : fds / 2;

	if (fds && max > room)
		max = room;
	return max;
}

static int worker_watch(struct worker *w, int fd, void *ptr)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = ptr };

	return sys_epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static int worker_open(struct worker *w)
{
	const struct decant_server *s = w->server;
	int r;

	w->input = sys_malloc(SERVE_INPUT_BYTES + 4 * REQUEST_HEAD_MAX);
	w->scratch = sys_aligned_alloc(4096, SERVE_QUANTUM_BYTES);
	r = w->input && w->scratch ? keep_create(&w->keep) : -ENOMEM;
	/* Names that lead out cannot be watched. */
	if (r == 0 && !(s->o.flags & DECANT_SERVE_FOLLOW))
		r = names_create(&w->names, s->dir_fd, worker_fds() / 8);
	if (r == 0 && s->o.log_fd >= 0)
		r = journal_create(&w->journal, s->o.log_fd,
				   s->o.flags & DECANT_SERVE_LOG_JSON, &w->state->log_lost);
	if (r == 0)
		r = w->epoll_fd = sys_epoll_create1(EPOLL_CLOEXEC);
	if (r >= 0)
		r = worker_watch(w, w->wake_fd, &w->wake_fd);
	if (r < 0)
		return err_errno(&w->err, r, "serve: worker %u", w->number);
	r = engines_create(&w->engines, w->epoll_fd, s->mask, &w->err);
	if (r < 0)
		return r;
	/* Again, where a worker before us has been stopped. */
	r = sys_listen(w->listen_fd, WORKER_BACKLOG);
	if (r < 0)
		return err_errno(&w->err, r, "serve: worker %u: listen", w->number);
	w->conns_max = worker_conns_max(s);
	w->boundaries = sys_real_ns() ^ (uint64_t)(uintptr_t)w->scratch << 20;
	worker_clock(w);
	worker_listen(w, true);
	return 0;
}

/* Whatever is still there is cut off. */
static void worker_close(struct worker *w)
{
	/* The engines first: they let go of the sockets. */
	engines_destroy(w->engines);
	for (unsigned i = 0; i < LISTS_N; i++)
		while (!list_empty(&w->lists[i])) {
			struct conn *c = list_entry(w->lists[i].next, struct conn, timed);

			if (c->x)
				c->x->engine_id = 0;
			conn_close(w, c);
		}
	worker_bury(w);
	while (!list_empty(&w->free_exchanges))
		free(list_entry(list_pop(&w->free_exchanges), struct exchange, link));
	journal_destroy(w->journal);
	keep_destroy(w->keep);
	names_destroy(w->names);
	free(w->input);
	free(w->scratch);
	(void)sys_close(w->epoll_fd);
}

int worker_run(struct decant_server *s, uint32_t number, int wake_fd, struct err *reterr)
{
	struct worker w = {
		.server = s, .number = number, .state = &s->shared->workers[number],
		.epoll_fd = -1, .listen_fd = s->listen_fds[number], .wake_fd = wake_fd,
		.date_s = -1,
	};
	int r;

	for (unsigned i = 0; i < LISTS_N; i++)
		list_init(&w.lists[i]);
	list_init(&w.ready);
	list_init(&w.sleepers);
	list_init(&w.dead);
	list_init(&w.free_exchanges);
	atomic_store(&w.state->connections, 0);
	r = worker_open(&w);
	if (r == 0)
		r = worker_loop(&w);
	worker_close(&w);
	if (r < 0)
		*reterr = w.err;
	return r;
}
