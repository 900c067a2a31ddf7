/* SPDX-License-Identifier: MIT */
/*
 * Readiness of descriptors, for both backends: one epoll instance.
 *
 * epoll knows a descriptor once, while several jobs may wait for the same one
 * (a socket that is read by one and written by another), so each descriptor
 * has a poll_fd with the list of those who wait.
 *
 * Interests are one-shot: a job is woken once and asks again if it must.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "engine/engine.h"
#include "sys/sys.h"

#define POLLER_BUCKETS 256
#define POLLER_BATCH 64
#define EVENTFD_TRIES 8

enum poller_special { POLLER_KICK = -1, POLLER_BACKEND = -2 };

struct poll_fd {
	int fd;
	uint32_t armed;       /* epoll events; 0: added but disarmed */
	struct list waiters;  /* struct poll_node */
	struct list link;
};

struct poller {
	int epoll_fd, kick_fd, backend_fd;
	struct list fds[POLLER_BUCKETS];
	/* Filled by poller_wait() for poller_dispatch(); the leader's. */
	struct epoll_event events[POLLER_BATCH];
	int events_n;
};

static int poller_add(struct poller *p, int fd, int64_t tag)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = (uint64_t)tag };

	return sys_epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

int poller_create(struct poller **ret, struct err *reterr)
{
	struct poller *p = sys_calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(reterr, -ENOMEM, "engine: no memory");
	p->kick_fd = p->backend_fd = -1;
	for (int i = 0; i < POLLER_BUCKETS; i++)
		list_init(&p->fds[i]);
	p->epoll_fd = sys_epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll_fd < 0) {
		r = p->epoll_fd;
		goto fail;
	}
	p->kick_fd = sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->kick_fd < 0) {
		r = p->kick_fd;
		goto fail;
	}
	r = poller_add(p, p->kick_fd, POLLER_KICK);
	if (r < 0)
		goto fail;
	*ret = p;
	return 0;
fail:
	poller_destroy(p);
	return err_errno(reterr, r, "epoll");
}

void poller_destroy(struct poller *p)
{
	if (!p)
		return;
	for (int i = 0; i < POLLER_BUCKETS; i++) {
		struct list *l;

		while ((l = list_pop(&p->fds[i])))
			free(list_entry(l, struct poll_fd, link));
	}
	if (p->kick_fd >= 0)
		(void)sys_close(p->kick_fd);
	if (p->epoll_fd >= 0)
		(void)sys_close(p->epoll_fd);
	free(p);
}

int poller_watch_backend(struct poller *p, int fd)
{
	p->backend_fd = fd;
	return poller_add(p, fd, POLLER_BACKEND);
}

static struct poll_fd *poller_find(struct poller *p, int fd)
{
	struct list *bucket = &p->fds[(unsigned)fd % POLLER_BUCKETS];

	for (struct list *l = bucket->next; l != bucket; l = l->next) {
		struct poll_fd *pf = list_entry(l, struct poll_fd, link);

		if (pf->fd == fd)
			return pf;
	}
	return NULL;
}

/* poll(2)'s bits are epoll's on Linux. */
static int poller_update(struct poller *p, struct poll_fd *pf, int op)
{
	struct epoll_event ev = { .events = EPOLLONESHOT, .data.u64 = (uint64_t)pf->fd };
	int r;

	for (struct list *l = pf->waiters.next; l != &pf->waiters; l = l->next)
		ev.events |= (uint32_t)list_entry(l, struct poll_node, link)->events;
	r = sys_epoll_ctl(p->epoll_fd, op, pf->fd, &ev);
	/* The descriptor was closed and its number used again behind us. */
	if (r == -ENOENT && op == EPOLL_CTL_MOD)
		r = sys_epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, pf->fd, &ev);
	else if (r == -EEXIST && op == EPOLL_CTL_ADD)
		r = sys_epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, pf->fd, &ev);
	return r;
}

static void poller_forget(struct poller *p, struct poll_fd *pf)
{
	/* -EBADF, -ENOENT: closed already; then the kernel has forgotten it. */
	(void)sys_epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, pf->fd, NULL);
	list_remove(&pf->link);
	free(pf);
}

