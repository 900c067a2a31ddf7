/* SPDX-License-Identifier: MIT */
/* decant predump PID -D DIR: open the process, make the images, tell of them. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "core_job.h"
#include "predump_options.h"
#include "predump_report.h"
#include "wait.h"

struct predump {
	struct predump_options o;
	struct waiter w;
	struct core_job job;
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
	return decant_predump(job->engine, job->target, c->o.dir, &options, &c->result.report);
}

static int predump_open(struct predump *c)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	int r;

	options.mask = c->o.mask;
	r = decant_open(&c->job.engine, &options);
	if (r >= 0)
		r = decant_target_open(c->job.engine, &c->job.target, c->o.pid);
	if (r < 0)
		predump_result_fail(&c->result, r, decant_strerror(c->job.engine));
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
	else if (!r->error && !c->o.quiet)
		predump_report_print(stderr, r, &c->o);
	predump_report_failure(r, &c->o);
}

static int predump_run(struct predump *c)
{
	struct err e = { "" };
	int r = waiter_open(&c->w);

	if (r < 0) {
		predump_result_fail(&c->result, r, "signals: cannot be waited for");
	} else if (predump_open(c) == 0) {
		r = core_job_run(&c->job, &c->w, c->o.progress_fd, &e);
		if (r == -EINTR && c->w.signal)
			predump_leave(c);
		if (r < 0)
			predump_result_fail(&c->result, r, e.text);
	}
	decant_target_close(c->job.target);
	decant_close(c->job.engine);
	predump_tell(c);
	waiter_close(&c->w);
	return c->result.status;
}

int cmd_predump(int argc, char **argv)
{
	struct predump c = {
		.w = { .signal_fd = -1 },
		.none = DECANT_CAPTURE_REPORT_INIT,
		.result = { .report = DECANT_PREDUMP_REPORT_INIT },
	};
	struct err e = { "" };

	c.job.run = predump_make;
	c.job.report = &c.none;
	if (predump_options_parse(&c.o, argc, argv, &e) < 0)
		return cli_usage("predump", "%s", e.text);
	if (c.o.help) {
		predump_options_help();
		return CLI_OK;
	}
	if (c.o.progress_fd >= 0 && fcntl(c.o.progress_fd, F_GETFD) < 0)
		return cli_usage("predump", "--progress: descriptor %d is not open",
				 c.o.progress_fd);
	return predump_run(&c);
}
