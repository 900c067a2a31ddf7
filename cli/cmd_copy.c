/* SPDX-License-Identifier: MIT */
/* decant copy FROM TO: open both ends, move, name the result. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "copy_options.h"
#include "digest.h"
#include "end_open.h"
#include "engine_open.h"
#include "events.h"
#include "progress.h"
#include "report.h"

#define COPY_EVENTS_N 16

struct copy {
	struct copy_options o;
	struct waiter w;
	struct events events;
	struct progress progress;
	struct end_open from, to;
	struct decant *engine;
	struct report report;
	mode_t umask;
	bool sink_is_stdout;
};

/* Where results for people go: not into the bytes. */
static FILE *copy_out(const struct copy *c)
{
	return c->sink_is_stdout ? stderr : stdout;
}

static int copy_failed(struct copy *c, int r, const char *message)
{
	report_fail(&c->report, r, message);
	return r;
}

static void copy_announce(struct copy *c, const struct end_open *e)
{
	const char *where = e->listening[0] ? e->listening : e->spec->path;

	if (e->listen_fd < 0)
		return;
	c->report.listening = where;
	events_listening(&c->events, where, e->listen_port);
	if (c->o.quiet)
		return;
	(void)fprintf(stderr, "decant: listening on %s\n", where);
}

static int copy_open(struct copy *c)
{
	struct err e = { "" };
	int r;

	r = end_open_prepare(&c->from, &c->o.from, false, false, &c->o, &c->w, &e);
	if (r == 0)
		r = end_open_prepare(&c->to, &c->o.to, true, false, &c->o, &c->w, &e);
	if (r == 0)
		r = end_open_check_same(&c->from, &c->to, &c->o, &e);
	if (r == 0)
		r = engine_open(&c->engine, &c->o, &e);
	if (r < 0)
		return copy_failed(c, r, e.text);
	copy_announce(c, &c->from);
	copy_announce(c, &c->to);
	r = end_open_connect(&c->from, &c->o, &c->w, &e);
	if (r == 0)
		r = end_open_connect(&c->to, &c->o, &c->w, &e);
	return r < 0 ? copy_failed(c, r, e.text) : 0;
}

static int copy_transfer(struct copy *c, struct decant_transfer *t)
{
	struct decant_plan *plan;
	int r;

	copy_options_transfer(&c->o, t);
	t->from = c->from.end;
	t->to = c->to.end;
	if (progress_wanted(&c->progress) || c->events.fd >= 0)
		t->flags |= DECANT_PROGRESS_EVENTS;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return copy_failed(c, -ENOMEM, "copy: out of memory");
	plan->size = sizeof(*plan);
	r = decant_plan(c->engine, t, plan);
	if (r < 0) {
		(void)copy_failed(c, r, decant_strerror(c->engine));
		if (r == -ENOTSUP)
			c->report.hint = engine_advice(c->engine, t);
	} else {
		c->report.guarantee = plan->guarantee;
		if (c->o.verbose)
			(void)fprintf(stderr, "route %s, %s\n", plan->route,
				      plan->guarantee == DECANT_LIVE ? "live" : "stable");
	}
	free(plan);
	return r;
}

/* true: the transfer has ended. */
static bool copy_events(struct copy *c)
{
	struct decant_event events[COPY_EVENTS_N];
	int n = decant_wait(c->engine, events, COPY_EVENTS_N, 0);

	if (n < 0) {
		(void)copy_failed(c, n, decant_strerror(c->engine));
		return true;
	}
	for (int i = 0; i < n; i++) {
		report_event(&c->report, &events[i]);
		if (events[i].type == DECANT_PROGRESS || events[i].type == DECANT_ENDED)
			progress_bytes(&c->progress, events[i].bytes, waiter_now_ns());
		events_engine(&c->events, &events[i]);
		if (events[i].type == DECANT_ENDED)
			return true;
	}
	return false;
}

