/* SPDX-License-Identifier: MIT */
#include "policy/tracers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "policy/report.h"
#include "process/procfs.h"
#include "sys/sys.h"
#include "sys/trace.h"

#define TRACERS_TICK_MS 10
#define TRACERS_MAX 512          /* processes that are looked at */
#define TRACERS_TREE_TICKS 10    /* between two looks who was started */

struct tracers_one {
	pid_t pid, tracer;       /* tracer 0: none that matters */
	uint64_t calls;          /* when it was last seen without one */
	char name[64];           /* of the tracer */
};

struct tracers {
	pthread_t thread;
	struct report *report;
	const struct board *board;
	int stop;                /* eventfd */
	unsigned n, ticks;
	struct tracers_one one[TRACERS_MAX];
};

static int tracers_status(pid_t pid, struct proc_status *ret)
{
	_cleanup_close_ int dir = -1;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return dir < 0 ? dir : procfs_status(dir, ret);
}

static void tracers_know(struct tracers *t, pid_t pid)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->one[i].pid == pid)
			return;
	if (t->n < TRACERS_MAX)
		t->one[t->n++] = (struct tracers_one){ .pid = pid };
}

/* Whom a first thread started; what others start is not looked at. */
static void tracers_children(struct tracers *t, pid_t pid)
{
	_cleanup_close_ int fd = -1;
	char path[64], text[4096], *at = text, *end;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	n = fd < 0 ? fd : sys_read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	for (long child; (child = strtol(at, &end, 10)) > 0 && end != at; at = end)
		tracers_know(t, (pid_t)child);
}

/* Only who has no filter itself can suspend another's. */
static void tracers_came(struct tracers_one *o, pid_t tracer)
{
	struct proc_status st;

	if (tracer == sys_getpid() || tracers_status(tracer, &st) < 0 || st.seccomp > 0)
		return;
	o->tracer = tracer;
	(void)snprintf(o->name, sizeof(o->name), "%s", st.name);
}

static void tracers_went(struct tracers *t, struct tracers_one *o)
{
	if (o->tracer && board_count(t->board, o->pid) == o->calls)
		report_hole(t->report, "process %d was traced by %s (%d) and made no vmsplice "
			    "meanwhile that was seen: a tracer can suspend our filter, as CRIU "
			    "does; run that by `decant run --criu`", (int)o->pid, o->name,
			    (int)o->tracer);
	o->tracer = 0;
}

static void tracers_look(struct tracers *t)
{
	bool tree = t->ticks++ % TRACERS_TREE_TICKS == 0;

	for (unsigned i = 0; i < t->n; i++) {
		struct tracers_one *o = &t->one[i];
		struct proc_status st;

		if (tracers_status(o->pid, &st) < 0 || st.state == 'Z' || st.state == 'X') {
			tracers_went(t, o);
			*o = t->one[--t->n];
			i--;
			continue;
		}
		if (st.tracer && !o->tracer)
			tracers_came(o, st.tracer);
		if (!st.tracer)
			tracers_went(t, o);
		if (!o->tracer)
			o->calls = board_count(t->board, o->pid);
		if (tree)
			tracers_children(t, o->pid);
	}
}

static void *tracers_main(void *arg)
{
	struct tracers *t = arg;
	struct pollfd p = { .fd = t->stop, .events = POLLIN };

	do {
		tracers_look(t);
	} while (sys_poll(&p, 1, TRACERS_TICK_MS) <= 0);
	return NULL;
}

int tracers_create(struct tracers **ret, struct report *r, const struct board *board, pid_t root,
		   struct err *reterr)
{
	struct tracers *t = sys_calloc(1, sizeof(*t));
	int e;

	if (!t)
		return err_set(reterr, -ENOMEM, "out of memory");
	t->report = r;
	t->board = board;
	tracers_know(t, root);
	e = t->stop = sys_eventfd(0, EFD_CLOEXEC);
	if (e >= 0)
		e = sys_thread_create(&t->thread, "decant-tracers", tracers_main, t);
	if (e < 0) {
		if (t->stop >= 0)
			(void)sys_close(t->stop);
		free(t);
		return err_errno(reterr, e, "thread that looks for tracers");
	}
	*ret = t;
	return 0;
}

void tracers_destroy(struct tracers *t)
{
	uint64_t one = 1;

	if (!t)
		return;
	(void)sys_write(t->stop, &one, sizeof(one));
	(void)sys_thread_join(t->thread);
	for (unsigned i = 0; i < t->n; i++)
		tracers_went(t, &t->one[i]);
	(void)sys_close(t->stop);
	free(t);
}
