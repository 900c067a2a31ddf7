/* SPDX-License-Identifier: MIT */
/* decant_run(): the public way into this directory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decant.h"
#include "policy/choose.h"
#include "policy/program.h"
#include "policy/report.h"
#include "policy/supervise.h"
#include "sys/sys.h"

/* The fields of the first version must be there. */
#define RUN_SIZE_MIN offsetof(struct decant_run_options, arg)

static const char *const run_mechanisms[] = {
	[DECANT_MECHANISM_AUTO] = NULL,
	[DECANT_MECHANISM_TRACE] = "trace",
	[DECANT_MECHANISM_NOTIFY] = "notify",
	[DECANT_MECHANISM_PRELOAD] = "preload",
};

/* A later field: older callers do not have it. */
static uint32_t run_flags(const struct decant_run_options *o)
{
	return o->size >= offsetof(struct decant_run_options, flags) + sizeof(o->flags) ?
		       o->flags : 0;
}

static int run_check(const struct decant_run_options *o, const char *const *argv,
		     struct policy *ret, struct err *reterr)
{
	if (!o || o->size < RUN_SIZE_MIN || o->size > 4096)
		return err_set(reterr, -EINVAL, "run: options: size is not set");
	if (o->mechanism >= sizeof(run_mechanisms) / sizeof(run_mechanisms[0]))
		return err_set(reterr, -EINVAL, "run: no such mechanism");
	if (o->report > DECANT_REPORT_JSON)
		return err_set(reterr, -EINVAL, "run: no such form of report");
	if (run_flags(o) & ~(uint32_t)DECANT_RUN_DUMPER)
		return err_set(reterr, -EINVAL, "run: no such flag");
	if ((run_flags(o) & DECANT_RUN_DUMPER) && o->mechanism != DECANT_MECHANISM_AUTO &&
	    o->mechanism != DECANT_MECHANISM_PRELOAD)
		return err_set(reterr, -EINVAL, "run: a dumper carries no filter itself: mechanism "
			       "auto or preload");
	if (!argv || !argv[0])
		return err_set(reterr, -EINVAL, "run: no program was given");
	return policy_parse(o->policy, ret, reterr);
}

static int run_report(struct report *r, const struct decant_run_options *o,
		      const struct report_head *head, struct decant_run_result *ret,
		      struct err *reterr)
{
	struct buf text = BUF_INIT;
	int e = o->report == DECANT_REPORT_JSON ? report_json(r, head, &text) :
						  report_text(r, head, &text);

	if (e < 0) {
		buf_free(&text);
		return err_set(reterr, e, "report: out of memory");
	}
	ret->report = buf_take(&text);
	return ret->report ? 0 : err_set(reterr, -ENOMEM, "report: out of memory");
}

static int run_program(const struct decant_run_options *o, const char *const *argv,
		       const struct policy *p, struct decant_run_result *ret, struct err *reterr)
{
	/* To warn of a call is to see it, and what is seen is counted. */
	bool counted = p->audit || p->vmsplice == POLICY_WARN || o->report != DECANT_REPORT_NONE;
	struct supervise_request q = {
		.policy = *p, .counted = counted, .argv = argv, .started = o->started,
		.arg = o->arg, .dumper = run_flags(o) & DECANT_RUN_DUMPER,
	};
	struct report_head head = { .command = argv[0] };
	char why[CHOOSE_WHY_MAX];
	struct program program;
	struct ended ended = { 0 };
	struct report *report;
	uint64_t begun = sys_clock_ns();
	int r = program_find(argv[0], &program, reterr);

	if (r == 0)
		r = choose_mechanism(q.dumper ? "dumper" : run_mechanisms[o->mechanism], p, counted,
				     argv[0], &program, &q.mechanism, why, reterr);
	if (r < 0)
		return r;
	(void)snprintf(ret->mechanism, sizeof(ret->mechanism), "%s", q.mechanism->name);
	r = report_create(&report, p, counted, o->line, o->arg);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	q.program = &program;
	q.report = report;
	r = supervise(&q, &ended, reterr);
	ret->status = ended.status;
	ret->calls = report_calls(report);
	head.mechanism = q.mechanism->name;
	head.why = why;
	head.status = ended.status;
	head.elapsed_ns = sys_clock_ns() - begun;
	if ((r == 0 || r == -ENODATA) && o->report != DECANT_REPORT_NONE) {
		int e = run_report(report, o, &head, ret, r == 0 ? reterr : NULL);

		r = r == 0 ? e : r;
	}
	report_destroy(report);
	return r;
}

int decant_run(const struct decant_run_options *options, const char *const *argv,
	       struct decant_run_result *ret)
{
	struct decant_run_result result = DECANT_RUN_RESULT_INIT;
	struct err e = { "" };
	struct policy p;
	size_t size = ret ? ret->size : 0;
	int r;

	if (size < offsetof(struct decant_run_result, message) || size > 4096)
		return -EINVAL;
	r = run_check(options, argv, &p, &e);
	if (r == 0)
		r = run_program(options, argv, &p, &result, &e);
	if (r < 0)
		memcpy(result.message, e.text, sizeof(result.message));
	result.size = (uint32_t)size;
	memcpy(ret, &result, size < sizeof(result) ? size : sizeof(result));
	return r;
}