/* Asked twice: leave at once, without a trace but for what is in flight. */
__attribute__((noreturn)) static void copy_leave(struct copy *c)
{
	out_file_deinit(&c->to.out);
	if (c->to.own_fd && S_ISSOCK(c->to.st.st_mode))
		net_abort(c->to.fd);
	_exit(CLI_SIGNAL + c->w.signal);
}

/*
 * Until the transfer has ended.  The first signal cancels it; the second one
 * does not wait for that.
 */
static int copy_loop(struct copy *c, int64_t id)
{
	int event_fd = decant_event_fd(c->engine);
	bool cancelled = false;

	if (event_fd < 0)
		return copy_failed(c, event_fd, decant_strerror(c->engine));
	while (!copy_events(c)) {
		struct pollfd fds[2] = {
			{ .fd = event_fd, .events = POLLIN },
			{ .fd = c->w.signal_fd, .events = POLLIN },
		};

		if (poll(fds, 2, progress_wait_ms(&c->progress, waiter_now_ns())) < 0 &&
		    errno != EINTR)
			return copy_failed(c, -errno, "copy: waiting for events failed");
		if (waiter_signal(&c->w) && cancelled)
			copy_leave(c);
		if (c->w.signal && !cancelled) {
			int r = decant_cancel(c->engine, (uint64_t)id);

			/* -ENOENT: it has just ended by itself; as good. */
			if (r < 0 && r != -ENOENT)
				return copy_failed(c, r, decant_strerror(c->engine));
			cancelled = true;
		}
		progress_tick(&c->progress, waiter_now_ns());
	}
	return c->report.error;
}

static int copy_move(struct copy *c)
{
	struct decant_transfer t;
	int64_t id;
	int r;

	c->report.promised = end_open_expected(&c->from, &c->o);
	progress_start(&c->progress, c->o.progress_fd, c->report.promised, waiter_now_ns(), &c->w);
	r = copy_transfer(c, &t);
	if (r < 0)
		return r;
	c->report.start_ns = waiter_now_ns();
	id = decant_submit(c->engine, &t);
	if (id < 0)
		return copy_failed(c, (int)id, decant_strerror(c->engine));
	c->report.submitted = true;
	r = copy_loop(c, id);
	progress_end(&c->progress, waiter_now_ns());
	return r;
}

/* The permissions that cp would give. */
static mode_t copy_mode(const struct copy *c)
{
	mode_t source = S_ISREG(c->from.st.st_mode) ? c->from.st.st_mode & 0777 : 0666;

	if (c->o.mode == OPTION_MODE_KEEP)
		return source;
	return c->o.mode <= 0777 ? c->o.mode : source & ~c->umask;
}

static int copy_verify(struct copy *c)
{
	uint64_t offset = c->o.offset == COPY_NOT_SAID ? 0 : c->o.offset;
	uint64_t bytes = c->report.end.bytes;
	uint64_t bad = memory_check(c->to.memory.data, bytes, offset);
	char message[96];

	if (bad == bytes)
		return 0;
	(void)snprintf(message, sizeof(message), "--verify: byte %llu is not the pattern's",
		       (unsigned long long)(offset + bad));
	return copy_failed(c, -EBADMSG, message);
}

/* After the last byte: check it, write it home, give it its name. */
static int copy_finish(struct copy *c)
{
	struct err e = { "" };
	int r;

	if (c->o.verify) {
		r = copy_verify(c);
		if (r < 0)
			return r;
	}
	r = end_open_flush(&c->to, &e);
	if (r == 0 && c->to.out.fd >= 0)
		r = out_file_commit(&c->to.out, copy_mode(c), c->o.mode == COPY_MODE_DEFAULT,
				    c->o.sync, &e);
	return r < 0 ? copy_failed(c, r, e.text) : 0;
}

static void copy_keep(struct copy *c)
{
	struct err e = { "" };

	if (!c->o.partial || c->to.out.fd < 0 || !c->report.submitted)
		return;
	if (out_file_keep(&c->to.out, copy_mode(c), &c->report.partial, &e) < 0)
		cli_error("%s", e.text);
}

