/* SPDX-License-Identifier: MIT */
/*
 * decant explain FROM TO: the plan of `decant copy` with the same words.
 * Nothing is moved, connected or created; what stands in for a peer is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "copy_options.h"
#include "end_open.h"
#include "engine_open.h"
#include "plan_text.h"

struct explain {
	struct copy_options o;
	struct waiter w;
	struct end_open from, to;
	struct decant *engine;
};

static int explain_open(struct explain *x, struct err *e)
{
	int r;

	r = end_open_prepare(&x->from, &x->o.from, false, true, &x->o, &x->w, e);
	if (r == 0)
		r = end_open_prepare(&x->to, &x->o.to, true, true, &x->o, &x->w, e);
	if (r == 0)
		r = end_open_check_same(&x->from, &x->to, &x->o, e);
	if (r == 0)
		r = end_open_connect(&x->from, &x->o, &x->w, e);
	if (r == 0)
		r = end_open_connect(&x->to, &x->o, &x->w, e);
	if (r == 0)
		r = engine_open(&x->engine, &x->o, e);
	return r;
}

static int explain_plan(struct explain *x)
{
	struct decant_plan *plan = calloc(1, sizeof(*plan));
	struct decant_transfer t;
	struct plan_text text;
	int r;

	if (!plan) {
		cli_error("explain: out of memory");
		return CLI_FAILED;
	}
	plan->size = sizeof(*plan);
	copy_options_transfer(&x->o, &t);
	t.from = x->from.end;
	t.to = x->to.end;
	r = decant_plan(x->engine, &t, plan);
	text = (struct plan_text){
		.from = x->o.from.text, .to = x->o.to.text,
		.from_assumed = x->from.assumed, .to_assumed = x->to.assumed,
		.verbose = x->o.verbose, .plan = plan, .error = r < 0 ? r : 0,
		.message = r < 0 ? decant_strerror(x->engine) : "",
	};
	if (x->o.json)
		plan_text_json(stdout, &text);
	else if (r == 0 || r == -ENOTSUP)
		plan_text_print(stdout, &text);
	else
		cli_error("%s", text.message);
	free(plan);
	if (r == -ENOTSUP && !x->o.json)
		cli_hint(engine_advice(x->engine, &t));
	return r < 0 ? CLI_FAILED : CLI_OK;
}

static int explain_run(struct explain *x)
{
	struct err e = { "" };
	int status = CLI_FAILED, r = explain_open(x, &e);

	if (r == 0) {
		status = explain_plan(x);
	} else {
		cli_error("%s", e.text);
		cli_hint(cli_advice(r));
	}
	decant_close(x->engine);
	end_open_close(&x->to, false);
	end_open_close(&x->from, false);
	return status;
}

static int explain_check_fd(const struct end_spec *spec)
{
	if (spec->fd < 0 || fcntl(spec->fd, F_GETFD) >= 0)
		return CLI_OK;
	return cli_usage("explain", "%s: descriptor %d is not open", spec->text, spec->fd);
}

int cmd_explain(int argc, char **argv)
{
	struct explain x = {
		.w = { .signal_fd = -1 },
		.from = { .fd = -1, .listen_fd = -1, .stand_in = -1, .out = OUT_FILE_INIT },
		.to = { .fd = -1, .listen_fd = -1, .stand_in = -1, .out = OUT_FILE_INIT },
	};
	struct err e = { "" };

	if (copy_options_parse(&x.o, argc, argv, &e) < 0)
		return cli_usage("explain", "%s", e.text);
	if (x.o.help) {
		copy_options_help("explain",
				  "Show how `decant copy` with the same words would move the "
				  "bytes, and why each\nbetter route was refused.  Nothing is "
				  "moved.");
		return CLI_OK;
	}
	if (!cli_mask_ok(x.o.mask))
		return CLI_USAGE;
	if (x.o.route && strcmp(x.o.route, "help") == 0) {
		copy_options_routes();
		return CLI_OK;
	}
	if (explain_check_fd(&x.o.from) != CLI_OK || explain_check_fd(&x.o.to) != CLI_OK)
		return CLI_USAGE;
	return explain_run(&x);
}
