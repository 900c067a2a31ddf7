/* SPDX-License-Identifier: MIT */
/* decant dirty PID: look at what a process writes, again and again, and tell of it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "dirty_options.h"
#include "dirty_report.h"
#include "heat.h"
#include "heat_svg.h"
#include "out_file.h"
#include "text.h"
#include "wait.h"

#define DIRTY_SHORT_NS UINT64_C(1000000)   /* the first look in an interval that has several */
#define DIRTY_SVG_MODE 0666

struct dirty {
	struct dirty_options o;
	struct waiter w;
	struct decant *engine;
	struct decant_target *target;
	struct decant_dirty *watch;
	struct heat heat;
	struct out_file out;
	struct dirty_result result;
	int pidfd;               /* readable when the process has ended; -1: none */
	bool live;               /* a table on a terminal */
	bool over;               /* no more intervals */
};

static int dirty_failed(struct dirty *c, int r, const char *message)
{
	dirty_result_fail(&c->result, r, message);
	return r;
}

/* To a reader that may be slow, or gone. */
static int dirty_put(struct dirty *c, struct buf *b)
{
	int r = b->error;

	if (r == 0 && b->len)
		r = waiter_write(&c->w, STDOUT_FILENO, b->data, b->len);
	buf_free(b);
	if (r == -ECANCELED)
		c->over = true;
	else if (r < 0)
		return dirty_failed(c, r, r == -ENOMEM ? "out of memory" :
						"standard output: cannot be written");
	return 0;
}

/* ------------------------------------------------------------------- opening */