int poller_arm(struct poller *p, struct poll_node *n)
{
	struct poll_fd *pf = poller_find(p, n->fd);
	int r;

	if (pf) {
		list_push(&pf->waiters, &n->link);
		r = poller_update(p, pf, EPOLL_CTL_MOD);
	} else {
		pf = sys_calloc(1, sizeof(*pf));
		if (!pf)
			return -ENOMEM;
		pf->fd = n->fd;
		list_init(&pf->waiters);
		list_push(&p->fds[(unsigned)n->fd % POLLER_BUCKETS], &pf->link);
		list_push(&pf->waiters, &n->link);
		r = poller_update(p, pf, EPOLL_CTL_ADD);
	}
	if (r < 0) {
		list_remove(&n->link);
		if (list_empty(&pf->waiters))
			poller_forget(p, pf);
		return r;
	}
	n->armed = true;
	return 0;
}

void poller_disarm(struct poller *p, struct poll_node *n)
{
	struct poll_fd *pf;

	if (!n->armed)
		return;
	n->armed = false;
	list_remove(&n->link);
	pf = poller_find(p, n->fd);
	/* With others waiting, a spurious wake-up of theirs is all that can come. */
	if (pf && list_empty(&pf->waiters))
		poller_forget(p, pf);
}

void poller_wait(struct poller *p, int64_t timeout_ns)
{
	int ms = timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000);
	struct pollfd pfd = { .fd = p->epoll_fd, .events = POLLIN };

	p->events_n = 0;
	/* Milliseconds are too coarse for the rounds of delivery. */
	if (timeout_ns > 0 && timeout_ns < 20000000) {
		if (sys_poll_ns(&pfd, 1, (uint64_t)timeout_ns) <= 0)
			return;
		ms = 0;
	}
	p->events_n = sys_epoll_wait(p->epoll_fd, p->events, POLLER_BATCH, ms);
}

static void poller_fire(struct engine *e, struct poller *p, struct poll_fd *pf, uint32_t got)
{
	struct list again = LIST_INIT(again);
	struct list *l;

	/* Errors wake everybody. */
	if (got & (EPOLLERR | EPOLLHUP))
		got |= EPOLLIN | EPOLLOUT;
	while ((l = list_pop(&pf->waiters))) {
		struct poll_node *n = list_entry(l, struct poll_node, link);

		if (!(got & ((uint32_t)n->events | EPOLLERR | EPOLLHUP))) {
			list_push(&again, &n->link);
			continue;
		}
		n->armed = false;
		engine_wake(e, n->job);
	}
	while ((l = list_pop(&again)))
		list_push(&pf->waiters, l);
	if (list_empty(&pf->waiters)) {
		poller_forget(p, pf);
	} else if (poller_update(p, pf, EPOLL_CTL_MOD) < 0) {
		/* Better a spurious wake-up than a lost one. */
		while ((l = list_pop(&pf->waiters))) {
			struct poll_node *n = list_entry(l, struct poll_node, link);

			n->armed = false;
			engine_wake(e, n->job);
		}
		poller_forget(p, pf);
	}
}

void poller_dispatch(struct engine *e, struct poller *p)
{
	for (int i = 0; i < p->events_n; i++) {
		int64_t tag = (int64_t)p->events[i].data.u64;
		struct poll_fd *pf;
		uint64_t count;

		if (tag == POLLER_KICK) {
			(void)!sys_read(p->kick_fd, &count, sizeof(count));
			continue;
		}
		if (tag == POLLER_BACKEND) {
			e->backend->ops->reap(e->backend);
			continue;
		}
		pf = poller_find(p, (int)tag);
		if (pf)
			poller_fire(e, p, pf, p->events[i].events);
	}
	p->events_n = 0;
	if (e->backend->retry)
		e->backend->ops->reap(e->backend);
}

/*
 * Nothing but a full counter can keep an eventfd from taking a 1, and then it
 * is readable already.  A wake-up that is lost would be a hang, so insist.
 */
void eventfd_raise(int fd)
{
	uint64_t one = 1;

	for (int tries = 0; tries < EVENTFD_TRIES; tries++) {
		ssize_t n = sys_write(fd, &one, sizeof(one));

		if (n == (ssize_t)sizeof(one))
			return;
	}
}

void poller_kick(struct poller *p)
{
	eventfd_raise(p->kick_fd);
}
