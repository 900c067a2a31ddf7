/* SPDX-License-Identifier: MIT */
/* decant predump PID -D DIR: open the process, make the images, tell of them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "core_job.h"
#include "keeper.h"
#include "predump_options.h"
#include "predump_report.h"
#include "predump_to.h"
#include "wait.h"

#define PREDUMP_LOOK_MS 100

struct predump {
	struct predump_options o;
	struct waiter w;
	struct core_job job;
	struct predump_to to;
	int keeper_fd;           /* -1: nobody watches it */
	struct decant_capture_report none;
	struct predump_result result;
};

static int predump_image(void *arg, const struct decant_predump_round *round)
{
	struct core_job *job = arg;
	struct predump *c = (struct predump *)((char *)job - offsetof(struct predump, job));

	if (c->result.images_n < PREDUMP_IMAGES_MAX)
		c->result.images[c->result.images_n++] = *round;
	return 0;
}

static int predump_make(struct core_job *job)
{
	struct predump *c = (struct predump *)((char *)job - offsetof(struct predump, job));
	struct decant_predump_options options;

	predump_options_library(&c->o, &options);
	options.progress = job->options.progress;
	options.round = predump_image;
	options.arg = job;
	options.to = c->to.remote;
	return decant_predump(job->engine, job->target, c->o.dir, &options, &c->result.report);
}

/* ------------------------------------------------------- by who watches it */

static int predump_failed(struct predump *c, int r, const char *message)
{
	(void)snprintf(c->none.message, sizeof(c->none.message), "%s", message);
	return r;
}

/* On the job's thread: one image, or the end. */
static int predump_ask(struct core_job *job)
{
	struct predump *c = (struct predump *)((char *)job - offsetof(struct predump, job));
	struct decant_predump_options o;
	struct keeper_ask ask = { .magic = KEEPER_MAGIC, .what = KEEPER_IMAGE };
	struct keeper_answer a = { .kind = KEEPER_PROGRESS };
	struct err e = { "" };
	int r = 0;

	predump_options_library(&c->o, &o);
	ask.flags = o.flags;
	ask.timeout_ns = o.timeout_ns;
	ask.rate_bytes = o.rate_bytes;
	ask.mode = o.mode;
	if (c->o.stop)
		ask.what = KEEPER_STOP;
	else
		r = keeper_path(ask.dir, sizeof(ask.dir), c->o.dir);
	if (r >= 0 && c->o.parent)
		r = keeper_path(ask.parent, sizeof(ask.parent), c->o.parent);
	if (r < 0)
		return predump_failed(c, r, "--dir: its name is too long");
	r = keeper_send(c->keeper_fd, &ask, &e);
	while (r == 0 && a.kind == KEEPER_PROGRESS) {
		struct pollfd f = { .fd = c->keeper_fd, .events = POLLIN };
		struct decant_capture_progress p = { "", a.bytes, a.expected_bytes };

		if (job->options.progress(job, &p) != 0)
			return predump_failed(c, -ECANCELED, "predump: cancelled");
		if (poll(&f, 1, PREDUMP_LOOK_MS) > 0)
			r = keeper_answer(c->keeper_fd, &a, &e);
	}
	if (r < 0)
		return predump_failed(c, r, e.text);
	c->result.report = a.report;
	if (a.result < 0)
		return predump_failed(c, a.result, a.report.message);
	c->result.images[0] = a.round;
	c->result.images_n = !c->o.stop;
	return 0;
}

static int predump_watch(struct predump *c)
{
	struct keeper_answer a;
	struct err e = { "" };
	int r = keeper_start(&c->o, &c->keeper_fd, &e);

	if (r >= 0)
		r = keeper_answer(c->keeper_fd, &a, &e);
	if (r >= 0 && a.result < 0)
		r = err_set(&e, a.result, "%s", a.report.message);
	if (r < 0)
		predump_result_fail(&c->result, r, e.text);
	return r;
}