/* The name that a checksum line carries: of the file that it is true of. */
static const char *copy_digest_name(const struct copy *c)
{
	if (c->o.to.kind == END_SPEC_PATH)
		return c->o.to.path;
	return c->o.from.kind == END_SPEC_PATH ? c->o.from.path : "-";
}

static void copy_tell(struct copy *c)
{
	struct report *r = &c->report;

	if (c->events.error) {
		char message[96];

		(void)snprintf(message, sizeof(message), "--events: descriptor %d: %s",
			       c->events.fd, strerror(-c->events.error));
		report_fail(r, c->events.error, message);
	}
	if (c->w.signal && r->error) {
		r->status = CLI_SIGNAL + c->w.signal;
		(void)snprintf(r->message, sizeof(r->message), "interrupted: SIG%s",
			       sigabbrev_np(c->w.signal));
	}
	events_finished(&c->events, r->status, r->end.bytes);
	if (c->o.verbose && r->submitted)
		report_summary(stderr, r);
	if (c->o.json)
		report_json(copy_out(c), r, &c->o);
	else if (r->end.checksum && !r->error)
		digest_print(copy_out(c), r->end.checksum, r->end.digest, copy_digest_name(c));
	report_failure(r);
}

static int copy_run(struct copy *c)
{
	int r = waiter_open(&c->w);

	if (r < 0)
		(void)copy_failed(c, r, "signals: cannot be waited for");
	else if (copy_open(c) == 0 && copy_move(c) == 0)
		(void)copy_finish(c);
	if (c->report.error)
		copy_keep(c);
	/* Closing waits for what is in flight; an unfinished file goes after that. */
	decant_close(c->engine);
	end_open_close(&c->to, c->report.error != 0);
	end_open_close(&c->from, c->report.error != 0);
	copy_tell(c);
	waiter_close(&c->w);
	free(c->report.partial);
	return c->report.status;
}

/* Descriptors that were named must be open before we open any of our own. */
static int copy_check_fds(const struct copy_options *o)
{
	const struct {
		const char *name;
		int fd;
	} fds[] = {
		{ o->from.text, o->from.fd }, { o->to.text, o->to.fd },
		{ "--events", o->events_fd }, { "--progress", o->progress_fd },
	};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i].fd >= 0 && fcntl(fds[i].fd, F_GETFD) < 0)
			return cli_usage("copy", "%s: descriptor %d is not open", fds[i].name,
					 fds[i].fd);
	return CLI_OK;
}

int cmd_copy(int argc, char **argv)
{
	struct copy c = {
		.w = { .signal_fd = -1 },
		.from = { .fd = -1, .listen_fd = -1, .stand_in = -1, .out = OUT_FILE_INIT },
		.to = { .fd = -1, .listen_fd = -1, .stand_in = -1, .out = OUT_FILE_INIT },
		.report = { .promised = DECANT_TO_END },
	};
	struct err e = { "" };

	if (copy_options_parse(&c.o, argc, argv, &e) < 0)
		return cli_usage("copy", "%s", e.text);
	if (c.o.help) {
		copy_options_help("copy", "Move bytes from any end to any end, by the cheapest "
				  "route that keeps\nits promise.");
		return CLI_OK;
	}
	if (!cli_mask_ok(c.o.mask))
		return CLI_USAGE;
	if (c.o.route && strcmp(c.o.route, "help") == 0) {
		copy_options_routes();
		return CLI_OK;
	}
	if (copy_check_fds(&c.o) != CLI_OK)
		return CLI_USAGE;
	c.w.timeout_ms = c.o.timeout_ms;
	c.events = (struct events){ .fd = c.o.events_fd, .w = &c.w };
	c.sink_is_stdout = c.o.to.fd == STDOUT_FILENO;
	c.umask = out_file_umask();
	return copy_run(&c);
}
