/* SPDX-License-Identifier: MIT */
/* decant core PID: open the process and the output, capture, name the result. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli.h"
#include "copy_options.h"
#include "core_job.h"
#include "core_options.h"
#include "core_report.h"
#include "end_open.h"
#include "text.h"
#include "wait.h"

/* Whoever may read a core may read all that the process knew. */
#define CORE_MODE 0600

struct core {
	struct core_options o;
	struct copy_options as_copy; /* what opening an end wants to know */
	struct waiter w;
	struct end_open to;
	struct decant *engine;
	struct decant_target *target;
	struct core_result result;
	int sink_fd;                 /* to.fd, or our own opening of the same file */
	bool own_sink;
};

static int core_failed(struct core *c, int r, const char *message)
{
	core_result_fail(&c->result, r, message);
	return r;
}

static int core_open_target(struct core *c)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	int r;

	options.mask = c->o.mask;
	r = decant_open(&c->engine, &options);
	if (r < 0)
		return core_failed(c, r, decant_strerror(NULL));
	r = decant_target_open(c->engine, &c->target, c->o.pid);
	return r < 0 ? core_failed(c, r, decant_strerror(c->engine)) : 0;
}

/* ------------------------------------------------------------- the output */

/*
 * A name that nobody gave is for a new file only: in a directory where others
 * may write, a FIFO of that name would be theirs.
 */
