/* SPDX-License-Identifier: MIT */
#include "keeper_serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wait.h"

#define KEEPER_TELL_NS UINT64_C(100000000)

struct keeper {
	const struct predump_options *o;
	struct decant *engine;
	struct decant_target *target;
	struct decant_predump_chain *chain;
	int listen_fd, fd;       /* fd: who is served; -1: nobody */
	int target_fd;
	uint64_t told_ns;
	uint64_t until_ns;       /* it gives up when nobody has asked until then */
	bool end;
	struct keeper_answer answer;
};

static bool keeper_tell(struct keeper *k, uint32_t kind, int flags)
{
	k->answer.magic = KEEPER_MAGIC;
	k->answer.kind = kind;
	return send(k->fd, &k->answer, sizeof(k->answer), MSG_NOSIGNAL | flags) ==
	       (ssize_t)sizeof(k->answer);
}

/* Who asked and went away wants no image. */
static int keeper_progress(void *arg, const struct decant_capture_progress *p)
{
	struct keeper *k = arg;
	struct pollfd f = { .fd = k->fd };
	uint64_t now = waiter_now_ns();

	(void)poll(&f, 1, 0);
	if (f.revents & (POLLHUP | POLLERR))
		return 1;
	if (now - k->told_ns < KEEPER_TELL_NS)
		return 0;
	k->told_ns = now;
	k->answer.bytes = p->bytes;
	k->answer.expected_bytes = p->expected_bytes;
	(void)keeper_tell(k, KEEPER_PROGRESS, MSG_DONTWAIT);
	return 0;
}

static int keeper_round(void *arg, const struct decant_predump_round *r)
{
	((struct keeper *)arg)->answer.round = *r;
	return 0;
}

static void keeper_message(struct keeper *k, int r)
{
	k->answer.result = r;
	if (r < 0 && !k->answer.report.message[0])
		(void)snprintf(k->answer.report.message, sizeof(k->answer.report.message), "%s",
			       decant_strerror(k->engine));
}

static int keeper_begin(struct keeper *k)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant_predump_options p;
	int r;

	options.mask = k->o->mask;
	predump_options_library(k->o, &p);
	p.flags &= DECANT_PREDUMP_UNSAFE | DECANT_PREDUMP_TREE;
	p.rounds = DECANT_PREDUMP_AUTO;
	p.parent = NULL;
	k->target_fd = pidfd_open(k->o->pid, 0);
	if (k->target_fd < 0)
		return -errno;
	r = decant_open(&k->engine, &options);
	if (r >= 0)
		r = decant_target_open(k->engine, &k->target, k->o->pid);
	return r < 0 ? r : decant_predump_begin(k->engine, &k->chain, k->target, &p);
}

static void keeper_do(struct keeper *k, struct keeper_ask *ask)
{
	struct decant_predump_options o = DECANT_PREDUMP_OPTIONS_INIT;
	int r;

	k->answer = (struct keeper_answer){ .report = DECANT_PREDUMP_REPORT_INIT };
	ask->dir[sizeof(ask->dir) - 1] = '\0';
	if (ask->what == KEEPER_STOP) {
		k->end = true;
		return;
	}
	o.flags = ask->flags;
	o.timeout_ns = ask->timeout_ns;
	o.rate_bytes = ask->rate_bytes;
	o.mode = ask->mode;
	ask->parent[sizeof(ask->parent) - 1] = '\0';
	o.parent = ask->parent[0] ? ask->parent : NULL;
	o.progress = keeper_progress;
	o.round = keeper_round;
	o.arg = k;
	r = decant_predump_next(k->chain, ask->dir, &o, &k->answer.report);
	keeper_message(k, r);
	k->end = (r >= 0 && ask->flags & DECANT_PREDUMP_FINAL) || r == -ESRCH;
	k->until_ns = waiter_now_ns() + k->o->watch_ns;
}

/* Questions of one, until he has no more. */
static void keeper_talk(struct keeper *k)
{
	struct keeper_ask ask;
	ssize_t n;

	while (!k->end) {
		struct pollfd f[2] = {
			{ .fd = k->fd, .events = POLLIN },
			{ .fd = k->target_fd, .events = POLLIN },
		};
		uint64_t now = waiter_now_ns();

		if (now >= k->until_ns)
			return;
		(void)poll(f, 2, 1000);
		if (f[1].revents && !f[0].revents)
			return;
		if (!f[0].revents)
			continue;
		n = recv(k->fd, &ask, sizeof(ask), MSG_DONTWAIT);
		if (n != (ssize_t)sizeof(ask) || ask.magic != KEEPER_MAGIC)
			return;
		keeper_do(k, &ask);
		/* Gone before it is told: whoever stops us may begin anew at once. */
		if (k->end) {
			decant_predump_end(k->chain);
			k->chain = NULL;
			(void)close(k->listen_fd);
			k->listen_fd = -1;
		}
		(void)keeper_tell(k, KEEPER_DONE, 0);
	}
}

static void keeper_loop(struct keeper *k)
{
	while (!k->end && waiter_now_ns() < k->until_ns) {
		struct pollfd f[2] = {
			{ .fd = k->listen_fd, .events = POLLIN },
			{ .fd = k->target_fd, .events = POLLIN },
		};

		(void)poll(f, 2, 1000);
		if (f[1].revents)
			return;
		if (!(f[0].revents & POLLIN))
			continue;
		k->fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (k->fd < 0)
			continue;
		if (keeper_is_ours(k->fd))
			keeper_talk(k);
		(void)close(k->fd);
		k->fd = -1;
	}
}

__attribute__((noreturn)) void keeper_serve(const struct predump_options *o, int listen_fd,
					    int first_fd)
{
	struct keeper k = {
		.o = o, .listen_fd = listen_fd, .fd = first_fd, .target_fd = -1,
		.until_ns = waiter_now_ns() + o->watch_ns,
		.answer = { .report = DECANT_PREDUMP_REPORT_INIT },
	};
	int r;

	/* Signals end it as they do any process; the target goes on. */
	(void)signal(SIGHUP, SIG_IGN);
	r = keeper_begin(&k);
	keeper_message(&k, r);
	(void)keeper_tell(&k, KEEPER_DONE, 0);
	if (r >= 0) {
		keeper_talk(&k);
		(void)close(k.fd);
		k.fd = -1;
		keeper_loop(&k);
	}
	decant_predump_end(k.chain);
	decant_target_close(k.target);
	decant_close(k.engine);
	_exit(0);
}