/* keeper_fd: of one that watches it already, or is told to. */
static int predump_find(struct predump *c)
{
	struct err e = { "" };
	int r;

	if (c->o.watch_ns)
		return predump_watch(c);
	r = keeper_find(c->o.pid, &e);
	if (r >= 0)
		c->keeper_fd = r;
	/* What is wrong with the process is told better by who opens it. */
	if ((r == -ENOENT || r == -ESRCH) && !c->o.stop)
		return 0;
	if (r >= 0 && (c->o.rounds_text || c->o.track || c->o.unsafe || c->o.mask))
		r = err_set(&e, -EINVAL, "PID %d: is watched, one image at a time: --rounds, "
			    "--track, --unsafe and --mask are not for that", (int)c->o.pid);
	if (r < 0)
		predump_result_fail(&c->result, r, e.text);
	return r;
}

/* ------------------------------------------------------------------ by us */

static int predump_open(struct predump *c)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct err e = { "" };
	int r;

	options.mask = c->o.mask;
	r = decant_open(&c->job.engine, &options);
	if (r >= 0)
		r = decant_target_open(c->job.engine, &c->job.target, c->o.pid);
	if (r < 0)
		predump_result_fail(&c->result, r, decant_strerror(c->job.engine));
	else if ((r = predump_to_open(&c->to, c->job.engine, &c->o, &e)) < 0)
		predump_result_fail(&c->result, r, e.text);
	return r;
}

/* It does not end: what it leaves is incomplete, and says so. */
__attribute__((noreturn)) static void predump_leave(struct predump *c)
{
	cli_error("interrupted: SIG%s", sigabbrev_np(c->w.signal));
	_exit(CLI_SIGNAL + c->w.signal);
}

static void predump_tell(struct predump *c)
{
	struct predump_result *r = &c->result;

	if (c->w.signal && r->error) {
		r->status = CLI_SIGNAL + c->w.signal;
		(void)snprintf(r->message, sizeof(r->message), "interrupted: SIG%s",
			       sigabbrev_np(c->w.signal));
	}
	if (c->o.json)
		predump_report_json(stdout, r, &c->o);
	else if (!r->error && !c->o.quiet && !c->o.stop)
		predump_report_print(stderr, r, &c->o);
	predump_report_failure(r, &c->o);
}

static int predump_run(struct predump *c)
{
	struct err e = { "" };
	int r = waiter_open(&c->w);

	if (r < 0) {
		predump_result_fail(&c->result, r, "signals: cannot be waited for");
	} else if (predump_find(c) >= 0 && (c->keeper_fd >= 0 || predump_open(c) == 0)) {
		c->job.run = c->keeper_fd >= 0 ? predump_ask : predump_make;
		c->result.watched = c->keeper_fd >= 0;
		r = core_job_run(&c->job, &c->w, c->o.progress_fd, &e);
		if (r == -EINTR && c->w.signal)
			predump_leave(c);
		if (r < 0)
			predump_result_fail(&c->result, r, c->to.err.text[0] ? c->to.err.text :
					    e.text);
	}
	if (c->keeper_fd >= 0)
		(void)close(c->keeper_fd);
	predump_to_close(&c->to);
	decant_target_close(c->job.target);
	decant_close(c->job.engine);
	predump_tell(c);
	waiter_close(&c->w);
	return c->result.status;
}

int cmd_predump(int argc, char **argv)
{
	struct predump c = {
		.w = { .signal_fd = -1 }, .keeper_fd = -1,
		.none = DECANT_CAPTURE_REPORT_INIT,
		.result = { .report = DECANT_PREDUMP_REPORT_INIT },
	};
	struct err e = { "" };

	c.job.report = &c.none;
	if (predump_options_parse(&c.o, argc, argv, &e) < 0)
		return cli_usage("predump", "%s", e.text);
	if (c.o.help) {
		predump_options_help();
		return CLI_OK;
	}
	if (predump_to_check(&c.o, &e) < 0)
		return cli_usage("predump", "%s", e.text);
	if (c.o.progress_fd >= 0 && fcntl(c.o.progress_fd, F_GETFD) < 0)
		return cli_usage("predump", "--progress: descriptor %d is not open",
				 c.o.progress_fd);
	return predump_run(&c);
}