static int core_check_own_name(const struct core *c, struct err *e)
{
	struct stat st;

	if (c->o.output || lstat(c->o.to.path, &st) < 0)
		return 0;
	if (!c->o.force)
		return err_set(e, -EEXIST, "%s: the file exists", c->o.to.path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: is no regular file", c->o.to.path);
	return 0;
}

/*
 * A file that the shell opened for us: pages are written where they belong, and
 * that takes an opening of our own.
 */
static int core_reopen(struct core *c, struct err *e)
{
	const char *name = c->o.to.text;
	char proc[64];

	if (c->to.st.st_size || lseek(c->to.fd, 0, SEEK_CUR) > 0 ||
	    fcntl(c->to.fd, F_GETFL) & O_APPEND)
		return err_set(e, -EINVAL, "%s: the file is not empty; a core cannot be appended",
			       name);
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", c->to.fd);
	c->sink_fd = open(proc, O_RDWR | O_CLOEXEC);
	if (c->sink_fd < 0)
		return err_errno(e, -errno, "%s: opening it for reading and writing", name);
	c->own_sink = true;
	return 0;
}

static int core_check_sink(struct core *c, struct err *e)
{
	mode_t mode = c->to.st.st_mode;

	c->sink_fd = c->to.fd;
	if (c->to.out.fd >= 0)
		return 0;
	if (S_ISBLK(mode))
		return err_set(e, -EINVAL, "%s: is a device; a core needs a file or a stream",
			       c->o.to.text);
	if (c->to.fd >= 0 && isatty(c->to.fd))
		return err_set(e, -EINVAL, "%s: is a terminal; a core is nothing to look at",
			       c->o.to.kind == END_SPEC_STANDARD ? "standard output" :
								   c->o.to.text);
	return S_ISREG(mode) ? core_reopen(c, e) : 0;
}

/*
 * Refuse what will not fit: pages that are there need a block each, unless they
 * are full of zeros, which --best-effort hopes for.
 */
static int core_check_room(struct core *c, struct err *e)
{
	struct decant_capture_plan plan = DECANT_CAPTURE_PLAN_INIT;
	struct decant_capture_options options;
	char need[TEXT_NUMBER_MAX], have[TEXT_NUMBER_MAX];
	struct statvfs fs;
	uint64_t room;
	int r;

	if (c->o.compress || c->o.best_effort || (c->to.out.fd < 0 && !c->own_sink) ||
	    fstatvfs(c->sink_fd, &fs) < 0)
		return 0;
	core_options_capture(&c->o, &options);
	r = decant_capture_plan(c->engine, c->target, &options, 1, &plan);
	if (r < 0)
		return err_set(e, r, "%s", decant_strerror(c->engine));
	room = (geteuid() == 0 ? fs.f_bfree : fs.f_bavail) * fs.f_frsize;
	if (fs.f_blocks == 0 || plan.memory_bytes <= room)
		return 0;
	return err_set(e, -ENOSPC, "%s: %s of memory do not fit into %s of free space",
		       c->o.to.text, text_bytes(need, plan.memory_bytes), text_bytes(have, room));
}

static int core_open_output(struct core *c)
{
	struct err e = { "" };
	int r = core_check_own_name(c, &e);

	c->as_copy = (struct copy_options){
		.offset = COPY_NOT_SAID, .length = COPY_NOT_SAID, .to_offset = COPY_NOT_SAID,
		.mode = CORE_MODE, .force = c->o.force,
	};
	if (r == 0)
		r = end_open_prepare(&c->to, &c->o.to, true, false, &c->as_copy, &c->w, &e);
	c->to.out.fresh = true;
	if (r == 0)
		r = core_check_sink(c, &e);
	if (r == 0)
		r = core_check_room(c, &e);
	if (r == 0 && c->to.listening[0] && !c->o.quiet)
		(void)fprintf(stderr, "decant: listening on %s\n", c->to.listening);
	if (r == 0)
		r = end_open_connect(&c->to, &c->as_copy, &c->w, &e);
	if (r == 0 && !c->own_sink)
		c->sink_fd = c->to.fd;
	return r < 0 ? core_failed(c, r, e.text) : 0;
}

/* ------------------------------------------------------------ the capture */

/* It does not end: leave without a trace, but for what others have read. */
__attribute__((noreturn)) static void core_leave(struct core *c)
{
	out_file_deinit(&c->to.out);
	if (c->to.own_fd && S_ISSOCK(c->to.st.st_mode))
		net_abort(c->to.fd);
	cli_error("interrupted: SIG%s", sigabbrev_np(c->w.signal));
	_exit(CLI_SIGNAL + c->w.signal);
}

static int core_capture(struct core *c)
{
	struct core_job job = {
		.engine = c->engine, .target = c->target,
		.sink = DECANT_IMAGE_SINK_INIT, .report = &c->result.report,
	};
	struct err e = { "" };
	int r;

	core_options_capture(&c->o, &job.options);
	job.sink.fd = c->sink_fd;
	r = core_job_run(&job, &c->w, c->o.progress_fd, &e);
	if (r == -EINTR && c->w.signal)
		core_leave(c);
	return r < 0 ? core_failed(c, r, e.text) : 0;
}

static int core_finish(struct core *c)
{
	struct err e = { "" };
	int r = end_open_flush(&c->to, &e);

	if (r == 0 && c->to.out.fd >= 0)
		r = out_file_commit(&c->to.out, CORE_MODE, false, false, &e);
	return r < 0 ? core_failed(c, r, e.text) : 0;
}

/* ---------------------------------------------------------------- telling */

static void core_tell(struct core *c)
{
	struct core_result *r = &c->result;
	bool taken = c->o.to.fd == STDOUT_FILENO;

	if (c->w.signal && r->error) {
		r->status = CLI_SIGNAL + c->w.signal;
		(void)snprintf(r->message, sizeof(r->message), "interrupted: SIG%s",
			       sigabbrev_np(c->w.signal));
	}
	if (c->o.json)
		core_report_json(taken ? stderr : stdout, r, &c->o);
	else if (!r->error && !c->o.quiet)
		core_report_print(stderr, r, &c->o);
	core_report_failure(r, &c->o);
}

static void core_explain(struct core *c)
{
	struct decant_capture_plan plan = DECANT_CAPTURE_PLAN_INIT;
	struct decant_capture_options options;
	int r;

	core_options_capture(&c->o, &options);
	r = decant_capture_plan(c->engine, c->target, &options, 0, &plan);
	if (r < 0)
		(void)core_failed(c, r, decant_strerror(c->engine));
	else if (c->o.json)
		core_plan_json(stdout, &plan, &c->o);
	else
		core_plan_print(stdout, &plan, &c->o);
}

static int core_run(struct core *c)
{
	int r = waiter_open(&c->w);

	if (r < 0) {
		(void)core_failed(c, r, "signals: cannot be waited for");
	} else if (core_open_target(c) == 0) {
		if (c->o.explain)
			core_explain(c);
		else if (core_open_output(c) == 0 && core_capture(c) == 0)
			(void)core_finish(c);
	}
	decant_target_close(c->target);
	decant_close(c->engine);
	if (c->own_sink)
		(void)close(c->sink_fd);
	end_open_close(&c->to, c->result.error != 0);
	if (!c->o.explain || c->result.error)
		core_tell(c);
	waiter_close(&c->w);
	return c->result.status;
}

int cmd_core(int argc, char **argv)
{
	struct core c = {
		.w = { .signal_fd = -1 }, .sink_fd = -1,
		.to = { .fd = -1, .listen_fd = -1, .stand_in = -1, .out = OUT_FILE_INIT },
		.result = { .report = DECANT_CAPTURE_REPORT_INIT },
	};
	struct err e = { "" };

	if (core_options_parse(&c.o, argc, argv, &e) < 0)
		return cli_usage("core", "%s", e.text);
	if (c.o.help) {
		core_options_help();
		return CLI_OK;
	}
	if (!cli_mask_ok(c.o.mask))
		return CLI_USAGE;
	if (c.o.to.fd >= 0 && fcntl(c.o.to.fd, F_GETFD) < 0)
		return cli_usage("core", "%s: descriptor %d is not open", c.o.to.text, c.o.to.fd);
	if (c.o.progress_fd >= 0 && fcntl(c.o.progress_fd, F_GETFD) < 0)
		return cli_usage("core", "--progress: descriptor %d is not open",
				 c.o.progress_fd);
	c.result.output = c.o.to.text;
	c.w.timeout_ms = (uint32_t)(c.o.timeout_ns / 1000000 < INT32_MAX ?
					    c.o.timeout_ns / 1000000 : INT32_MAX);
	return core_run(&c);
}