static void dirty_learn_name(struct dirty *c)
{
	char path[64];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)c->o.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, c->result.name, sizeof(c->result.name) - 1);
	if (fd >= 0)
		(void)close(fd);
	c->result.name[n > 0 ? n - 1 : 0] = '\0';
	/* It may hold anything: nothing of it may command a terminal. */
	for (char *s = c->result.name; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static int dirty_open(struct dirty *c)
{
	struct decant_options options = DECANT_OPTIONS_INIT;
	struct decant_dirty_options dirty;
	struct err e = { "" };
	int r = 0;

	if (c->o.svg)
		r = out_file_open(&c->out, c->o.svg, c->o.force, false, &e);
	if (r < 0)
		return dirty_failed(c, r, e.text);
	options.mask = c->o.mask;
	r = decant_open(&c->engine, &options);
	if (r >= 0)
		r = decant_target_open(c->engine, &c->target, c->o.pid);
	if (r >= 0) {
		dirty_learn_name(c);
		c->pidfd = (int)syscall(SYS_pidfd_open, c->o.pid, 0);
		dirty_options_library(&c->o, &dirty);
		r = decant_dirty_begin(c->engine, &c->watch, c->target, &dirty,
				       &c->result.report);
	}
	return r < 0 ? dirty_failed(c, r, decant_strerror(c->engine)) : 0;
}

/* ------------------------------------------------------------------- looking */

/* Until that time, a signal, or the end of the process.  false: a signal. */
static bool dirty_wait(struct dirty *c, uint64_t until_ns)
{
	struct pollfd fds[2] = {
		{ .fd = c->w.signal_fd, .events = POLLIN },
		{ .fd = c->pidfd, .events = POLLIN },
	};

	for (;;) {
		uint64_t now = waiter_now_ns();
		struct timespec left;

		if (waiter_signal(&c->w) || c->w.signal)
			return false;
		if (now >= until_ns || fds[1].revents)
			return true;
		left.tv_sec = (time_t)((until_ns - now) / 1000000000);
		left.tv_nsec = (long)((until_ns - now) % 1000000000);
		(void)ppoll(fds, 2, &left, NULL);
	}
}

static int dirty_show(struct dirty *c, const struct decant_dirty_interval *i)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct buf b = BUF_INIT;

	if (c->o.json) {
		dirty_json_interval(&b, i, c->o.ranges);
	} else if (c->live) {
		(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		dirty_draw(&b, &c->result, i, &c->o, size.ws_row ? size.ws_row : 24,
			   size.ws_col ? size.ws_col : 80);
	} else if (!c->o.quiet) {
		dirty_print_interval(&b, i);
	}
	return dirty_put(c, &b);
}

/* The process is gone: what was seen of the interval is not much, and not told. */
static int dirty_ended(struct dirty *c, int r)
{
	const char *why = strstr(decant_strerror(c->engine), "has ");

	if (r != -ESRCH)
		return dirty_failed(c, r, decant_strerror(c->engine));
	(void)snprintf(c->result.end, sizeof(c->result.end), "%s", why ? why : "has ended");
	c->result.ended = c->over = true;
	return 0;
}

/* Looks after 1, 3, 7, ... ms: what is written in short times is asked for rarely. */
static int dirty_looks(struct dirty *c, uint64_t begin_ns, uint64_t end_ns)
{
	uint64_t window = DIRTY_SHORT_NS, at = begin_ns + window;
	int r = 0;

	while (at + window < begin_ns + (end_ns - begin_ns) / 2 && r == 0) {
		if (!dirty_wait(c, at))
			return 0;
		r = decant_dirty_look(c->watch);
		window *= 2;
		at = waiter_now_ns() + window;
	}
	return r;
}

static int dirty_interval(struct dirty *c, uint64_t begin_ns, uint64_t end_ns)
{
	struct decant_dirty_interval i = DECANT_DIRTY_INTERVAL_INIT;
	unsigned n = c->result.intervals + 1;
	int r = (n & (n - 1)) == 0 ? dirty_looks(c, begin_ns, end_ns) : 0;

	if (r < 0)
		return dirty_ended(c, r);
	/* An interval that is cut short counts: its length is told. */
	c->over = !dirty_wait(c, end_ns);
	r = decant_dirty_next(c->watch, &i);
	if (r < 0)
		return dirty_ended(c, r);
	c->result.intervals++;
	c->result.time_ns = i.end_ns;
	c->result.pages += i.pages;
	c->result.seen_pages = i.seen_pages;
	if (c->o.svg) {
		heat_add(&c->heat, &i);
		if (c->heat.error)
			return dirty_failed(c, c->heat.error, "heat map: out of memory");
	}
	return dirty_show(c, &i);
}

static int dirty_look(struct dirty *c)
{
	uint64_t start = waiter_now_ns(), begin = start, end;
	uint64_t last = c->o.for_ns ? start + c->o.for_ns : UINT64_MAX;
	int r = 0;

	while (r == 0 && !c->over && begin < last) {
		/* Whole intervals from the start, or where we were late, from now. */
		end = begin + c->o.interval_ns;
		if (end > last)
			end = last;
		r = dirty_interval(c, begin, end);
		begin = waiter_now_ns() < end + c->o.interval_ns ? end : waiter_now_ns();
	}
	return r;
}

/* --------------------------------------------------------------------- ending */

static int dirty_draw_svg(struct dirty *c)
{
	char title[128], note[256], rate[TEXT_NUMBER_MAX], took[TEXT_NUMBER_MAX];
	double seconds = (double)c->result.time_ns / 1e9;
	double pages = seconds > 0 ? (double)c->result.pages / seconds : 0;
	struct buf b = BUF_INIT;
	struct err e = { "" };
	int r;

	(void)snprintf(title, sizeof(title), "Memory written by process %d (%s)", (int)c->o.pid,
		       c->result.name);
	(void)snprintf(note, sizeof(note), "%.0f pages, %s a second on average of %s", pages,
		       text_bytes(rate, (uint64_t)(pages * 4096)),
		       text_duration(took, c->result.time_ns));
	r = heat_svg(&c->heat, title, note, &b);
	if (r == 0)
		r = waiter_write(&c->w, c->out.fd, b.data, b.len);
	if (r < 0)
		(void)err_errno(&e, r, "%s", c->o.svg);
	else
		r = out_file_commit(&c->out, DIRTY_SVG_MODE & ~out_file_umask(), true, false, &e);
	buf_free(&b);
	return r < 0 ? dirty_failed(c, r, e.text) : 0;
}

static void dirty_finish(struct dirty *c)
{
	/* A signal that ended the looking has done its work. */
	int r;

	if (!c->result.intervals) {
		if (c->w.signal)
			c->result.status = CLI_SIGNAL + c->w.signal;
		(void)dirty_failed(c, c->w.signal ? -EINTR : -ESRCH, c->w.signal ?
				   "interrupted before anything was seen" :
				   "the process ended before anything was seen");
		return;
	}
	c->w.signal = 0;
	r = decant_dirty_plan(c->watch, &c->result.plan);
	c->result.has_plan = r >= 0;
	if (r < 0 && r != -ENODATA)
		(void)dirty_failed(c, r, decant_strerror(c->engine));
	if (c->o.svg)
		(void)dirty_draw_svg(c);
}

static void dirty_tell(struct dirty *c)
{
	struct buf b = BUF_INIT;

	if (c->o.json) {
		dirty_json_result(&b, &c->result, &c->o);
		(void)dirty_put(c, &b);
	} else if (c->result.intervals) {
		dirty_print_result(&c->result, &c->o);
	}
	dirty_report_failure(&c->result);
}

static int dirty_run(struct dirty *c)
{
	int r = waiter_open(&c->w);

	if (r < 0)
		(void)dirty_failed(c, r, "signals: cannot be waited for");
	else if (dirty_open(c) == 0 && dirty_look(c) == 0)
		dirty_finish(c);
	decant_dirty_end(c->watch);
	decant_target_close(c->target);
	decant_close(c->engine);
	dirty_tell(c);
	if (c->pidfd >= 0)
		(void)close(c->pidfd);
	heat_free(&c->heat);
	out_file_deinit(&c->out);
	waiter_close(&c->w);
	return c->result.status;
}

int cmd_dirty(int argc, char **argv)
{
	struct dirty c = {
		.w = { .signal_fd = -1 }, .pidfd = -1, .heat = HEAT_INIT, .out = OUT_FILE_INIT,
		.result = { .report = DECANT_DIRTY_REPORT_INIT, .plan = DECANT_DIRTY_PLAN_INIT },
	};
	struct err e = { "" };

	if (dirty_options_parse(&c.o, argc, argv, &e) < 0)
		return cli_usage("dirty", "%s", e.text);
	if (c.o.help) {
		dirty_options_help();
		return CLI_OK;
	}
	if (!cli_mask_ok(c.o.mask))
		return CLI_USAGE;
	c.live = !c.o.json && !c.o.quiet && text_width(stdout) > 0;
	return dirty_run(&c);
}
